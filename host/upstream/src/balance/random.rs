//! Two at random, of which the less busy one.

use edgewit_model::Balance;

use super::{Ask, Candidates, Policy, Variant, shares::Shares};

/// Two at random, of which the less busy one.
pub(super) const VARIANT: Variant = Variant {
    name: "random",
    kind: Balance::Random,
    wants_latency: false,
    build: |members| Box::new(TwoAtRandom(Shares::new(members))),
};

/// The power of two choices: the longest queue stays short as with a look at all, at the price of a look at two, and
/// proxies that see the same loads do not all run to the same endpoint.
struct TwoAtRandom(Shares);

impl Policy for TwoAtRandom {
    fn choose(&self, candidates: &dyn Candidates, ask: &Ask) -> Option<usize> {
        let (one, other) = self.0.draw_two(candidates, ask.random)?;
        let is_less = share_of_load(candidates, other, one) < share_of_load(candidates, one, other);
        Some(if is_less { other } else { one })
    }
}

/// Load over weight, as a number that can be compared with the other's.
pub(super) fn share_of_load(candidates: &dyn Candidates, index: usize, other: usize) -> u128 {
    u128::from(candidates.load(index)) * u128::from(candidates.weight(other))
}
