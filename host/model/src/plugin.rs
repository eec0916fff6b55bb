//! Filters as the operator sees them: files with permissions and limits.

use std::{path::PathBuf, time::Duration};

use crate::{ByteSize, PluginName};

/// `[plugins.<name>]`, or the defaults for a plugin that is only used.
#[derive(Debug, Clone, PartialEq)]
pub struct Plugin {
    /// Its key, or the stem of its file.
    pub name: PluginName,
    /// The component.
    pub path: PathBuf,
    /// What happens to a request when the filter fails.
    pub on_error: OnError,
    /// How instances and requests go together; `None`: the default for this kind of component.
    pub isolation: Option<Isolation>,
    /// What its key-value store, token buckets, metrics and instances are separate for.
    pub namespace: Namespace,
    /// Capabilities it may import.
    pub allow: Grants,
    /// What it may use.
    pub limits: PluginLimits,
    /// Its configuration; handed to `lifecycle.configure` as a JSON object.
    pub config: serde_json::Map<String, serde_json::Value>,
    /// When it is not called any more; `None`: always called.
    pub quarantine: Option<Quarantine>,
    /// Does the version before come back by itself when a new one is stopped much more often?
    pub fallback: bool,
}

/// When a version of a plugin that keeps being stopped is not called any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quarantine {
    /// Stops within the window.
    pub stops: u32,
    /// The window.
    pub window: Duration,
    /// The least share of the requests meanwhile that was stopped, in percent.
    pub share_percent: u32,
    /// Until one request tries whether the filter is well again; doubled with each that fails.
    pub probe: Duration,
}

impl Default for Quarantine {
    fn default() -> Self {
        Self {
            stops: 20, // a filter that stops now and then is a matter for the log
            window: Duration::from_secs(10),
            share_percent: 50, // or a client with requests that trap could switch a filter off for everybody
            probe: Duration::from_secs(5),
        }
    }
}

/// A plugin at its place in a chain.
#[derive(Debug, Clone, PartialEq)]
pub struct FilterUse {
    /// Which plugin.
    pub plugin: PluginName,
    /// Keys that replace those of the plugin's own configuration here.
    pub config: Option<serde_json::Map<String, serde_json::Value>>,
}

/// What happens to a request when a filter fails, traps or meets a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// The request is answered with 503.
    #[default]
    Reject,
    /// The filter is left out for this request; refused for plugins that export `auth`.
    Skip,
    /// The filter is left out even if it authenticates.
    SkipEvenAuth,
}

/// How instances and requests go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// A fresh instance for each request.
    Request,
    /// Instances are kept by a worker thread and reused.
    Worker {
        /// Requests after which an instance is replaced.
        recycle: u32,
    },
}

/// What the key-value store, the token buckets, the metrics and the instances of a plugin are separate for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Namespace {
    /// The plugin: all its routes share them.
    #[default]
    Plugin,
    /// Each route that uses the plugin.
    Route,
}

impl Namespace {
    /// As in TOML.
    pub fn as_str(self) -> &'static str {
        match self {
            Namespace::Plugin => "plugin",
            Namespace::Route => "route",
        }
    }
}

/// Capabilities that a plugin may import. `log`, `metrics`, `clock`, `random` and `exchange` tell nothing that a filter
/// does not have anyway and are given unless taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grants {
    /// Lines in the host's log.
    pub log: bool,
    /// Metrics of its own.
    pub metrics: bool,
    /// Time in milliseconds.
    pub clock: bool,
    /// Random values.
    pub random: bool,
    /// Undeclared fields of the running exchange.
    pub exchange: bool,
    /// The key-value store.
    pub kv: bool,
    /// Token buckets.
    pub rate: bool,
}

impl Default for Grants {
    fn default() -> Self {
        Self {
            log: true,
            metrics: true,
            clock: true,
            random: true,
            exchange: true,
            kv: false,
            rate: false,
        }
    }
}

/// What one plugin may use for one request. Reasons stand in CONTRACT 5 and `host/RATIONALE.md`.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginLimits {
    /// Units of fuel, about one for each instruction, over all phases of a request.
    pub fuel: u64,
    /// Processor time of one phase. A hundred times as long by the clock ends it, too.
    pub time: Duration,
    /// All memories of an instance together.
    pub memory: ByteSize,
    /// Entries of all tables together.
    pub table_entries: usize,
    /// Core instances in a component.
    pub core_instances: usize,
    /// Memories in a component.
    pub memories: usize,
    /// Bytes that go through host calls in one phase.
    pub host_bytes: ByteSize,
    /// Host calls in one request.
    pub host_calls: u32,
    /// Processor time to instantiate.
    pub instantiate_time: Duration,
    /// Processor time of `lifecycle.configure`.
    pub configure_time: Duration,
    /// Largest component file.
    pub file_size: ByteSize,
}

impl Default for PluginLimits {
    fn default() -> Self {
        Self {
            fuel: 40_000_000, // every guest language passes, cold; a P-256 signature checked in a guest takes 22 M
            time: Duration::from_millis(50),
            memory: ByteSize(16 << 20),
            table_entries: 10_000,
            core_instances: 64, // a Python component has dozens
            memories: 8,
            host_bytes: ByteSize(1 << 20),
            host_calls: 1_000,
            instantiate_time: Duration::from_millis(100),
            configure_time: Duration::from_secs(2),
            file_size: ByteSize(16 << 20),
        }
    }
}

/// What one request may use over the whole chain.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestLimits {
    /// Fuel of all filters together.
    pub fuel: u64,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self { fuel: 80_000_000 } // two of the hungriest plugins
    }
}
