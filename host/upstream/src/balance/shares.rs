//! Drawing a candidate by weight.

use super::{Candidates, Member, mix};

/// Draws that are tried before all candidates are looked at: with half of them excluded, 15 of 16 choices end here.
const DRAWS: u64 = 4;

/// The weights side by side, as long as the set lives.
pub(super) struct Shares {
    /// Where the arc of each member ends.
    ends: Vec<u64>,
}

impl Shares {
    pub(super) fn new(members: &[Member]) -> Self {
        let arcs = members.iter().map(|m| u64::from(m.weight).max(1));
        let ends = arcs.scan(0, |end, arc| {
            *end += arc;
            Some(*end)
        });
        Self { ends: ends.collect() }
    }

    /// Sum of all weights.
    pub(super) fn total(&self) -> u64 {
        self.ends.last().copied().unwrap_or(0)
    }

    /// One by weight, excluded or not.
    fn any(&self, random: u64) -> Option<usize> {
        let point = below(random, self.total())?;
        Some(self.ends.partition_point(|end| *end <= point))
    }

    /// One by weight that is not excluded; any if all are.
    pub(super) fn draw(&self, candidates: &dyn Candidates, random: u64) -> Option<usize> {
        let first = self.any(random)?;
        if !candidates.excluded(first) {
            return Some(first);
        }
        let again = (1..DRAWS).filter_map(|n| self.any(mix(random.wrapping_add(n))));
        let found = again.into_iter().find(|index| !candidates.excluded(*index));
        found.or_else(|| draw_among_rest(candidates, random)).or(Some(first))
    }

    /// Two by weight, which are the same one if there is no other or it is hardly ever drawn.
    pub(super) fn draw_two(
        &self,
        candidates: &dyn Candidates,
        random: u64,
    ) -> Option<(usize, usize)> {
        let first = self.draw(candidates, random)?;
        let others = (1..=DRAWS).filter_map(|n| self.draw(candidates, mix(random ^ mix(n))));
        Some((first, others.into_iter().find(|other| *other != first).unwrap_or(first)))
    }
}

/// One by weight of those that are not excluded. Looks at all.
pub(super) fn draw_among_rest(candidates: &dyn Candidates, random: u64) -> Option<usize> {
    let rest = || (0..candidates.count()).filter(|index| !candidates.excluded(*index));
    let total = rest().map(|index| u64::from(candidates.weight(index))).sum();
    let mut point = below(random, total)?;
    rest().find(|index| match point.checked_sub(u64::from(candidates.weight(*index))) {
        Some(left) => {
            point = left;
            false
        }
        None => true,
    })
}

/// A number below a bound, as evenly as the random number; `None` if the bound is zero.
fn below(random: u64, bound: u64) -> Option<u64> {
    let scaled = (u128::from(random) * u128::from(bound)) >> 64;
    u64::try_from(scaled).ok().filter(|_| bound > 0)
}
