//! Processor time that a filter wasted on one worker, and must let pass before it may waste more.
//!
//! A filter that is stopped at its limit on every request would hold its worker all the time, and whoever else has
//! requests on that worker would wait. So time that came to nothing is paid back: once a filter owes more than some calls
//! may waste by accident, it is refused without being run until it owes less. Only calls that crossed a tick are counted, so that
//! a filter that never does costs one load of an atomic for each instance.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// What one filter owes on one worker: when, in microseconds of the caller's clock, all is paid. 0: nothing is owed.
#[derive(Debug, Default)]
pub(crate) struct Debt(AtomicU64);

/// For each second wasted, so many must pass: a filter cannot waste more than 1 % of a worker in the long run, so that 99
/// of 100 requests of its neighbours do not meet it.
const PRICE: u64 = 100;
/// Calls that may be stopped at their time limit in a row before the next is refused: bad luck, a burst of one client's
/// bad requests. More than these are a filter's habit.
const FREE_STOPS: u64 = 8;

impl Debt {
    /// Whether nothing was ever owed, or not since it was paid; spares reading the clock.
    pub(crate) fn is_clear(&self) -> bool {
        self.0.load(Relaxed) == 0
    }

    /// How long the filter must wait, if it must, before it may run again. `time` is what one of its calls may take.
    pub(crate) fn wait(&self, now_us: u64, time: Duration) -> Option<Duration> {
        let paid_at = self.0.load(Relaxed);
        if paid_at <= now_us {
            // Another thread that owes in between loses that: at most one call's waste.
            self.0.store(0, Relaxed);
            return None;
        }
        let free = micros(time).saturating_mul(FREE_STOPS * PRICE);
        let wait = (paid_at - now_us).saturating_sub(free);
        (wait > 0).then(|| Duration::from_micros(wait))
    }

    /// A call wasted this time.
    pub(crate) fn add(&self, now_us: u64, wasted: Duration) {
        let price = micros(wasted).saturating_mul(PRICE);
        let _ = self.0.fetch_update(Relaxed, Relaxed, |paid_at| {
            Some(paid_at.max(now_us).saturating_add(price))
        });
    }
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
            assert_eq!(debt.wait(SECOND, LIMIT), None);
            debt.add(SECOND, LIMIT);
        }
        assert!(!debt.is_clear());
        assert_eq!(debt.wait(SECOND, LIMIT), None);
        debt.add(SECOND, LIMIT);
        assert_eq!(debt.wait(SECOND, LIMIT), Some(Duration::from_secs(5)));
    }

    #[test]
    fn a_filter_that_always_wastes_gets_one_percent() {
        let debt = Debt::default();
        let (mut now, mut wasted) = (SECOND, 0);
        while now < 1_000 * SECOND {
            match debt.wait(now, LIMIT) {
                Some(wait) => now += micros(wait),
                None => {
                    debt.add(now, LIMIT);
                    (now, wasted) = (now + micros(LIMIT), wasted + micros(LIMIT));
                }
            }
        }
        assert!((9 * SECOND..12 * SECOND).contains(&wasted), "{wasted} us of 1,000 s");
    }

    #[test]
    fn what_is_owed_is_paid_by_waiting() {
        let debt = Debt::default();
        debt.add(SECOND, 10 * LIMIT);
        assert!(debt.wait(2 * SECOND, LIMIT).is_some());
        assert_eq!(debt.wait(60 * SECOND, LIMIT), None);
        assert!(debt.is_clear(), "then the clock is not read any more");
    }
}
