//! `[plugins.<name>]`, `[chains.<name>]` and `[limits]`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Amount, At, Free, Percent, Size, TextOr, Time};

/// A filter with its permissions and limits.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Plugin {
    /// Where the component is. Default: `<name>.wasm` in the plugin folder.
    pub(crate) source: Option<PluginSource>,
    /// What happens to a request when the filter fails. Default: `reject`.
    pub(crate) on_error: Option<OnError>,
    /// How instances and requests go together. Default: what suits the component.
    pub(crate) isolation: Option<At<TextOr<Isolation>>>,
    /// What its key-value store, token buckets, metrics and instances are separate for. Default: `plugin`.
    pub(crate) namespace: Option<Namespace>,
    /// Capabilities. Default: all but `kv` and `rate`.
    pub(crate) allow: Allow,
    /// What it may use for one request. Default: `[limits]`.
    pub(crate) limits: PluginLimits,
    /// Its configuration, which it checks itself.
    pub(crate) config: Option<At<Free>>,
    /// When it is not called any more because it keeps being stopped, or `"off"`. Default: 20 stops in `10s` that are `50%` of
    /// its requests.
    pub(crate) quarantine: Option<At<TextOr<Quarantine>>>,
    /// Does the version before come back by itself when a new one is stopped much more often? Default: true.
    pub(crate) fallback: Option<bool>,
}

/// When a filter that keeps being stopped is not called any more; its `on-error` happens instead.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Quarantine {
    /// Stops within the window. Default: 20.
    pub(crate) stops: Option<At<u64>>,
    /// The window. Default: `10s`.
    pub(crate) window: Option<At<Amount<Time>>>,
    /// The least share of the filter's requests meanwhile that was stopped. Default: `50%`.
    pub(crate) share: Option<At<Amount<Percent>>>,
    /// Until one request tries whether the filter is well again; doubled with each that fails. Default: `5s`.
    pub(crate) probe: Option<At<Amount<Time>>>,
}

/// Where a component is.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct PluginSource {
    /// A file, relative to this one.
    pub(crate) file: Option<At<String>>,
}

/// What happens to a request when a filter fails.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OnError {
    /// The request is answered with 503.
    Reject,
    /// The filter is left out; refused for filters that authenticate.
    Skip,
    /// The filter is left out even if it authenticates.
    SkipEvenAuth,
}

/// What the state of a filter is separate for.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Namespace {
    /// The plugin: all its routes share it.
    Plugin,
    /// Each route that uses the plugin.
    Route,
}

/// `{ worker = { recycle = 1024 } }` instead of `"request"` or `"worker"`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Isolation {
    /// Instances are kept by a worker thread and reused.
    pub(crate) worker: Worker,
}

/// How instances are reused.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Worker {
    /// Requests after which an instance is replaced. Default: 1024.
    pub(crate) recycle: Option<At<u64>>,
}

/// Capabilities that a filter may import.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Allow {
    /// Lines in the log. Default: true.
    pub(crate) log: Option<bool>,
    /// Metrics of its own. Default: true.
    pub(crate) metrics: Option<bool>,
    /// Time in milliseconds. Default: true.
    pub(crate) clock: Option<bool>,
    /// Random values. Default: true.
    pub(crate) random: Option<bool>,
    /// Undeclared fields of the running exchange. Default: true.
    pub(crate) exchange: Option<bool>,
    /// The key-value store. Default: false.
    pub(crate) kv: Option<bool>,
    /// Token buckets. Default: false.
    pub(crate) rate: Option<bool>,
}

/// A list of filters that routes share.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Chain {
    /// Plugins in the order of their request side; the response side runs in reverse.
    pub(crate) filters: Option<At<Vec<At<TextOr<Filter>>>>>,
}

/// A plugin at its place in a chain.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Filter {
    /// Name of the plugin.
    pub(crate) plugin: At<String>,
    /// Keys that replace those of the plugin's own configuration here.
    pub(crate) config: Option<At<Free>>,
}

macro_rules! limits {
    ($(#[$doc:meta])* $name:ident { $($own:tt)* }) => {
        $(#[$doc])*
        #[derive(Debug, Default, Deserialize, JsonSchema)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
        pub(crate) struct $name {
            $($own)*
            /// Units of fuel, about one for each instruction, over all phases of a request. Default: 40000000.
            pub(crate) fuel: Option<At<u64>>,
            /// Processor time of one phase. Default: `50ms`.
            pub(crate) time: Option<At<Amount<Time>>>,
            /// All memories of an instance together. Default: `16MiB`.
            pub(crate) memory: Option<At<Amount<Size>>>,
            /// Entries of all tables together. Default: 10000.
            pub(crate) table_entries: Option<At<u64>>,
            /// Core instances in a component. Default: 64.
            pub(crate) core_instances: Option<At<u64>>,
            /// Memories in a component. Default: 8.
            pub(crate) memories: Option<At<u64>>,
            /// Bytes that go through host calls in one phase. Default: `1MiB`.
            pub(crate) host_bytes: Option<At<Amount<Size>>>,
            /// Host calls in one request, and in taking in a configuration. Default: 1000.
            pub(crate) host_calls: Option<At<u64>>,
            /// Processor time to instantiate. Default: `100ms`.
            pub(crate) instantiate_time: Option<At<Amount<Time>>>,
            /// Processor time to take in a configuration. Default: `2s`.
            pub(crate) configure_time: Option<At<Amount<Time>>>,
            /// Largest component file. Default: `16MiB`.
            pub(crate) file_size: Option<At<Amount<Size>>>,
        }
    };
}

limits! {
    /// What a plugin may use for one request.
    PluginLimits {}
}

limits! {
    /// Defaults for every plugin, and what one request may use.
    Limits {
        /// Fuel of all filters of a request together. Default: 80000000.
        pub(crate) request_fuel: Option<At<u64>>,
    }
}

impl Limits {
    /// The keys that plugins have, too.
    pub(crate) fn into_parts(self) -> (PluginLimits, Option<At<u64>>) {
        let plugin = PluginLimits {
            fuel: self.fuel,
            time: self.time,
            memory: self.memory,
            table_entries: self.table_entries,
            core_instances: self.core_instances,
            memories: self.memories,
            host_bytes: self.host_bytes,
            host_calls: self.host_calls,
            instantiate_time: self.instantiate_time,
            configure_time: self.configure_time,
            file_size: self.file_size,
        };
        (plugin, self.request_fuel)
    }
}
