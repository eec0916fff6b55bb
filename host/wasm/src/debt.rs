//! Processor time that the long calls of a filter took, and when that is too much for the workers.
//!
//! While a call runs, whoever else has requests on that worker waits. So a filter owes the time of its calls to its neighbours,
//! many times over, and pays by the clock. While it owes too much it is slow: the host calls it on threads that
//! nobody else waits for. Whether calls succeed makes no difference, since neighbours wait in any case.
//!
//! Only calls that crossed a tick are counted, so that a filter without such calls costs one load of an atomic for each.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use crate::ticker::TICK;

/// What one filter owes: when, in microseconds of the caller's clock, all is paid. 0: nothing is owed.
#[derive(Debug, Default)]
pub(crate) struct Debt(AtomicU64);

/// What each second of a call costs that went on for more than a tick after its first one: on a worker such calls take at most
/// 1 % of the time, so that 99 of 100 requests of its neighbours do not meet one.
const LONG: u64 = 100;
/// The same for shorter calls. Only many of them in a row delay neighbours, so they may take a tenth of the time. Since a call is
/// measured from its first tick on, that is a part of what it takes, and none if it met no tick.
const SHORT: u64 = 10;
/// What may be owed: some two milliseconds of long calls. A first call that is slow because its memory is cold, or a tick that
/// a short one happened to meet, changes nothing.
const FREE: Duration = Duration::from_millis(200);
/// Most that is owed beyond that: so soon its calls are tried on workers again.
const MOST: Duration = Duration::from_secs(10);

impl Debt {
    /// Whether nothing is owed; spares reading the clock.
    pub(crate) fn is_clear(&self) -> bool {
        self.0.load(Relaxed) == 0
    }

    /// Whether more is owed than may be.
    pub(crate) fn is_too_much(&self, now_us: u64) -> bool {
        let paid_at = self.0.load(Relaxed);
        if paid_at <= now_us {
            // A thread that adds in between loses that: at most one call.
            self.0.store(0, Relaxed);
        }
        paid_at.saturating_sub(now_us) > micros(FREE)
    }

    /// A call computed for that long from its first tick on.
    pub(crate) fn add(&self, now_us: u64, computed: Duration) {
        let price = if computed >= TICK { LONG } else { SHORT };
        let price = micros(computed).saturating_mul(price);
        let most = now_us.saturating_add(micros(FREE + MOST));
        let _ = self.0.fetch_update(Relaxed, Relaxed, |paid_at| {
            Some(paid_at.max(now_us).saturating_add(price).min(most))
        });
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    /// Milliseconds that such calls take in a minute on workers, and how many calls are made there. They follow each other as
    /// closely as they can; those that are made elsewhere do so, too.
    fn on_workers(computed: Duration, unmeasured: Duration) -> (u64, u64) {
        let debt = Debt::default();
        let (mut now, mut held, mut calls) = (SECOND, 0, 0);
        while now < 61 * SECOND {
            let took = micros(computed + unmeasured);
            if !debt.is_too_much(now) {
                (held, calls) = (held + took, calls + 1);
            }
            now += took;
            debt.add(now, computed);
        }
        (held / 1_000, calls)
    }

    #[test]
    fn a_filter_that_computes_all_the_time_hardly_meets_a_worker() {
        for limit in [2, 5, 50, 500].map(Duration::from_millis) {
            let (held, calls) = on_workers(limit, Duration::ZERO);
            assert!(calls >= 1, "it is called on a worker until it is known to be slow");
            let first = micros(limit) / 1_000;
            assert!(held <= first.max(4), "{limit:?}: {held} ms in a minute");
        }
        // Just under what counts as long.
        let (held, _) = on_workers(TICK - Duration::from_micros(1), TICK / 2);
        assert!(held <= 60, "{held} ms in a minute");
    }

    #[test]
    fn rare_long_calls_hold_a_worker_for_a_hundredth_of_the_time_at_most() {
        let debt = Debt::default();
        let long = Duration::from_millis(40);
        let (mut held, seconds) = (0, 100);
        for tenth in 0..seconds * 10 {
            let now = SECOND + tenth * SECOND / 10;
            if !debt.is_too_much(now) {
                held += micros(long);
                debt.add(now, long);
            }
        }
        let share = held * 100 / (seconds * SECOND);
        assert!(share <= 1, "{share} %");
        assert!(held > 10 * micros(long), "a quiet filter is tried on workers again");
    }

    #[test]
    fn what_happens_now_and_then_changes_nothing() {
        let debt = Debt::default();
        assert!(debt.is_clear());
        debt.add(SECOND, Duration::from_micros(1_900));
        assert!(!debt.is_too_much(SECOND) && !debt.is_clear(), "one cold start");
        // Calls of 0.1 ms meet one tick in ten, in their middle; the worker does nothing else.
        let debt = Debt::default();
        for call in 0..10_000 {
            let now = SECOND + call * 1_000;
            assert!(!debt.is_too_much(now), "call {call}");
            debt.add(now, Duration::from_micros(50));
        }
    }

    #[test]
    fn what_is_owed_is_paid_by_waiting_and_never_takes_long() {
        let debt = Debt::default();
        (0..1_000).for_each(|_| debt.add(SECOND, Duration::from_millis(50)));
        assert!(debt.is_too_much(10 * SECOND));
        assert!(!debt.is_too_much(11 * SECOND));
        assert!(!debt.is_too_much(60 * SECOND));
        assert!(debt.is_clear(), "then the clock is not read any more");
    }
}
