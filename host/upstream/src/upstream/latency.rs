//! How long an endpoint takes to answer, as a moving mean that follows peaks.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// Time in which the weight of an answer falls to a third. Finagle and Linkerd have found 10 s to be long enough to
/// remember a stall and short enough to forgive it.
const DECAY_MS: f64 = 10_000.0;

/// What a failure counts as at least: an endpoint that refuses at once is not a fast one.
const FAILURE: Duration = Duration::from_secs(1);

/// Milliseconds since the process first asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Millis(u32);

impl Millis {
    pub(crate) fn now() -> Self {
        static EPOCH: OnceLock<Instant> = OnceLock::new();
        let since = EPOCH.get_or_init(Instant::now).elapsed().as_millis();
        Self((since & u128::from(u32::MAX)) as u32) // wraps around after 49 days
    }

    pub(super) fn number(self) -> u32 {
        self.0
    }

    pub(super) fn from_number(number: u32) -> Self {
        Self(number)
    }

    /// Milliseconds from then to now; zero if then is later, as other threads see it.
    pub(crate) fn since(self, then: Self) -> u32 {
        let passed = self.0.wrapping_sub(then.0);
        if passed > u32::MAX / 2 { 0 } else { passed }
    }
}

/// The moving mean of one endpoint: when it was changed last, and microseconds then, in one word. Zero: nothing known.
#[derive(Debug, Default)]
pub(super) struct Latency(AtomicU64);

impl Latency {
    /// An attempt took this long, or failed after it.
    pub(super) fn observe(&self, now: Millis, took: Duration, failed: bool) {
        let took = if failed { took.max(FAILURE) } else { took };
        let micros = u32::try_from(took.as_micros()).unwrap_or(u32::MAX).max(1);
        let next = |word| Some(pack(now, after(unpack(word), now, micros)));
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next); // never refuses
    }

    /// Microseconds, as they would be believed now.
    pub(super) fn at(&self, now: Millis) -> Option<u64> {
        let (then, micros) = unpack(self.0.load(Ordering::Relaxed))?;
        Some(u64::from(faded(micros, then, now)))
    }
}

/// The mean with a further answer: a peak at once, what is faster little by little.
fn after(before: Option<(Millis, u32)>, now: Millis, micros: u32) -> u32 {
    let Some((then, mean)) = before.filter(|(then, mean)| faded(*mean, *then, now) > micros) else {
        return micros;
    };
    let kept = kept(then, now);
    (f64::from(mean) * kept + f64::from(micros) * (1.0 - kept)) as u32
}

/// The mean without any answer since then.
fn faded(micros: u32, then: Millis, now: Millis) -> u32 {
    (f64::from(micros) * kept(then, now)) as u32
}

fn kept(then: Millis, now: Millis) -> f64 {
    (-f64::from(now.since(then)) / DECAY_MS).exp()
}

fn pack(at: Millis, micros: u32) -> u64 {
    u64::from(at.0) << 32 | u64::from(micros.max(1))
}

fn unpack(word: u64) -> Option<(Millis, u32)> {
    (word != 0).then_some((Millis((word >> 32) as u32), word as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(answers: &[(u32, u64)], now: u32) -> Option<u64> {
        let latency = Latency::default();
        for (at, micros) in answers {
            latency.observe(Millis(*at), Duration::from_micros(*micros), false);
        }
        latency.at(Millis(now))
    }

    #[test]
    fn a_peak_counts_at_once_and_fades() {
        assert_eq!(seen(&[], 5), None);
        assert_eq!(seen(&[(5, 1_000)], 5), Some(1_000));
        assert_eq!(seen(&[(5, 1_000), (6, 90_000)], 6), Some(90_000));
        let later = seen(&[(5, 90_000), (10_005, 1_000)], 10_005).unwrap();
        assert!((33_000..34_500).contains(&later), "{later}"); // a third, and a bit of the new one
        let forgotten = seen(&[(5, 90_000)], 100_005).unwrap();
        assert!(forgotten < 10, "{forgotten}");
    }

    #[test]
    fn a_quick_failure_is_no_quick_answer() {
        let latency = Latency::default();
        latency.observe(Millis(5), Duration::from_micros(30), true);
        assert_eq!(latency.at(Millis(5)), Some(1_000_000));
    }

    #[test]
    fn clocks_may_wrap_around_and_differ() {
        assert_eq!(Millis(3).since(Millis(u32::MAX - 1)), 5);
        assert_eq!(Millis(3).since(Millis(4)), 0);
        assert_eq!(seen(&[(u32::MAX, 1_000)], 0), Some(999));
    }
}
