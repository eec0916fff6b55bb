//! Which endpoint takes the next request.
//!
//! A policy is a pure decision: candidates and what is asked come in, a position goes out. It is built from the members of
//! a set once, keeps no state of its own, and so needs no lock.

mod shares;

mod round_robin;

mod random;

mod least_request;

mod peak_ewma;

mod ring_hash;

mod maglev;

#[cfg(test)]
mod laws;

use edgewit_model as model;

/// Decides which endpoint takes a request.
pub trait Policy: Send + Sync {
    /// The position of the chosen candidate; `None` only if there is no candidate. An excluded candidate is chosen only
    /// if all are excluded.
    fn choose(&self, candidates: &dyn Candidates, ask: &Ask) -> Option<usize>;
}

/// What a choice is made by, besides the candidates.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ask {
    /// Counts the requests of the upstream over all workers, and wraps around.
    pub turn: u64,
    /// Drawn evenly from all numbers, for each choice anew.
    pub random: u64,
    /// What the request says about where it goes: the same number, the same endpoint. `None`: it says nothing.
    pub hash: Option<u64>,
}

/// The endpoints as a policy sees them, by position.
pub trait Candidates {
    /// How many there are.
    fn count(&self) -> usize;

    /// The share of one, at least 1.
    fn weight(&self, index: usize) -> u32;

    /// Requests that one is busy with, over all workers.
    fn load(&self, index: usize) -> u64;

    /// Microseconds until one answers, as far as one knows; `None`: it has not answered yet. Known only to a policy whose
    /// variant asks for it.
    fn latency(&self, index: usize) -> Option<u64>;

    /// Whether one should be avoided.
    fn excluded(&self, index: usize) -> bool;
}

/// What a policy is built from: one for each candidate, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Says who it is: the same in every process, and after every change of the set.
    pub key: u64,
    /// Its share, at least 1.
    pub weight: u32,
}

/// A policy that can be configured.
pub struct Variant {
    /// Its word in the configuration.
    pub name: &'static str,
    /// Its case in the model.
    pub kind: model::Balance,
    /// Whether it wants to know latencies: then a request reads the clock.
    pub wants_latency: bool,
    /// Builds it for these members.
    pub build: fn(&[Member]) -> Box<dyn Policy>,
}

/// All policies. The first stands in for a kind that has no entry, which a test rules out.
pub const TABLE: &[Variant] = &[
    round_robin::VARIANT,
    random::VARIANT,
    least_request::VARIANT,
    peak_ewma::VARIANT,
    ring_hash::VARIANT,
    maglev::VARIANT,
];

/// The policy of this kind.
pub(crate) fn variant(kind: model::Balance) -> &'static Variant {
    TABLE.iter().find(|v| v.kind == kind).unwrap_or(&round_robin::VARIANT)
}

/// Another number that looks drawn, made of one that may not (splitmix64).
pub(crate) fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
