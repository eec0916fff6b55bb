//! Processor time that a filter wasted on one worker, and what that does to the time of its calls.
//!
//! A filter that is stopped at its limit on every request would hold its worker all the time, and whoever else has
//! requests on that worker would wait. So time that came to nothing is paid back: a filter that owes more than some calls may
//! waste by accident gets two ticks for a call instead of its limit, until it owes less. It is not refused: a client
//! whose requests are the ones that take so long must not shut out all others, whose calls take microseconds.
//!
//! Only calls that crossed a tick are counted, so that a filter without such calls costs one load of an atomic for each.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// What one filter owes on one worker: when, in microseconds of the caller's clock, all is paid. 0: nothing is owed.
#[derive(Debug, Default)]
pub(crate) struct Debt(AtomicU64);

/// For each second wasted, so many must pass: a filter cannot waste more than 1 % of a worker in calls of its full limit,
/// so that 99 of 100 requests of its neighbours do not meet one.
const PRICE: u64 = 100;
/// Calls that may be stopped at their limit in a row: bad luck, a burst of one client's bad requests.
const FREE_STOPS: u64 = 8;
/// Most that is owed beyond that: so soon all is well after whoever caused it has gone.
const MAX_DEBT: Duration = Duration::from_secs(10);
/// What a call may take while too much is owed, from its first tick on: two ticks in all.
const LOWERED: Duration = Duration::from_millis(1);

impl Debt {
    /// Whether nothing is owed; spares reading the clock.
    pub(crate) fn is_clear(&self) -> bool {
        self.0.load(Relaxed) == 0
    }

    /// How long the next call may compute if it is `limit` when nothing is owed.
    pub(crate) fn limit(&self, now_us: u64, limit: Duration) -> Duration {
        let paid_at = self.0.load(Relaxed);
        if paid_at <= now_us {
            // A thread that adds in between loses that: at most one call.
            self.0.store(0, Relaxed);
        }
        match paid_at.saturating_sub(now_us) > free(limit) {
            true => limit.min(LOWERED),
            false => limit,
        }
    }

    /// A call of a filter with this limit wasted that time.
    pub(crate) fn add(&self, now_us: u64, limit: Duration, wasted: Duration) {
        let price = micros(wasted).saturating_mul(PRICE);
        let most = now_us.saturating_add(free(limit)).saturating_add(micros(MAX_DEBT));
        let _ = self.0.fetch_update(Relaxed, Relaxed, |paid_at| {
            Some(paid_at.max(now_us).saturating_add(price).min(most))
        });
    }
}

fn free(limit: Duration) -> u64 {
    micros(limit).saturating_mul(FREE_STOPS * PRICE)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(50);
    const SECOND: u64 = 1_000_000;

    #[test]
    fn some_stops_are_free() {
        let debt = Debt::default();
        assert!(debt.is_clear());
        for _ in 0..FREE_STOPS {
            assert_eq!(debt.limit(SECOND, LIMIT), LIMIT);
            debt.add(SECOND, LIMIT, LIMIT);
        }
        assert!(!debt.is_clear());
        assert_eq!(debt.limit(SECOND, LIMIT), LIMIT);
        debt.add(SECOND, LIMIT, LIMIT);
        assert_eq!(debt.limit(SECOND, LIMIT), LOWERED);
        assert_eq!(debt.limit(SECOND, Duration::from_micros(300)), Duration::from_micros(300));
        assert_eq!(debt.limit(6 * SECOND, LIMIT), LIMIT, "five seconds pay for a stop of 50 ms");
    }

    #[test]
    fn a_filter_that_always_spins_gets_two_ticks_for_most_calls() {
        let debt = Debt::default();
        let (mut now, mut whole, mut calls) = (SECOND, 0, 0);
        while now < 100 * SECOND {
            let limit = debt.limit(now, LIMIT);
            now += micros(limit);
            debt.add(now, LIMIT, limit);
            (whole, calls) = (whole + u64::from(limit == LIMIT), calls + 1);
        }
        assert!(whole * 100 < calls, "{whole} of {calls} calls had the whole limit");
    }

    #[test]
    fn what_is_owed_is_paid_by_waiting_and_never_takes_long() {
        let debt = Debt::default();
        debt.add(SECOND, LIMIT, 1_000 * LIMIT);
        assert_eq!(debt.limit(10 * SECOND, LIMIT), LOWERED);
        assert_eq!(debt.limit(11 * SECOND, LIMIT), LIMIT);
        assert_eq!(debt.limit(60 * SECOND, LIMIT), LIMIT);
        assert!(debt.is_clear(), "then the clock is not read any more");
    }
}
