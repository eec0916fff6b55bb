//! `kv` and `rate` against models that are obviously right, over random sequences of calls with fixed seeds.

use std::{collections::HashMap, sync::Arc};

use edgewit_model::{PluginLimits, PluginName};
use edgewit_telemetry::PluginMetrics;

use super::{Registry, rate::RateSpace};
use crate::{
    bindings::edgewit::filter::{
        kv::{Host as Kv, Problem},
        rate::Limit,
    },
    state::State,
};

/// xorshift64*, by Marsaglia and Vigna.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

fn guest() -> State {
    let registry = Registry::new(Arc::new(PluginMetrics::new()));
    let plugin = PluginName::new("model").unwrap();
    let limits = PluginLimits { host_calls: u32::MAX, ..PluginLimits::default() };
    State::new(plugin.clone(), Some(registry.of(&plugin)), &limits)
}

/// A time to live: for ever, or over at once. Everything between needs a clock.
fn ttl(random: &mut Random) -> Option<u64> {
    [None, Some(u64::MAX), Some(0)][random.below(3) as usize]
}

fn put(model: &mut HashMap<String, Vec<u8>>, key: String, value: Vec<u8>, ttl: Option<u64>) {
    match ttl {
        Some(0) => drop(model.remove(&key)),
        _ => drop(model.insert(key, value)),
    }
}

fn number(value: Option<&Vec<u8>>) -> i64 {
    value.and_then(|v| v.as_slice().try_into().ok()).map_or(0, i64::from_le_bytes)
}

#[test]
fn kv_does_what_a_map_does() {
    for seed in 1..=8 {
        let (mut random, mut state, mut model) = (Random(seed), guest(), HashMap::new());
        for step in 0..5_000 {
            let key = format!("k{}", random.below(12));
            let value = vec![random.next() as u8; random.below(12) as usize];
            let ttl = ttl(&mut random);
            let present = model.get(&key).cloned();
            let context =
                format!("seed {seed}, step {step}, {key}, present {present:?}, ttl {ttl:?}");
            match random.below(5) {
                0 => {
                    let seen = state.get(key).unwrap().unwrap();
                    assert_eq!(seen, present, "get: {context}");
                }
                1 => {
                    state.set(key.clone(), value.clone(), ttl).unwrap().unwrap();
                    put(&mut model, key, value, ttl);
                }
                2 => {
                    state.delete(key.clone()).unwrap().unwrap();
                    model.remove(&key);
                }
                3 => {
                    let amount = random.next().cast_signed();
                    let sum = number(present.as_ref()).wrapping_add(amount);
                    assert_eq!(
                        state.add(key.clone(), amount, ttl).unwrap().unwrap(),
                        sum,
                        "add: {context}"
                    );
                    // What is there keeps its own end.
                    let ttl = if present.is_some() { None } else { ttl };
                    put(&mut model, key, sum.to_le_bytes().to_vec(), ttl);
                }
                _ => {
                    let expected = match random.below(3) {
                        0 => None,
                        1 => present.clone(),
                        _ => Some(vec![1]),
                    };
                    let same = expected == present;
                    let set = state.compare_and_set(key.clone(), expected, value.clone(), ttl);
                    assert_eq!(set.unwrap().unwrap(), same, "compare-and-set: {context}");
                    if same {
                        put(&mut model, key, value, ttl);
                    }
                }
            }
        }
    }
}

#[test]
fn kv_refuses_what_it_says_it_refuses() {
    let mut state = guest();
    for key in [String::new(), "k".repeat(513)] {
        assert!(matches!(state.get(key.clone()).unwrap(), Err(Problem::BadKey)));
        assert!(matches!(state.set(key, vec![], None).unwrap(), Err(Problem::BadKey)));
    }
    let large = vec![0; (64 << 10) + 1];
    assert!(matches!(state.set("k".into(), large.clone(), None).unwrap(), Err(Problem::TooLarge)));
    let swapped = state.compare_and_set("k".into(), None, large, None);
    assert!(matches!(swapped.unwrap(), Err(Problem::TooLarge)));
    assert_eq!(state.get("k".into()).unwrap().unwrap(), None);
}

/// A bucket in exact fractions of a token: how many `1 / per-ms`, and when.
type Bucket = (u128, u64);

#[test]
fn rate_does_what_exact_buckets_do() {
    for seed in 1..=8 {
        let mut random = Random(seed);
        let limit = Limit {
            tokens: 1 + random.below(20) as u32,
            per_ms: 1 + random.below(2_000) as u32,
            burst: 1 + random.below(30) as u32,
        };
        let (space, mut model) = (RateSpace::default(), HashMap::<String, Bucket>::new());
        let (mut now, begun) = (1_000, 1_000);
        let mut allowed_of_one = 0_u128;
        let full = u128::from(limit.burst) * u128::from(limit.per_ms);
        for step in 0..5_000 {
            now += random.below(40);
            let (key, cost) = (format!("k{}", random.below(3)), random.below(5) as u32);
            let (parts, at) = model.get(&key).copied().unwrap_or((full, now));
            let parts = full.min(parts + u128::from(now - at) * u128::from(limit.tokens));
            let price = u128::from(cost) * u128::from(limit.per_ms);
            let allowed = price <= parts;
            let decision = space.take(key.clone(), &limit, cost, now);
            assert_eq!(
                decision.allowed, allowed,
                "seed {seed}, step {step}: {limit:?} {key} {cost}"
            );
            let parts = if allowed { parts - price } else { parts };
            assert_eq!(
                u128::from(decision.remaining),
                parts / u128::from(limit.per_ms),
                "step {step}"
            );
            if !allowed && cost <= limit.burst {
                let waited = u128::from(decision.retry_after_ms) * u128::from(limit.tokens);
                assert!(parts + waited >= price, "after that pause there is enough");
            }
            if allowed && key == "k0" {
                allowed_of_one += price;
            }
            model.insert(key, (parts, now));
        }
        let most = full + u128::from(now - begun) * u128::from(limit.tokens);
        assert!(allowed_of_one <= most, "never more than the burst and what came since");
    }
}
