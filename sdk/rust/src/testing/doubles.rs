//! The host's side of every capability, for tests: one module each, with the functions of the generated bindings.

use crate::bindings::capabilities::edgewit::filter::log::Level;
use crate::bindings::capabilities::edgewit::filter::types::Fact;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};

/// What the capabilities answer, and what was asked of them.
#[derive(Debug, Default)]
pub struct Host {
    /// Lines written to the log.
    pub log: Vec<(Level, String)>,
    /// Samples given to the metrics.
    pub metrics: Vec<Sample>,
    /// What `clock` answers. `rate` and `kv` go by it too.
    pub monotonic_ms: u64,
    /// What `clock` answers for the wall.
    pub wall_ms: u64,
    /// What `random` answers next; when it is used up, a fixed sequence follows.
    pub random: VecDeque<u64>,
    /// Facts that `exchange` knows.
    pub facts: Vec<(Fact, String)>,
    /// Request fields that `exchange` knows, with names in lower case.
    pub request_fields: Vec<(String, Vec<u8>)>,
    /// Response fields that `exchange` knows, with names in lower case.
    pub response_fields: Vec<(String, Vec<u8>)>,
    /// `kv` and `rate` fail, as they do in `configure` or when a backend is away.
    pub unavailable: bool,
    /// Values of `kv` with the monotonic time when they expire.
    pub kv: BTreeMap<String, (Vec<u8>, Option<u64>)>,
    /// Contents of the buckets of `rate`, in tokens times `per-ms`, and when they were counted.
    buckets: BTreeMap<String, (u64, u64)>,
    sequence: u64,
}

/// What a filter gave to `metrics`.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Name of the metric.
    pub name: String,
    /// Labels in the order given.
    pub labels: Vec<(String, String)>,
    /// Amount of a counter, value of a gauge or histogram.
    pub value: f64,
}

impl Sample {
    /// The value of a label.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(label, _)| label == name).map(|(_, value)| value.as_str())
    }
}

thread_local! {
    static HOST: RefCell<Host> = RefCell::default();
}

pub(super) fn with<R>(with: impl FnOnce(&mut Host) -> R) -> R {
    HOST.with_borrow_mut(with)
}

pub(crate) mod log {
    use super::{Level, with};

    pub(crate) fn write(level: Level, message: &str) {
        with(|host| host.log.push((level, message.to_owned())));
    }
}

pub(crate) mod metrics {
    use super::{Sample, with};
    use crate::bindings::capabilities::edgewit::filter::metrics::Label;

    pub(crate) fn add(name: &str, labels: &[Label], amount: u64) {
        set(name, labels, amount as f64);
    }

    pub(crate) fn set(name: &str, labels: &[Label], value: f64) {
        let labels = labels.iter().map(|label| (label.name.clone(), label.value.clone())).collect();
        with(|host| host.metrics.push(Sample { name: name.to_owned(), labels, value }));
    }

    pub(crate) fn observe(name: &str, labels: &[Label], value: f64) {
        set(name, labels, value);
    }
}

pub(crate) mod clock {
    use super::with;

    pub(crate) fn monotonic_ms() -> u64 {
        with(|host| host.monotonic_ms)
    }

    pub(crate) fn wall_ms() -> u64 {
        with(|host| host.wall_ms)
    }
}

pub(crate) mod random {
    use super::with;

    pub(crate) fn number() -> u64 {
        with(|host| host.random.pop_front().unwrap_or_else(|| splitmix(&mut host.sequence)))
    }

    pub(crate) fn bytes(length: u32) -> Vec<u8> {
        (0..length).map(|_| number() as u8).collect()
    }

    /// A generator whose values are spread evenly and the same in every run.
    fn splitmix(state: &mut u64) -> u64 {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

pub(crate) mod exchange {
    use super::{Fact, with};

    pub(crate) fn get_fact(fact: Fact) -> Option<String> {
        with(|host| {
            host.facts.iter().find(|(known, _)| *known == fact).map(|(_, value)| value.clone())
        })
    }

    pub(crate) fn request_field(name: &str) -> Option<Vec<u8>> {
        request_fields(name).into_iter().next()
    }

    pub(crate) fn request_fields(name: &str) -> Vec<Vec<u8>> {
        with(|host| values(&host.request_fields, name))
    }

    pub(crate) fn response_field(name: &str) -> Option<Vec<u8>> {
        response_fields(name).into_iter().next()
    }

    pub(crate) fn response_fields(name: &str) -> Vec<Vec<u8>> {
        with(|host| values(&host.response_fields, name))
    }

    fn values(fields: &[(String, Vec<u8>)], name: &str) -> Vec<Vec<u8>> {
        fields
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.clone())
            .collect()
    }
}

pub(crate) mod kv {
    use super::{Host, with};
    use crate::bindings::capabilities::edgewit::filter::kv::Problem;

