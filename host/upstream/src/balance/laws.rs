//! Laws that every policy keeps, run over the table. A new entry is tested by them before its author writes a test.

use std::{cell::RefCell, collections::VecDeque};

use xxhash_rust::xxh3::xxh3_64;

use super::{Ask, Candidates, Member, Policy, TABLE, Variant, mix, model};

/// Endpoints that a test describes.
#[derive(Default)]
struct Given {
    members: Vec<Member>,
    excluded: Vec<usize>,
    /// None: the same for all.
    latencies: Vec<u64>,
    loads: RefCell<Vec<u64>>,
}

impl Candidates for Given {
    fn count(&self) -> usize {
        self.members.len()
    }

    fn weight(&self, index: usize) -> u32 {
        self.members[index].weight
    }

    fn load(&self, index: usize) -> u64 {
        self.loads.borrow().get(index).copied().unwrap_or(0)
    }

    fn latency(&self, index: usize) -> Option<u64> {
        Some(self.latencies.get(index).copied().unwrap_or(2_000))
    }

    fn excluded(&self, index: usize) -> bool {
        self.excluded.contains(&index)
    }
}

impl Given {
    /// Servers on these ports.
    fn named(ports: impl IntoIterator<Item = (u16, u32)>) -> Self {
        let member = |(port, weight)| Member {
            key: xxh3_64(format!("http://10.0.0.1:{port}").as_bytes()),
            weight,
        };
        Self { members: ports.into_iter().map(member).collect(), ..Self::default() }
    }

    fn weighted(weights: &[u32]) -> Self {
        Self::named((8_000..).zip(weights.iter().copied()))
    }

    fn policy(&self, variant: &Variant) -> Box<dyn Policy> {
        (variant.build)(&self.members)
    }

    /// How often each is chosen in so many turns, each request taking as long as so many turns.
    fn shares(&self, variant: &Variant, turns: u64, busy: usize) -> Vec<u64> {
        let policy = self.policy(variant);
        let mut shares = vec![0; self.members.len()];
        let mut running = VecDeque::new();
        *self.loads.borrow_mut() = shares.clone();
        for turn in 0..turns {
            let chosen = policy.choose(self, &ask(turn)).unwrap();
            shares[chosen] += 1;
            self.loads.borrow_mut()[chosen] += 1;
            running.push_back(chosen);
            if running.len() > busy {
                let ended = running.pop_front().unwrap();
                self.loads.borrow_mut()[ended] -= 1;
            }
        }
        shares
    }

    /// Where these keys go.
    fn homes(&self, policy: &dyn Policy) -> Vec<u64> {
        let home = |key| policy.choose(self, &Ask { hash: Some(mix(key)), ..ask(key) }).unwrap();
        (0..KEYS).map(|key| self.members[home(key)].key).collect()
    }
}

/// Each request with a key of its own.
fn ask(turn: u64) -> Ask {
    Ask { turn, random: mix(turn), hash: Some(mix(turn.wrapping_add(1 << 40))) }
}

const KEYS: u64 = 10_000;

const WEIGHTS: &[&[u32]] =
    &[&[1], &[1, 1], &[3, 1], &[5, 1, 1], &[2, 4, 6], &[1, 2, 3, 4, 5], &[100, 99, 1], &[1000, 1]];

const KINDS: &[model::Balance] = &[
    model::Balance::RoundRobin,
    model::Balance::Random,
    model::Balance::LeastRequest,
    model::Balance::PeakEwma,
    model::Balance::RingHash,
    model::Balance::Maglev,
];

fn hashing() -> impl Iterator<Item = &'static Variant> {
    TABLE.iter().filter(|variant| variant.kind.is_hash())
}

#[test]
fn every_kind_of_the_model_has_one_policy() {
    for kind in KINDS {
        assert_eq!(TABLE.iter().filter(|v| v.kind == *kind).count(), 1, "{kind:?}");
    }
}

