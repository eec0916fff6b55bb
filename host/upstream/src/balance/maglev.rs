//! The one that a table of hashes says.

use edgewit_model::Balance;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{
    Ask, Candidates, Member, Policy, Variant, mix,
    shares::{Shares, draw_among_rest},
};

/// The one that a table of hashes says.
pub(super) const VARIANT: Variant = Variant {
    name: "maglev",
    kind: Balance::Maglev,
    wants_latency: false,
    build: |members| Box::new(Maglev::new(members)),
};

/// Places in the table: a prime, so that every step visits every place, and a hundred times the 655 members up to which
/// shares are within 1 % (the paper, 5.3).
const SIZE: u64 = 65_537;

/// Other places that are looked at before the rest is drawn from.
const MOST_STEPS: u64 = 32;

/// Maglev hashing (Eisenbud et al., NSDI 2016, 3.4): members take places of the table in turn, by weight, each in an order
/// of its own. Shares are nearly exact and a choice is one look; a change of the set moves a few requests of others.
struct Maglev {
    /// Whose each place is.
    table: Vec<u16>,
    shares: Shares,
}

impl Maglev {
    fn new(members: &[Member]) -> Self {
        Self { table: table(members), shares: Shares::new(members) }
    }

    fn at(&self, hash: u64) -> Option<usize> {
        let place = usize::try_from(hash % SIZE).ok()?;
        self.table.get(place).copied().map(usize::from)
    }
}

/// The order in which a member wants places.
struct Wishes {
    next: u64,
    step: u64,
}

impl Wishes {
    fn new(key: u64) -> Self {
        let hash = |seed| xxh3_64_with_seed(&key.to_le_bytes(), seed);
        Self { next: hash(1) % SIZE, step: hash(2) % (SIZE - 1) + 1 }
    }
}

impl Iterator for Wishes {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let place = self.next;
        self.next = (place + self.step) % SIZE;
        usize::try_from(place).ok()
    }
}

fn table(members: &[Member]) -> Vec<u16> {
    let most = members.iter().map(|m| m.weight.max(1)).max().map_or(1, u64::from);
    let mut taking: Vec<(u16, Wishes, u64)> = (0..=u16::MAX)
        .zip(members)
        .map(|(index, member)| (index, Wishes::new(member.key), u64::from(member.weight.max(1))))
        .collect();
    let mut table: Vec<Option<u16>> = Vec::new();
    if !taking.is_empty() {
        table.resize(SIZE as usize, None);
    }
    let mut left = table.len();
    let mut round = 0_u64;
    while left > 0 {
        round += 1;
        for (index, wishes, weight) in &mut taking {
            // A member of the largest weight takes a place in each round, others in their share of the rounds, all in the
            // first: nobody is left without a place.
            if (round * *weight).div_ceil(most) == ((round - 1) * *weight).div_ceil(most) {
                continue;
            }
            let is_free = |place: &usize| table.get(*place).is_some_and(Option::is_none);
            let free = wishes.take(SIZE as usize).find(is_free);
            if let Some(owner) = free.and_then(|place| table.get_mut(place)) {
                *owner = Some(*index);
                left -= 1;
            }
            if left == 0 {
                break;
            }
        }
    }
    table.into_iter().flatten().collect()
}

impl Policy for Maglev {
    fn choose(&self, candidates: &dyn Candidates, ask: &Ask) -> Option<usize> {
        let Some(hash) = ask.hash else { return self.shares.draw(candidates, ask.random) };
        let first = self.at(hash)?;
        if !candidates.excluded(first) {
            return Some(first);
        }
        let others = (1..=MOST_STEPS).filter_map(|n| self.at(mix(hash.wrapping_add(n))));
        let next = others.into_iter().find(|index| !candidates.excluded(*index));
        next.or_else(|| draw_among_rest(candidates, hash)).or(Some(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Places of each member over what its weight says.
    fn shares(weights: impl Iterator<Item = u32>) -> Vec<f64> {
        let members: Vec<Member> = weights
            .enumerate()
            .map(|(index, weight)| Member { key: mix(index as u64), weight })
            .collect();
        let total: f64 = members.iter().map(|m| f64::from(m.weight)).sum();
        let mut places = vec![0.0; members.len()];
        for owner in table(&members) {
            places[usize::from(owner)] += 1.0;
        }
        let expected = |m: &Member| SIZE as f64 * f64::from(m.weight) / total;
        places.iter().zip(&members).map(|(count, member)| count / expected(member)).collect()
    }

    #[test]
    fn shares_are_within_a_hundredth() {
        for weights in [vec![1; 600], vec![1; 3], (1..=20).collect(), vec![1000, 10, 990]] {
            for share in shares(weights.iter().copied()) {
                assert!((0.99..=1.01).contains(&share), "{weights:?}: {share}");
            }
        }
    }

    #[test]
    fn the_largest_sets_have_a_table() {
        assert_eq!(table(&[]).len(), 0);
        let shares = shares((0..1_024).map(|n| if n == 0 { 65_535 } else { 1 }));
        assert!(shares[0] > 0.95, "{}", shares[0]);
        assert!(shares.iter().all(|share| *share > 0.0), "nobody is left out");
    }
}
