//! Who succeeds less often than the others.

use std::sync::atomic::{AtomicU64, Ordering};

use edgewit_model::SuccessRate;

/// Requests and successes in one word, so that the two always belong together: 32 bits each.
#[derive(Debug, Default)]
pub(super) struct Rate(AtomicU64);

/// What was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) requests: u32,
    pub(super) successes: u32,
}

const ONE_REQUEST: u64 = 1 << 32;

impl Rate {
    pub(super) fn count(&self, success: bool) {
        self.0.fetch_add(ONE_REQUEST + u64::from(success), Ordering::Relaxed);
    }

    /// What was counted since the last time.
    pub(super) fn take(&self) -> Counts {
        let word = self.0.swap(0, Ordering::Relaxed);
        let low = u32::try_from(word & u64::from(u32::MAX)).unwrap_or(u32::MAX);
        Counts { requests: u32::try_from(word >> 32).unwrap_or(u32::MAX), successes: low }
    }
}

/// Positions of those whose success rate lies too far below the mean.
///
/// Only endpoints with enough requests take part, and only if enough of them do. When all fail alike nobody is an
/// outlier: the fault is elsewhere.
pub(super) fn outliers(counts: &[Counts], rule: &SuccessRate) -> Vec<usize> {
    let busy = |counts: &&Counts| counts.requests >= rule.requests.max(1);
    let rate = |counts: &Counts| f64::from(counts.successes) / f64::from(counts.requests);
    let rates: Vec<f64> = counts.iter().filter(busy).map(rate).collect();
    if rates.len() < rule.hosts.max(2) as usize {
        return Vec::new();
    }
    let number = rates.len() as f64;
    let mean = rates.iter().sum::<f64>() / number;
    let variance = rates.iter().map(|rate| (rate - mean).powi(2)).sum::<f64>() / number;
    let limit = mean - variance.sqrt() * f64::from(rule.deviation_permille) / 1_000.0;
    let below = |(_, counts): &(usize, &Counts)| busy(counts) && rate(counts) < limit - TINY;
    counts.iter().enumerate().filter(below).map(|(index, _)| index).collect()
}

/// Rounding does not make an outlier out of equals.
const TINY: f64 = 1e-9;

#[cfg(test)]
mod tests {
    use super::*;

    fn found(rates: &[(u32, u32)]) -> Vec<usize> {
        let counts = rates
            .iter()
            .map(|(requests, successes)| Counts { requests: *requests, successes: *successes });
        outliers(&counts.collect::<Vec<_>>(), &SuccessRate::default())
    }

    #[test]
    fn who_lies_far_below_the_mean_is_found() {
        let check = |rates: &[(u32, u32)], expected: &[usize]| {
            assert_eq!(found(rates), expected, "{rates:?}");
        };
        let good = (200, 200);
        check(&[good, good, (200, 100), good, good], &[2]);
        check(&[good, good, good, good, good], &[]);
        check(&[(200, 20); 6], &[]); // all fail alike
        check(&[good, good, (200, 100), good], &[]); // too few to compare
        check(&[good, good, good, good, (99, 0)], &[]); // too few requests
        check(&[good, good, good, good, good, (99, 0)], &[]);
        check(&[good, good, good, good, (150, 140), good, (0, 0)], &[4]);
        check(&[], &[]);
        check(&[(0, 0); 9], &[]);
    }

    #[test]
    fn counts_are_taken_once() {
        let rate = Rate::default();
        (0..3).for_each(|number| rate.count(number > 0));
        assert_eq!(rate.take(), Counts { requests: 3, successes: 2 });
        assert_eq!(rate.take(), Counts { requests: 0, successes: 0 });
    }
}
