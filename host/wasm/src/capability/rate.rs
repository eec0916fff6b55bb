//! `rate`: token buckets kept by the host.

use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::{DashMap, Entry};

use super::{clock::monotonic_ms, kv::MAX_KEY};
use crate::{
    bindings::edgewit::filter::rate::{Decision, Host, Limit},
    state::State,
};

/// Buckets of one plugin.
const MAX_BUCKETS: usize = 100_000;
/// What a refused caller is told when there is no room for its bucket.
const FULL_RETRY_MS: u32 = 1_000;

/// The buckets of one plugin.
#[derive(Default)]
pub(crate) struct RateSpace {
    buckets: DashMap<String, Bucket>,
    count: AtomicUsize,
}

/// Tokens are counted in `1 / per-ms` of a token, so that refilling needs no fractions: each millisecond brings `tokens`
/// such parts.
#[derive(Clone, Copy)]
struct Bucket {
    parts: u64,
    at: u64,
    /// When it is full again and can be forgotten.
    full_at: u64,
}

impl Bucket {
    fn full(limit: &Limit, now: u64) -> Self {
        Self { parts: capacity(limit), at: now, full_at: now }
    }

    fn take(&mut self, limit: &Limit, cost: u32, now: u64) -> Decision {
        let (tokens, per_ms) = (u64::from(limit.tokens), u64::from(limit.per_ms));
        let gained = now.saturating_sub(self.at).saturating_mul(tokens);
        self.parts = self.parts.saturating_add(gained).min(capacity(limit));
        self.at = now;
        let price = u64::from(cost) * per_ms;
        let allowed = price <= self.parts;
        if allowed {
            self.parts -= price;
        }
        self.full_at = now + (capacity(limit) - self.parts).div_ceil(tokens);
        let retry_after = match () {
            () if allowed => 0,
            () if cost > limit.burst => u32::MAX,
            () => u32::try_from((price - self.parts).div_ceil(tokens)).unwrap_or(u32::MAX - 1),
        };
        let remaining = u32::try_from(self.parts / per_ms).unwrap_or(u32::MAX);
        Decision { allowed, remaining, retry_after_ms: retry_after }
    }
}

fn capacity(limit: &Limit) -> u64 {
    u64::from(limit.burst) * u64::from(limit.per_ms)
}

impl RateSpace {
    pub(super) fn take(&self, key: String, limit: &Limit, cost: u32, now: u64) -> Decision {
        if self.count.load(Ordering::Relaxed) >= MAX_BUCKETS {
            self.forget_full(now);
        }
        match self.buckets.entry(key) {
            Entry::Occupied(mut slot) => slot.get_mut().take(limit, cost, now),
            Entry::Vacant(slot) => {
                if self.count.fetch_add(1, Ordering::Relaxed) >= MAX_BUCKETS {
                    self.count.fetch_sub(1, Ordering::Relaxed);
                    return Decision {
                        allowed: false,
                        remaining: 0,
                        retry_after_ms: FULL_RETRY_MS,
                    };
                }
                slot.insert(Bucket::full(limit, now)).take(limit, cost, now)
            }
        }
    }

    /// A bucket that is full again says nothing that a new one would not say.
    fn forget_full(&self, now: u64) {
        self.buckets.retain(|_, bucket| {
            let used = bucket.full_at > now;
            if !used {
                self.count.fetch_sub(1, Ordering::Relaxed);
            }
            used
        });
    }
}

impl Host for State {
    fn take(
        &mut self,
        key: String,
        limit: Limit,
        cost: u32,
    ) -> wasmtime::Result<Result<Decision, String>> {
        self.charge()?;
        let Some(shared) = &self.shared else {
            return Ok(Err("rate limits are not available while configuring".to_owned()));
        };
        Ok(valid(&key, &limit).map(|()| shared.rate.take(key, &limit, cost, monotonic_ms())))
    }
}

fn valid(key: &str, limit: &Limit) -> Result<(), String> {
    if key.is_empty() || key.len() > MAX_KEY {
        return Err(format!("a key has 1 to {MAX_KEY} bytes, this one has {}", key.len()));
    }
    let fields = [("tokens", limit.tokens), ("per-ms", limit.per_ms), ("burst", limit.burst)];
    match fields.into_iter().find(|(_, value)| *value == 0) {
        Some((name, _)) => Err(format!("`{name}` must be at least 1")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN_PER_SECOND: Limit = Limit { tokens: 10, per_ms: 1_000, burst: 3 };

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let rates = RateSpace::default();
        let take = |now| rates.take("k".into(), &TEN_PER_SECOND, 1, now);
        let first: Vec<bool> = (0..4).map(|_| take(0).allowed).collect();
        assert_eq!(first, [true, true, true, false]);
        assert_eq!(take(0).retry_after_ms, 100);
        assert!(!take(99).allowed && take(100).allowed && !take(100).allowed);
        let allowed = (0..10_000).filter(|ms| take(200 + ms).allowed).count();
        assert!((99..=101).contains(&allowed), "ten seconds give about 100, not {allowed}");
    }

    #[test]
    fn what_can_never_be_allowed_says_so() {
        let rates = RateSpace::default();
        let decision = rates.take("k".into(), &TEN_PER_SECOND, 4, 0);
        assert!(!decision.allowed && decision.retry_after_ms == u32::MAX);
    }

    #[test]
    fn extreme_limits_do_not_overflow() {
        let rates = RateSpace::default();
        let limit = Limit { tokens: u32::MAX, per_ms: u32::MAX, burst: u32::MAX };
        assert!(rates.take("k".into(), &limit, u32::MAX, 0).allowed);
        assert!(!rates.take("k".into(), &limit, u32::MAX, 1).allowed);
        let slow = Limit { tokens: 1, per_ms: u32::MAX, burst: u32::MAX };
        assert!(rates.take("s".into(), &slow, u32::MAX, 0).allowed);
        assert!(!rates.take("s".into(), &slow, 1, 1).allowed);
    }

    #[test]
    fn full_buckets_make_room_for_new_ones() {
        let rates = RateSpace::default();
        for n in 0..MAX_BUCKETS {
            rates.take(n.to_string(), &TEN_PER_SECOND, 1, 0);
        }
        assert!(!rates.take("late".into(), &TEN_PER_SECOND, 1, 50).allowed);
        assert!(rates.take("late".into(), &TEN_PER_SECOND, 1, 100).allowed);
        assert_eq!(rates.count.load(Ordering::Relaxed), 1);
    }
}
