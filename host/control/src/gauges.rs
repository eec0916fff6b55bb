//! The metrics that tell of changes.

use std::{collections::BTreeMap, sync::Arc};

use edgewit_model::PluginName;
use edgewit_telemetry::{Counter, Gauge, Info, Metrics, families};

use crate::prepare::PreparedPlugins;

/// Handles of the metrics that tell of changes: a series is there as long as somebody holds it.
pub(crate) struct Gauges {
    metrics: Arc<Metrics>,
    successful: Gauge,
    generation: Gauge,
    plugins: Vec<Info>,
    swaps: BTreeMap<(PluginName, &'static str), Counter>,
    _build: Info,
}

/// Plugins times results whose swaps are counted.
const MOST_SWAPS: usize = 2_000;

impl Gauges {
    pub(crate) fn new(metrics: &Arc<Metrics>) -> Self {
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        Self {
            successful: metrics.gauge(&families::CONFIG_LAST_RELOAD_SUCCESSFUL, &[]),
            generation: metrics.gauge(&families::CONFIG_GENERATION, &[]),
            plugins: Vec::new(),
            swaps: BTreeMap::new(),
            _build: metrics.info(&families::BUILD_INFO, &version),
            metrics: Arc::clone(metrics),
        }
    }

    pub(crate) fn reloaded(&self, successful: bool) {
        self.successful.set(successful.into());
    }

    /// Another generation serves, with these plugins.
    pub(crate) fn live(&mut self, generation: u64, plugins: &PreparedPlugins) {
        self.generation.set(generation);
        let info = |(name, prepared): (&PluginName, &Arc<crate::prepare::Prepared>)| {
            let digest = prepared.digest.to_string();
            let labels =
                [("plugin", name.as_str()), ("version", prepared.version()), ("digest", &digest)];
            self.metrics.info(&families::PLUGIN_INFO, &labels)
        };
        self.plugins = plugins.iter().map(info).collect();
    }

    /// A plugin was `swapped` or `refused`.
    pub(crate) fn swap(&mut self, plugin: &PluginName, result: &'static str) {
        let key = (plugin.clone(), result);
        if self.swaps.len() >= MOST_SWAPS && !self.swaps.contains_key(&key) {
            return;
        }
        let labels = [("plugin", plugin.as_str()), ("result", result)];
        let counter = || self.metrics.counter(&families::PLUGIN_SWAPS, &labels);
        self.swaps.entry(key).or_insert_with(counter).increment();
    }
}
