//! Which endpoint takes the next request.
//!
//! A policy is a pure decision: candidates and a running number come in, a position goes out. It is built from the
//! weights once, keeps no state of its own, and so needs no lock.

mod round_robin;

#[cfg(test)]
mod laws;

use edgewit_model as model;

/// Decides which endpoint takes a request.
pub trait Policy: Send + Sync {
    /// The position of the chosen candidate; `None` only if there is no candidate. An excluded candidate is chosen only
    /// if all are excluded. `turn` counts the requests of the upstream over all workers and wraps around.
    fn choose(&self, candidates: &dyn Candidates, turn: u64) -> Option<usize>;
}

/// The endpoints as a policy sees them, by position.
pub trait Candidates {
    /// How many there are.
    fn count(&self) -> usize;

    /// The share of one, at least 1.
    fn weight(&self, index: usize) -> u32;

    /// Requests that one is busy with, over all workers.
    fn load(&self, index: usize) -> u64;

    /// Whether one should be avoided.
    fn excluded(&self, index: usize) -> bool;
}

/// A policy that can be configured.
pub struct Variant {
    /// Its word in the configuration.
    pub name: &'static str,
    /// Its case in the model.
    pub kind: model::Balance,
    /// Builds it for endpoints with these weights.
    pub build: fn(&[u32]) -> Box<dyn Policy>,
}

/// All policies. The first stands in for a kind that has no entry, which a test rules out.
pub const TABLE: &[Variant] = &[round_robin::VARIANT];

/// The policy of this kind for endpoints with these weights.
pub(crate) fn policy(kind: model::Balance, weights: &[u32]) -> Box<dyn Policy> {
    let build =
        TABLE.iter().find(|v| v.kind == kind).map_or(round_robin::VARIANT.build, |v| v.build);
    build(weights)
}
