//! When the name service is asked again.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    time::Duration,
};

/// A time to live is taken for at least this: a name with 0 would be asked for in a loop. One question a second is what
/// resolvers are made for, and how soon a change can be seen at all.
const LEAST_TTL: Duration = Duration::from_secs(1);

/// And for at most this: who set a day for a host, long ago, does not want a deployment to wait for a day.
const MOST_TTL: Duration = Duration::from_secs(300);

/// Waits after failures in a row: doubled from the first to the last.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(30);

/// How long after an answer to ask again: ahead of its end, so that the next is there in time, and not at the same moment
/// as everybody else. `drawn` is evenly from 0 to 1.
pub(super) fn after_answer(ttl: Duration, drawn: f64) -> Duration {
    ttl.clamp(LEAST_TTL, MOST_TTL).mul_f64(0.75 + 0.2 * drawn)
}

/// How long after so many failures in a row to ask again.
pub(super) fn after_failure(failures: u32, drawn: f64) -> Duration {
    let doublings = failures.saturating_sub(1).min(10);
    let wait = FIRST_RETRY.saturating_mul(1 << doublings).min(LAST_RETRY);
    wait.mul_f64(0.75 + 0.25 * drawn)
}

/// A number from 0 to 1. Only spreads questions in time: nobody need be kept from guessing it.
pub(super) fn drawn() -> f64 {
    RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_to_live_is_honoured_within_bounds() {
        let check = |ttl: u64, drawn: f64, expected: f64| {
            let wait = after_answer(Duration::from_secs(ttl), drawn).as_secs_f64();
            assert!((wait - expected).abs() < 0.001, "{ttl} {drawn}: {wait}");
        };
        check(0, 0.0, 0.75);
        check(1, 1.0, 0.95);
        check(60, 0.0, 45.0);
        check(60, 1.0, 57.0);
        check(86_400, 1.0, 285.0);
    }

    #[test]
    fn failures_slow_the_questions_down() {
        let waits: Vec<u64> =
            (1..9).map(|failures| after_failure(failures, 1.0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30, 30]);
        assert!(after_failure(u32::MAX, 0.0) >= Duration::from_secs(22));
    }
}
