//! `kv`: a small store of keys and values for each plugin.

use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::{DashMap, Entry};

use super::clock::monotonic_ms;
use crate::{
    bindings::edgewit::filter::kv::{Host, Problem},
    state::State,
};

/// Keys of one plugin.
const MAX_KEYS: usize = 10_000;
/// Bytes of a key.
pub(crate) const MAX_KEY: usize = 512;
/// Bytes of a value.
const MAX_VALUE: usize = 64 << 10;

/// The keys of one plugin.
#[derive(Default)]
pub(crate) struct KvSpace {
    entries: DashMap<String, Item>,
    keys: AtomicUsize,
}

struct Item {
    value: Vec<u8>,
    /// In the milliseconds of [`monotonic_ms`]; `u64::MAX`: never.
    expires: u64,
}

impl Item {
    fn is_alive(&self, now: u64) -> bool {
        self.expires > now
    }
}

impl KvSpace {
    fn get(&self, key: &str, now: u64) -> Option<Vec<u8>> {
        self.entries.get(key).filter(|item| item.is_alive(now)).map(|item| item.value.clone())
    }

    fn delete(&self, key: &str) {
        if self.entries.remove(key).is_some() {
            self.keys.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Lets `change` decide about the present value, if it is alive, under the key's lock. It answers the new value with
    /// its time to live, if it wants to write one, and what to return.
    fn update<R>(
        &self,
        key: String,
        now: u64,
        change: impl FnOnce(Option<&[u8]>) -> (Option<(Vec<u8>, Expiry)>, R),
    ) -> Result<R, Problem> {
        self.make_room(now);
        match self.entries.entry(key) {
            Entry::Occupied(mut slot) => {
                let item = slot.get_mut();
                let alive = item.is_alive(now);
                let (write, answer) = change(alive.then_some(item.value.as_slice()));
                if let Some((value, expiry)) = write {
                    item.value = value;
                    item.expires = match expiry {
                        Expiry::At(at) => at,
                        Expiry::KeepOr(at) => {
                            if alive {
                                item.expires
                            } else {
                                at
                            }
                        }
                    };
                }
                Ok(answer)
            }
            Entry::Vacant(slot) => {
                let (write, answer) = change(None);
                if let Some((value, Expiry::At(expires) | Expiry::KeepOr(expires))) = write {
                    // Counted before it is there, so that all threads together stay within the bound.
                    if self.keys.fetch_add(1, Ordering::Relaxed) >= MAX_KEYS {
                        self.keys.fetch_sub(1, Ordering::Relaxed);
                        return Err(Problem::Full);
                    }
                    slot.insert(Item { value, expires });
                }
                Ok(answer)
            }
        }
    }

    /// Forgets what has expired when the store is full; until then expired items cost nothing but their place.
    fn make_room(&self, now: u64) {
        if self.keys.load(Ordering::Relaxed) >= MAX_KEYS {
            self.entries.retain(|_, item| {
                let alive = item.is_alive(now);
                if !alive {
                    self.keys.fetch_sub(1, Ordering::Relaxed);
                }
                alive
            });
        }
    }
}

enum Expiry {
    /// Then.
    At(u64),
    /// When the present value does, or then if there is none.
    KeepOr(u64),
}

fn at(now: u64, ttl_ms: Option<u64>) -> u64 {
    ttl_ms.map_or(u64::MAX, |ttl| now.saturating_add(ttl))
}

impl Host for State {
    fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<Vec<u8>>, Problem>> {
        self.with_kv(&key, |kv, now| Ok(kv.get(&key, now)))
    }

    fn set(
        &mut self,
        key: String,
        value: Vec<u8>,
        ttl_ms: Option<u64>,
    ) -> wasmtime::Result<Result<(), Problem>> {
        self.with_kv(&key.clone(), |kv, now| {
            let value = sized(value)?;
            kv.update(key, now, |_| (Some((value, Expiry::At(at(now, ttl_ms)))), ()))
        })
    }

    fn delete(&mut self, key: String) -> wasmtime::Result<Result<(), Problem>> {
        self.with_kv(&key, |kv, _| {
            kv.delete(&key);
            Ok(())
        })
    }

    fn add(
        &mut self,
        key: String,
        amount: i64,
        ttl_ms: Option<u64>,
    ) -> wasmtime::Result<Result<i64, Problem>> {
        self.with_kv(&key.clone(), |kv, now| {
            kv.update(key, now, |present| {
                let bytes = present.and_then(|v| <[u8; 8]>::try_from(v).ok());
                let sum = bytes.map_or(0, i64::from_le_bytes).wrapping_add(amount);
                let expiry = Expiry::KeepOr(at(now, ttl_ms));
                (Some((sum.to_le_bytes().to_vec(), expiry)), sum)
            })
        })
    }

    fn compare_and_set(
        &mut self,
        key: String,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
        ttl_ms: Option<u64>,
    ) -> wasmtime::Result<Result<bool, Problem>> {
        self.with_kv(&key.clone(), |kv, now| {
            let value = sized(value)?;
            kv.update(key, now, |present| {
                let same = present == expected.as_deref();
                (same.then_some((value, Expiry::At(at(now, ttl_ms)))), same)
            })
        })
    }
}

impl State {
    fn with_kv<R>(
        &mut self,
        key: &str,
        act: impl FnOnce(&KvSpace, u64) -> Result<R, Problem>,
    ) -> wasmtime::Result<Result<R, Problem>> {
        self.charge()?;
        let Some(shared) = &self.shared else { return Ok(Err(Problem::Unavailable)) };
        if key.is_empty() || key.len() > MAX_KEY {
            return Ok(Err(Problem::BadKey));
        }
        Ok(act(&shared.kv, monotonic_ms()))
    }
}

fn sized(value: Vec<u8>) -> Result<Vec<u8>, Problem> {
    if value.len() > MAX_VALUE { Err(Problem::TooLarge) } else { Ok(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(kv: &KvSpace, key: &str, now: u64, ttl: Option<u64>) -> Result<(), Problem> {
        kv.update(key.to_owned(), now, |_| (Some((b"v".to_vec(), Expiry::At(at(now, ttl)))), ()))
    }

    #[test]
    fn values_expire() {
        let kv = KvSpace::default();
        set(&kv, "a", 100, Some(50)).unwrap();
        assert_eq!(kv.get("a", 149).as_deref(), Some(b"v".as_slice()));
        assert_eq!(kv.get("a", 150), None);
        let seen = kv.update("a".into(), 150, |present| (None, present.map(<[u8]>::to_vec)));
        assert_eq!(seen.unwrap(), None, "an expired value is absent for updates too");
    }

    #[test]
    fn a_full_store_refuses_until_something_expires() {
        let kv = KvSpace::default();
        for n in 0..MAX_KEYS {
            let ttl = (n % 2 == 0).then_some(10);
            set(&kv, &format!("k{n}"), 0, ttl).unwrap();
        }
        assert!(matches!(set(&kv, "more", 5, None), Err(Problem::Full)));
        set(&kv, "k1", 5, None).expect("what is there can be written");
        set(&kv, "more", 10, None).expect("half of the keys have expired");
        assert_eq!(kv.keys.load(Ordering::Relaxed), MAX_KEYS / 2 + 1);
    }
}
