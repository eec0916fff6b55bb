//! Laws that every policy keeps, run over the table.

use super::{Candidates, TABLE, model};

struct Given<'a> {
    weights: &'a [u32],
    excluded: &'a [usize],
}

impl Candidates for Given<'_> {
    fn count(&self) -> usize {
        self.weights.len()
    }

    fn weight(&self, index: usize) -> u32 {
        self.weights[index]
    }

    fn load(&self, _: usize) -> u64 {
        0
    }

    fn excluded(&self, index: usize) -> bool {
        self.excluded.contains(&index)
    }
}

const WEIGHTS: &[&[u32]] =
    &[&[1], &[1, 1], &[3, 1], &[5, 1, 1], &[2, 4, 6], &[1, 2, 3, 4, 5], &[100, 99, 1], &[1000, 1]];

const KINDS: &[model::Balance] = &[model::Balance::RoundRobin];

/// How often each candidate is chosen in so many turns.
fn shares(policy: usize, given: &Given, turns: u64) -> Vec<u64> {
    let policy = (TABLE[policy].build)(given.weights);
    let mut shares = vec![0; given.weights.len()];
    for turn in 0..turns {
        shares[policy.choose(given, turn).unwrap()] += 1;
    }
    shares
}

fn for_every_policy(check: impl Fn(usize, &[u32])) {
    for policy in 0..TABLE.len() {
        for weights in WEIGHTS {
            check(policy, weights);
        }
    }
}

#[test]
fn every_kind_of_the_model_has_one_policy() {
    for kind in KINDS {
        assert_eq!(TABLE.iter().filter(|v| v.kind == *kind).count(), 1, "{kind:?}");
    }
}

#[test]
fn shares_equal_weights_over_a_period() {
    for_every_policy(|policy, weights| {
        let period = weights.iter().map(|w| u64::from(*w)).sum();
        let expected: Vec<u64> = weights.iter().map(|w| u64::from(*w)).collect();
        let given = Given { weights, excluded: &[] };
        assert_eq!(shares(policy, &given, period), expected, "{}", TABLE[policy].name);
    });
}

#[test]
fn an_excluded_candidate_is_never_chosen_while_there_is_another() {
    for_every_policy(|policy, weights| {
        for excluded in (0..weights.len()).filter(|_| weights.len() > 1) {
            let given = Given { weights, excluded: &[excluded] };
            let shares = shares(policy, &given, 2000);
            assert_eq!(shares[excluded], 0, "{} {weights:?}", TABLE[policy].name);
            let others = shares.iter().enumerate().filter(|(index, _)| *index != excluded);
            assert!(others.clone().all(|(_, share)| *share > 0), "{weights:?} {shares:?}");
        }
    });
}

#[test]
fn if_all_are_excluded_one_is_chosen_all_the_same() {
    for_every_policy(|policy, weights| {
        let excluded: Vec<usize> = (0..weights.len()).collect();
        let given = Given { weights, excluded: &excluded };
        assert_eq!(shares(policy, &given, 100).iter().sum::<u64>(), 100);
    });
}

#[test]
fn no_candidates_are_no_choice() {
    for variant in TABLE {
        let given = Given { weights: &[], excluded: &[] };
        assert!((variant.build)(&[]).choose(&given, 7).is_none(), "{}", variant.name);
    }
}
