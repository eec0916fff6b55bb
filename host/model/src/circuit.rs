//! How much an upstream is asked at a time.

use std::time::Duration;

/// `circuit = { ... }`: bounds on what is under way to an upstream, over all workers.
#[derive(Debug, Clone, PartialEq)]
pub struct Circuit {
    /// Attempts that are under way, to the end of the response.
    pub max_requests: u32,
    /// Attempts that wait until one of those ends.
    pub max_pending: u32,
    /// How long one waits.
    pub max_wait: Duration,
    /// Further attempts, retried or hedged, that are under way.
    pub max_retries: u32,
    /// Connections that are open, if they are bounded by more than what is under way and what is kept.
    pub max_connections: Option<u32>,
}

impl Default for Circuit {
    fn default() -> Self {
        Self {
            max_requests: 1_024, // as elsewhere; few services serve more at a time
            max_pending: 256,    // a quarter more, for bursts
            max_wait: Duration::from_millis(40), // so that a refusal is there within 50 ms (THREATS promise 12)
            max_retries: 32, // a storm of retries is short of slots before the upstream is
            max_connections: None, // `max_requests` and the pool bound them already
        }
    }
}

/// `concurrency = { ... }`: `max-requests` follows what the upstream can do.
#[derive(Debug, Clone, PartialEq)]
pub struct Concurrency {
    /// The bound never falls below.
    pub min: u32,
    /// The bound never rises above.
    pub max: u32,
    /// How often the time of an unloaded upstream is measured anew.
    pub recalibrate: Duration,
}

impl Default for Concurrency {
    fn default() -> Self {
        Self { min: 8, max: 1_024, recalibrate: Duration::from_secs(60) }
    }
}

/// `hedge = { ... }` of a route's `retry`: a second attempt while the first is still waiting.
#[derive(Debug, Clone, PartialEq)]
pub struct Hedge {
    /// How long the attempt before may wait for its response head.
    pub after: Duration,
    /// Further attempts at most, 1 to 3.
    pub most: u32,
}
