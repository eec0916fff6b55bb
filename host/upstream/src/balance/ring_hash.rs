//! The next one on a circle of hashes.

use edgewit_model::Balance;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{
    Ask, Candidates, Member, Policy, Variant,
    shares::{Shares, draw_among_rest},
};

/// The next one on a circle of hashes.
pub(super) const VARIANT: Variant = Variant {
    name: "ring-hash",
    kind: Balance::RingHash,
    wants_latency: false,
    build: |members| Box::new(RingHash::new(members)),
};

/// Points on the circle for a weight of 1, if there is room: shares are then within about 6 % (1 / sqrt 256) of the weights.
const POINTS: u64 = 256;

/// Points on the circle at most: 1 MiB.
const MOST_POINTS: u64 = 1 << 16;

/// Points that are walked past before the rest is drawn from: a whole circle would be slow if nearly all are excluded.
const MOST_STEPS: usize = 1_024;

/// Consistent hashing (ketama): each member has points on a circle by its key and weight, and a request goes to the next
/// point. When a member goes, its requests go to the points behind its own, and all others stay where they are.
struct RingHash {
    /// Where the points are, ascending, and whose they are.
    points: Vec<(u64, usize)>,
    shares: Shares,
}

impl RingHash {
    fn new(members: &[Member]) -> Self {
        let mut points = Vec::new();
        for (index, member) in members.iter().enumerate() {
            let places = (0..count(members, member)).map(|n| (place(member.key, n), index));
            points.extend(places);
        }
        points.sort_unstable();
        Self { points, shares: Shares::new(members) }
    }
}

/// How many points a member has. It depends on the others only by the power of two that fits all: while that stays, a
/// change of the set moves nobody else's points, and when it changes, every other point stays.
fn count(members: &[Member], member: &Member) -> u64 {
    let weights: u64 = members.iter().map(|m| u64::from(m.weight).max(1)).sum();
    let mut halvings = 0;
    while weights.saturating_mul(POINTS) >> halvings > MOST_POINTS {
        halvings += 1;
    }
    ((u64::from(member.weight).max(1) * POINTS) >> halvings).max(1)
}

fn place(key: u64, number: u64) -> u64 {
    xxh3_64_with_seed(&number.to_le_bytes(), key)
}

impl Policy for RingHash {
    fn choose(&self, candidates: &dyn Candidates, ask: &Ask) -> Option<usize> {
        let Some(hash) = ask.hash else { return self.shares.draw(candidates, ask.random) };
        let start = self.points.partition_point(|(place, _)| *place < hash);
        let (before, after) = self.points.split_at_checked(start)?;
        let mut walk = after.iter().chain(before).map(|(_, index)| *index);
        let first = walk.next()?;
        if !candidates.excluded(first) {
            return Some(first);
        }
        let next = walk.take(MOST_STEPS).find(|index| !candidates.excluded(*index));
        next.or_else(|| draw_among_rest(candidates, hash)).or(Some(first))
    }
}