    pub(crate) fn get(key: &str) -> Result<Option<Vec<u8>>, Problem> {
        available(key, |host| Ok(current(host, key)))
    }

    pub(crate) fn set(key: &str, value: &[u8], ttl_ms: Option<u64>) -> Result<(), Problem> {
        available(key, |host| store(host, key, value.to_vec(), ttl_ms))
    }

    pub(crate) fn delete(key: &str) -> Result<(), Problem> {
        available(key, |host| {
            host.kv.remove(key);
            Ok(())
        })
    }

    pub(crate) fn add(key: &str, amount: i64, ttl_ms: Option<u64>) -> Result<i64, Problem> {
        available(key, |host| {
            let present = current(host, key);
            let number = present.as_deref().and_then(|bytes| bytes.try_into().ok());
            let sum = number.map_or(0, i64::from_le_bytes).wrapping_add(amount);
            match host.kv.get_mut(key) {
                Some((value, _)) if present.is_some() => *value = sum.to_le_bytes().to_vec(),
                _ => store(host, key, sum.to_le_bytes().to_vec(), ttl_ms)?,
            }
            Ok(sum)
        })
    }

    pub(crate) fn compare_and_set(
        key: &str,
        expected: Option<&[u8]>,
        value: &[u8],
        ttl_ms: Option<u64>,
    ) -> Result<bool, Problem> {
        available(key, |host| {
            let same = current(host, key).as_deref() == expected;
            if same {
                store(host, key, value.to_vec(), ttl_ms)?;
            }
            Ok(same)
        })
    }

    fn available<R>(
        key: &str,
        call: impl FnOnce(&mut Host) -> Result<R, Problem>,
    ) -> Result<R, Problem> {
        with(|host| match key.len() {
            _ if host.unavailable => Err(Problem::Unavailable),
            1..=512 => call(host),
            _ => Err(Problem::BadKey),
        })
    }

    fn current(host: &Host, key: &str) -> Option<Vec<u8>> {
        let (value, expires) = host.kv.get(key)?;
        expires.is_none_or(|at| host.monotonic_ms < at).then(|| value.clone())
    }

    fn store(
        host: &mut Host,
        key: &str,
        value: Vec<u8>,
        ttl_ms: Option<u64>,
    ) -> Result<(), Problem> {
        if value.len() > 64 * 1024 {
            return Err(Problem::TooLarge);
        }
        if host.kv.len() >= 10_000 && !host.kv.contains_key(key) {
            return Err(Problem::Full);
        }
        let expires = ttl_ms.map(|ttl| host.monotonic_ms + ttl);
        host.kv.insert(key.to_owned(), (value, expires));
        Ok(())
    }
}

pub(crate) mod rate {
    use super::with;
    use crate::bindings::capabilities::edgewit::filter::rate::{Decision, Limit};

    pub(crate) fn take(key: &str, limit: Limit, cost: u32) -> Result<Decision, String> {
        if !(1..=512).contains(&key.len()) {
            return Err("a key has 1 to 512 bytes".into());
        }
        if limit.tokens == 0 || limit.per_ms == 0 || limit.burst == 0 {
            return Err("tokens, time and burst are at least 1".into());
        }
        with(|host| {
            if host.unavailable {
                return Err("not available here".into());
            }
            let now = host.monotonic_ms;
            let (tokens, per_ms) = (u64::from(limit.tokens), u64::from(limit.per_ms));
            let (full, wanted) = (u64::from(limit.burst) * per_ms, u64::from(cost) * per_ms);
            let (level, since) = host.buckets.entry(key.to_owned()).or_insert((full, now));
            *level = (*level + (now - *since) * tokens).min(full);
            *since = now;
            let allowed = wanted <= *level;
            if allowed {
                *level -= wanted;
            }
            let retry_after_ms = match wanted.saturating_sub(*level).div_ceil(tokens) {
                _ if allowed => 0,
                _ if wanted > full => u32::MAX,
                wait => wait as u32,
            };
            Ok(Decision { allowed, remaining: (*level / per_ms) as u32, retry_after_ms })
        })
    }
}