#[test]
fn shares_follow_weights_when_all_are_busy() {
    for variant in TABLE {
        for weights in WEIGHTS {
            let total: u64 = weights.iter().map(|w| u64::from(*w)).sum();
            let turns = 20_000.max(total * 40);
            let shares = Given::weighted(weights).shares(variant, turns, total as usize * 4);
            for (share, weight) in shares.iter().zip(*weights) {
                let expected = turns as f64 * f64::from(*weight) / total as f64;
                let off = (*share as f64 - expected).abs();
                // A quarter: what 256 points of a hash ring leave to chance, four times over.
                assert!(off <= expected / 4.0 + 10.0, "{} {weights:?} {shares:?}", variant.name);
            }
        }
    }
}

#[test]
fn shares_follow_weights_when_all_are_idle() {
    for variant in TABLE {
        let shares = Given::weighted(&[3, 1]).shares(variant, 40_000, 0);
        assert!((27_500..=32_500).contains(&shares[0]), "{} {shares:?}", variant.name);
    }
}

#[test]
fn an_excluded_candidate_is_never_chosen_while_there_is_another() {
    for variant in TABLE {
        for weights in WEIGHTS.iter().filter(|weights| weights.len() > 1) {
            for excluded in 0..weights.len() {
                let given = Given { excluded: vec![excluded], ..Given::weighted(weights) };
                let shares = given.shares(variant, 4_000, 2_000);
                assert_eq!(shares[excluded], 0, "{} {weights:?}", variant.name);
                let others = shares.iter().enumerate().filter(|(index, _)| *index != excluded);
                assert!(others.clone().all(|(_, share)| *share > 0), "{weights:?} {shares:?}");
            }
        }
    }
}

#[test]
fn the_last_one_of_many_is_found() {
    for variant in TABLE {
        for left in [0, 1, 150, 299] {
            let excluded = (0..300).filter(|index| *index != left).collect();
            let given = Given { excluded, ..Given::weighted(&[2; 300]) };
            assert_eq!(given.shares(variant, 60, 5)[left], 60, "{} {left}", variant.name);
        }
    }
}

#[test]
fn if_all_are_excluded_one_is_chosen_all_the_same() {
    for variant in TABLE {
        for weights in WEIGHTS {
            let excluded = (0..weights.len()).collect();
            let given = Given { excluded, ..Given::weighted(weights) };
            let shares = given.shares(variant, 100, 10);
            assert_eq!(shares.iter().sum::<u64>(), 100, "{}", variant.name);
        }
    }
}

#[test]
fn no_candidates_are_no_choice() {
    for variant in TABLE {
        for hash in [None, Some(7)] {
            let ask = Ask { hash, ..ask(7) };
            let given = Given::default();
            assert!(given.policy(variant).choose(&given, &ask).is_none(), "{}", variant.name);
        }
    }
}

#[test]
fn policies_that_look_at_the_load_leave_the_busy_one_alone() {
    use model::Balance::{LeastRequest, PeakEwma, Random};
    for variant in TABLE.iter().filter(|v| [LeastRequest, PeakEwma, Random].contains(&v.kind)) {
        let given = Given::weighted(&[1, 1, 1]);
        *given.loads.borrow_mut() = vec![50, 3, 4];
        let policy = given.policy(variant);
        let mut shares = [0; 3];
        (0..900).for_each(|turn| shares[policy.choose(&given, &ask(turn)).unwrap()] += 1);
        assert!(shares[0] < 30, "{} {shares:?}", variant.name); // both draws may be the same one
        assert!(shares[1] >= shares[2], "{} {shares:?}", variant.name);
    }
}

#[test]
fn peak_ewma_leaves_the_slow_one_alone() {
    let variant = TABLE.iter().find(|v| v.kind == model::Balance::PeakEwma).unwrap();
    let given = Given { latencies: vec![1_000, 80_000, 1_100], ..Given::weighted(&[1, 1, 1]) };
    let shares = given.shares(variant, 9_000, 6);
    assert!(shares[1] < 500, "{shares:?}");
    assert!(shares[0] > 3_000 && shares[2] > 3_000, "{shares:?}");
}

