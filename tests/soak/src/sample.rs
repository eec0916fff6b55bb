//! What the program holds at a moment.

use edgewit_harness::{Gateway, Metrics};

/// What the program holds at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sample {
    /// Bytes of resident memory.
    pub memory: u64,
    /// Open files.
    pub files: u64,
    /// Threads.
    pub threads: u64,
    /// Processes that it has started.
    pub children: u64,
    /// Instances of filters.
    pub instances: u64,
    /// Requests that are being answered.
    pub requests: u64,
    /// Series of metrics.
    pub series: u64,
}

impl Sample {
    /// Right now.
    pub(crate) fn take(gateway: &Gateway) -> Self {
        let metrics = gateway.metrics();
        let whole = |name| Metrics::sum(&metrics, name, &[]) as u64;
        Self {
            memory: gateway.memory(),
            files: gateway.open_files() as u64,
            threads: gateway.threads() as u64,
            children: gateway.children().len() as u64,
            instances: whole("edgewit_instances"),
            requests: whole("http_server_active_requests"),
            series: metrics.samples() as u64,
        }
    }

    /// After everybody has gone, and it had its time to give things back.
    pub(crate) fn of_quiet(gateway: &Gateway) -> Self {
        Self { memory: gateway.memory_at_rest(), ..Self::take(gateway) }
    }
}
