//! The least busy one.

use edgewit_model::Balance;

use super::{Ask, Candidates, Policy, Variant, mix, random::share_of_load};

/// The least busy one.
pub(super) const VARIANT: Variant = Variant {
    name: "least-request",
    kind: Balance::LeastRequest,
    wants_latency: false,
    build: |_| Box::new(LeastRequest),
};

/// Looks at all and takes the one with the least load for its weight; of those that are equal, one at random by weight. So an
/// idle set is used by weight, not from its first endpoint on.
struct LeastRequest;

impl Policy for LeastRequest {
    fn choose(&self, candidates: &dyn Candidates, ask: &Ask) -> Option<usize> {
        let all = || 0..candidates.count();
        let allowed = all().filter(|index| !candidates.excluded(*index));
        least(candidates, allowed, ask.random).or_else(|| least(candidates, all(), ask.random))
    }
}

fn least(
    candidates: &dyn Candidates,
    among: impl Iterator<Item = usize>,
    random: u64,
) -> Option<usize> {
    let mut best: Option<usize> = None;
    let mut equal = 0; // sum of the weights of those that are equal to the best
    for index in among {
        let weight = u64::from(candidates.weight(index));
        let Some(other) = best else {
            (best, equal) = (Some(index), weight);
            continue;
        };
        let order =
            share_of_load(candidates, index, other).cmp(&share_of_load(candidates, other, index));
        match order {
            std::cmp::Ordering::Less => (best, equal) = (Some(index), weight),
            std::cmp::Ordering::Equal => {
                equal += weight;
                let drawn = mix(random ^ mix(index as u64)).checked_rem(equal);
                if drawn.is_some_and(|drawn| drawn < weight) {
                    best = Some(index);
                }
            }
            std::cmp::Ordering::Greater => {}
        }
    }
    best
}
