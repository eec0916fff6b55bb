//! Two at random, of which the one that promises the earlier answer.

use edgewit_model::Balance;

use super::{Ask, Candidates, Member, Policy, Variant, shares::Shares};

/// Two at random, of which the one that promises the earlier answer.
pub(super) const VARIANT: Variant = Variant {
    name: "peak-ewma",
    kind: Balance::PeakEwma,
    wants_latency: true,
    build: |members| Box::new(PeakEwma::new(members)),
};

/// What an endpoint is thought to take that is busy but has not answered yet: long, so that a new one is tried with one
/// request, not flooded. Microseconds.
const UNKNOWN: u64 = 1_000_000;

/// Compares latency times requests that wait. The latency follows a peak at once and forgets it slowly, so that an
/// endpoint that stalls is left before its queue shows it.
struct PeakEwma {
    shares: Shares,
    mean_weight: f64,
}

impl PeakEwma {
    fn new(members: &[Member]) -> Self {
        let shares = Shares::new(members);
        let mean_weight = shares.total() as f64 / members.len().max(1) as f64;
        Self { shares, mean_weight }
    }

    /// How long a further request would wait, in microseconds of an endpoint of average weight.
    fn cost(&self, candidates: &dyn Candidates, index: usize) -> f64 {
        let load = candidates.load(index);
        let latency = match candidates.latency(index) {
            Some(latency) => latency.max(1),
            None if load == 0 => 0,
            None => UNKNOWN,
        };
        let share = self.mean_weight / f64::from(candidates.weight(index).max(1));
        latency as f64 * (1.0 + load as f64 * share)
    }
}

impl Policy for PeakEwma {
    fn choose(&self, candidates: &dyn Candidates, ask: &Ask) -> Option<usize> {
        let (one, other) = self.shares.draw_two(candidates, ask.random)?;
        let is_less = self.cost(candidates, other) < self.cost(candidates, one);
        Some(if is_less { other } else { one })
    }
}