#[test]
fn requests_without_a_key_are_spread_by_hash_policies_too() {
    for variant in hashing() {
        let given = Given::weighted(&[3, 1]);
        let policy = given.policy(variant);
        let mut shares = [0; 2];
        for turn in 0..4_000 {
            shares[policy.choose(&given, &Ask { hash: None, ..ask(turn) }).unwrap()] += 1;
        }
        assert!((2_700..=3_300).contains(&shares[0]), "{} {shares:?}", variant.name);
    }
}

#[test]
fn the_same_key_stays_when_others_come_and_go() {
    for variant in hashing() {
        let given = |ports: std::ops::Range<u16>| Given::named(ports.map(|port| (port, 2)));
        let homes = |given: &Given| given.homes(&*given.policy(variant));
        let ten = given(0..10);
        let before = homes(&ten);
        let gone = ten.members[9].key;
        let after = homes(&given(0..9));
        let strays = before.iter().zip(&after).filter(|(b, a)| **b != gone && b != a).count();
        let allowed = if variant.kind == model::Balance::RingHash { 0 } else { KEYS / 20 };
        assert!(strays as u64 <= allowed, "{}: {strays} moved without need", variant.name);

        let eleven = given(0..11);
        let (new, after) = (eleven.members[10].key, homes(&eleven));
        let moved = before.iter().zip(&after).filter(|(b, a)| b != a).count();
        let strays = before.iter().zip(&after).filter(|(b, a)| **a != new && b != a).count();
        assert!(strays as u64 <= allowed, "{}: {strays} moved without need", variant.name);
        assert!(moved as u64 <= KEYS / 11 + KEYS / 20, "{}: {moved} moved", variant.name);
    }
}

#[test]
fn the_same_key_stays_while_another_is_excluded() {
    for variant in hashing() {
        let mut given = Given::weighted(&[1, 2, 3, 4]);
        let policy = given.policy(variant);
        let before = given.homes(&*policy);
        given.excluded.push(2);
        let out = given.members[2].key;
        let after = given.homes(&*policy);
        let strays = before.iter().zip(&after).filter(|(b, a)| **b != out && b != a).count();
        assert_eq!(strays, 0, "{}", variant.name);
        let homes: std::collections::HashSet<_> =
            before.iter().zip(&after).filter(|(b, _)| **b == out).map(|(_, a)| *a).collect();
        assert_eq!(homes.len(), 3, "{}: they are spread over the others", variant.name);
    }
}

#[test]
fn the_order_of_the_list_does_not_matter_to_a_key() {
    for variant in hashing().filter(|v| v.kind == model::Balance::RingHash) {
        let given = Given::named((0..8).map(|port| (port, 1)));
        let turned = Given::named((0..8).rev().map(|port| (port, 1)));
        let homes = |given: &Given| given.homes(&*given.policy(variant));
        assert_eq!(homes(&given), homes(&turned), "{}", variant.name);
    }
}

/// Two gateways, or one before and after an upgrade, must send a key to the same endpoint. If this fails, sessions of
/// everybody who uses the policy move at the upgrade.
#[test]
fn every_process_sends_a_key_to_the_same_endpoint() {
    let given = Given::named([(8_080, 1), (8_081, 3), (8_082, 1), (8_083, 2)]);
    for variant in hashing() {
        let policy = given.policy(variant);
        let homes: Vec<_> = (0..16)
            .map(|key| policy.choose(&given, &Ask { hash: Some(mix(key)), ..ask(0) }).unwrap())
            .collect();
        let golden = match variant.name {
            "ring-hash" => [3, 1, 0, 1, 1, 0, 1, 1, 3, 1, 1, 1, 1, 2, 1, 1],
            "maglev" => [2, 2, 1, 3, 3, 1, 0, 3, 3, 1, 1, 2, 3, 1, 0, 1],
            name => panic!("`{name}` needs golden values: {homes:?}"),
        };
        assert_eq!(homes, golden, "{}", variant.name);
    }
}
