//! Is a new version of a plugin stopped much more often than the one before?
//!
//! It is on probation for a while. The decision is made of counts alone; whoever asks makes it happen.

use std::time::Duration;

use edgewit_chain::Counts;

/// What is known at one moment of a probation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record {
    /// Of the version before, when it was replaced.
    pub(crate) before: Counts,
    /// Of the new one.
    pub(crate) now: Counts,
    /// Is the new one in quarantine?
    pub(crate) quarantined: bool,
    /// How long it has served.
    pub(crate) elapsed: Duration,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing yet.
    Wait,
    /// It stays.
    Passed,
    /// The version before comes back.
    Failed,
}

/// How long a version is on probation: longer, and what goes wrong has other reasons than the swap.
const SHORTEST: Duration = Duration::from_secs(60);
/// Until so many requests have reached it, it goes on, ...
const FEWEST_CALLS: u64 = 200;
/// ... but not for longer than this.
const LONGEST: Duration = Duration::from_secs(10 * 60);
/// Less is an accident.
const FEWEST_STOPS: u64 = 10;
/// Stops in a hundred requests that are worth a roll-back. A client that can make a filter trap must not be able to bring
/// back an old version with a few requests.
const LEAST_PERCENT: u64 = 10;
/// How much more often than the version before.
const TIMES: u64 = 4;

impl Record {
    pub(crate) fn judge(&self) -> Verdict {
        let Counts { calls, stops } = self.now;
        let often = stops >= FEWEST_STOPS
            && stops.saturating_mul(100) >= calls.saturating_mul(LEAST_PERCENT);
        if (often || self.quarantined) && self.is_worse() {
            return Verdict::Failed;
        }
        let long = self.elapsed >= SHORTEST && calls >= FEWEST_CALLS;
        if long || self.elapsed >= LONGEST { Verdict::Passed } else { Verdict::Wait }
    }

    /// A version that was never asked counts as one that was never stopped: nobody replaced it because of its stops.
    fn is_worse(&self) -> bool {
        let share = |stops: u64, calls: u64| u128::from(stops) * u128::from(calls);
        self.now.stops > 0
            && (self.before.calls == 0
                || share(self.now.stops, self.before.calls)
                    > share(self.before.stops.saturating_mul(TIMES), self.now.calls.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_comes_back_only_if_the_new_one_is_clearly_worse() {
        use Verdict::{Failed, Passed, Wait};
        // Requests and stops before, requests and stops now, quarantine, seconds.
        let cases = [
            ("nothing happened yet", (1_000, 0), (0, 0), false, 1, Wait),
            ("all is well, but it is early", (1_000, 0), (5_000, 0), false, 59, Wait),
            ("all is well", (1_000, 0), (5_000, 0), false, 60, Passed),
            ("hardly any requests", (1_000, 0), (199, 0), false, 60, Wait),
            ("hardly any requests, for long", (1_000, 0), (1, 0), false, 600, Passed),
            ("each one is stopped", (1_000, 0), (10, 10), false, 1, Failed),
            ("each one, but they are few", (1_000, 0), (9, 9), false, 1, Wait),
            ("one in ten", (1_000, 0), (100, 10), false, 1, Failed),
            ("less than one in ten", (1_000, 0), (101, 10), false, 1, Wait),
            ("less than one in ten, for long", (1_000, 0), (1_000, 90), false, 60, Passed),
            ("it was as bad before", (1_000, 100), (1_000, 100), false, 1, Wait),
            ("four times as bad is not enough", (1_000, 100), (1_000, 400), false, 1, Wait),
            ("more than that is", (1_000, 100), (1_000, 401), false, 1, Failed),
            ("in quarantine after few stops", (1_000, 0), (3, 3), true, 1, Failed),
            ("in quarantine, as the one before", (10, 10), (20, 20), true, 1, Wait),
            ("nobody knows how it was before", (0, 0), (20, 20), false, 1, Failed),
            (
                "looked at late, but bad all the same",
                (1_000, 0),
                (1_000, 1_000),
                false,
                3_600,
                Failed,
            ),
        ];
        for (what, before, now, quarantined, seconds, expected) in cases {
            let counts = |(calls, stops)| Counts { calls, stops };
            let elapsed = Duration::from_secs(seconds);
            let record = Record { before: counts(before), now: counts(now), quarantined, elapsed };
            assert_eq!(record.judge(), expected, "{what}");
        }
    }
}
