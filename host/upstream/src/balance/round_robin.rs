//! In turn, by weight, smoothly.

use edgewit_model::Balance;

use super::{Ask, Candidates, Member, Policy, Variant};

/// In turn, by weight, smoothly.
pub(super) const VARIANT: Variant = Variant {
    name: "round-robin",
    kind: Balance::RoundRobin,
    wants_latency: false,
    build: |members| Box::new(RoundRobin::new(members)),
};

/// Weighted round robin as a function of the turn, so that workers share one counter and no lock.
///
/// The weights are laid out side by side on a circle of their sum, and each turn walks on by a fixed stride. A stride
/// that has no divisor in common with the circle visits every point once before it comes back, which makes the shares
/// exact. A stride near the golden section spreads the visits of one endpoint evenly over the period: no bursts, as with
/// the smooth round robin of nginx, which reaches it with a state that must be locked.
struct RoundRobin {
    /// Where the arc of each endpoint ends.
    ends: Vec<u64>,
    circle: Circle,
}

#[derive(Debug, Clone, Copy)]
struct Circle {
    size: u64,
    stride: u64,
}

impl RoundRobin {
    fn new(members: &[Member]) -> Self {
        let weights = || members.iter().map(|m| u64::from(m.weight).max(1));
        let common = weights().fold(0, gcd);
        let arcs = weights().map(|weight| weight / common.max(1));
        let ends: Vec<u64> = arcs
            .scan(0, |end, arc| {
                *end += arc;
                Some(*end)
            })
            .collect();
        let size = ends.last().copied().unwrap_or(0);
        let equal = size == members.len() as u64;
        // Endpoints of equal weight come in the order of the list, which is what people expect to see.
        let circle = if equal { Circle { size, stride: 1 } } else { Circle::new(size) };
        Self { ends, circle }
    }

    /// The same among those that are not excluded. On the way of a retry only, so it may walk the list.
    fn choose_among_rest(&self, candidates: &dyn Candidates, turn: u64) -> Option<usize> {
        let rest = || (0..candidates.count()).filter(|index| !candidates.excluded(*index));
        let size = rest().map(|index| u64::from(candidates.weight(index))).sum();
        let mut point = Circle::new(size).point(turn)?;
        for index in rest() {
            let arc = u64::from(candidates.weight(index));
            if point < arc {
                return Some(index);
            }
            point -= arc;
        }
        None
    }
}

impl Policy for RoundRobin {
    fn choose(&self, candidates: &dyn Candidates, ask: &Ask) -> Option<usize> {
        let point = self.circle.point(ask.turn)?;
        let index = self.ends.partition_point(|end| *end <= point);
        if !candidates.excluded(index) {
            return Some(index);
        }
        self.choose_among_rest(candidates, ask.turn).or(Some(index))
    }
}

impl Circle {
    fn new(size: u64) -> Self {
        let golden = ((u128::from(size) * GOLDEN) >> 64) as u64;
        let near = (golden.max(1)..=size).find(|stride| gcd(*stride, size) == 1);
        Self { size, stride: near.unwrap_or(1) }
    }

    fn point(self, turn: u64) -> Option<u64> {
        let size = u128::from(self.size);
        let walked = u128::from(turn) * u128::from(self.stride);
        walked.checked_rem(size).and_then(|point| u64::try_from(point).ok())
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The golden section, 0.618..., in units of 2^-64.
const GOLDEN: u128 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use super::*;

    struct All(usize);

    impl Candidates for All {
        fn count(&self) -> usize {
            self.0
        }

        fn weight(&self, _: usize) -> u32 {
            1
        }

        fn load(&self, _: usize) -> u64 {
            0
        }

        fn latency(&self, _: usize) -> Option<u64> {
            None
        }

        fn excluded(&self, _: usize) -> bool {
            false
        }
    }

    fn order(weights: &[u32], turns: u64) -> Vec<usize> {
        let policy = RoundRobin::new(&members(weights));
        let ask = |turn| Ask { turn, ..Ask::default() };
        (0..turns).filter_map(|turn| policy.choose(&All(weights.len()), &ask(turn))).collect()
    }

    fn members(weights: &[u32]) -> Vec<Member> {
        weights.iter().map(|weight| Member { key: 0, weight: *weight }).collect()
    }

    #[test]
    fn shares_equal_weights_over_a_period() {
        for weights in [&[1, 1][..], &[3, 1], &[5, 1, 1], &[1, 2, 3, 4, 5], &[100, 99, 1]] {
            let mut shares = vec![0; weights.len()];
            let period = weights.iter().sum::<u32>().into();
            order(weights, period).into_iter().for_each(|index| shares[index] += 1);
            assert_eq!(shares, weights);
        }
    }

    #[test]
    fn equal_weights_come_in_the_order_of_the_list() {
        assert_eq!(order(&[1, 1, 1], 6), [0, 1, 2, 0, 1, 2]);
        assert_eq!(order(&[7, 7], 4), [0, 1, 0, 1]);
    }

    #[test]
    fn a_heavy_endpoint_does_not_come_in_bursts() {
        let order = order(&[5, 1, 1], 7);
        let longest = order.split(|index| *index != 0).map(<[usize]>::len).max();
        assert!(longest <= Some(3), "{order:?}");
    }

    #[test]
    fn the_largest_weights_do_not_overflow() {
        let policy = RoundRobin::new(&members(&[u32::MAX, u32::MAX - 1]));
        let ask = Ask { turn: u64::MAX, ..Ask::default() };
        assert!(policy.choose(&All(2), &ask).is_some());
    }
}
