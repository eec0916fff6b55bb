//! What a plugin may use and what it really uses, for those who set its limits.

use std::{collections::BTreeMap, time::Duration};

use edgewit_model::{PluginLimits, RequestLimits};
use edgewit_telemetry::{PluginUsage, Spread, Usage};
use serde::Serialize;

/// What a plugin may use for one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LimitsView {
    /// Units of fuel over all phases.
    pub fuel: u64,
    /// Processor time of one phase.
    pub time_ns: u64,
    /// Bytes of all memories of an instance together.
    pub memory_bytes: u64,
    /// Entries of all tables together.
    pub table_entries: usize,
    /// Core instances in a component.
    pub core_instances: usize,
    /// Memories in a component.
    pub memories: usize,
    /// Bytes that go through host calls in one phase.
    pub host_bytes: u64,
    /// Host calls in one request.
    pub host_calls: u32,
    /// Processor time to instantiate.
    pub instantiate_time_ns: u64,
    /// Processor time to take in a configuration.
    pub configure_time_ns: u64,
    /// Bytes of the file.
    pub file_size_bytes: u64,
    /// Units of fuel of all filters of a request together.
    pub request_fuel: u64,
}

impl LimitsView {
    pub(crate) fn new(limits: &PluginLimits, request: &RequestLimits) -> Self {
        Self {
            fuel: limits.fuel,
            time_ns: nanos(limits.time),
            memory_bytes: limits.memory.0,
            table_entries: limits.table_entries,
            core_instances: limits.core_instances,
            memories: limits.memories,
            host_bytes: limits.host_bytes.0,
            host_calls: limits.host_calls,
            instantiate_time_ns: nanos(limits.instantiate_time),
            configure_time_ns: nanos(limits.configure_time),
            file_size_bytes: limits.file_size.0,
            request_fuel: request.fuel,
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// What calls of a plugin used.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct UsageView {
    /// Units of fuel of one call.
    fuel: SpreadView,
    /// Of one call.
    time_ns: SpreadView,
    /// Of an instance after a call.
    memory_bytes: SpreadView,
    /// The same by what versions say of themselves.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    versions: BTreeMap<String, UsageView>,
}

#[derive(Debug, Clone, Serialize)]
struct SpreadView {
    count: u64,
    p50: u64,
    p99: u64,
    max: u64,
}

impl From<PluginUsage> for UsageView {
    fn from(PluginUsage { all, versions }: PluginUsage) -> Self {
        let versions = versions.into_iter().map(|(version, usage)| (version, usage.into()));
        Self { versions: versions.collect(), ..all.into() }
    }
}

impl From<Usage> for UsageView {
    fn from(Usage { fuel, time_ns, memory }: Usage) -> Self {
        let view = |Spread { count, p50, p99, max }| SpreadView { count, p50, p99, max };
        Self {
            fuel: view(fuel),
            time_ns: view(time_ns),
            memory_bytes: view(memory),
            versions: BTreeMap::new(),
        }
    }
}
