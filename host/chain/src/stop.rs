//! Why a call of a filter did not come to its end.

use std::fmt;

/// Why a call of a filter did not come to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stopped by {reason}: {detail}")]
pub struct Stop {
    /// The kind of reason, a closed set.
    pub reason: StopReason,
    /// Words for the operator: limits and what was used, the guest's own error, its stack. Never shown to clients.
    pub detail: String,
}

impl Stop {
    /// A stop with words for the operator.
    pub fn new(reason: StopReason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

/// The kinds of reason; the label `reason` of `edgewit_filter_stops_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StopReason {
    /// The fuel of the plugin or of the request was used up.
    Fuel,
    /// It wanted more memory, table entries or instances than it may have.
    Memory,
    /// A phase took too long.
    Time,
    /// It ran into `unreachable`, out-of-bounds access, a stack overflow.
    Trap,
    /// It returned something that the contract does not allow.
    Abi,
    /// It asked too much of a capability: calls, bytes, lengths.
    Capability,
    /// It returned an error.
    Error,
    /// The host had no room for another instance.
    Exhausted,
    /// It was not called: it was stopped too often shortly before.
    Quarantine,
}

impl StopReason {
    /// All reasons.
    pub const ALL: [StopReason; 9] = [
        StopReason::Fuel,
        StopReason::Memory,
        StopReason::Time,
        StopReason::Trap,
        StopReason::Abi,
        StopReason::Capability,
        StopReason::Error,
        StopReason::Exhausted,
        StopReason::Quarantine,
    ];

    /// Its name in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            StopReason::Fuel => "fuel",
            StopReason::Memory => "memory",
            StopReason::Time => "time",
            StopReason::Trap => "trap",
            StopReason::Abi => "abi",
            StopReason::Capability => "capability",
            StopReason::Error => "error",
            StopReason::Exhausted => "exhausted",
            StopReason::Quarantine => "quarantine",
        }
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
