//! What instances share: the key-value store, the token buckets and the metrics of their plugin.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use dashmap::DashMap;
use edgewit_model::{PluginName, RouteName};
use edgewit_telemetry::{PluginMetrics, PluginSeries};

use super::{kv::KvSpace, rate::RateSpace};

/// What all instances of one plugin share, or those of one plugin in one route, and nothing of another.
pub(crate) struct Shared {
    pub(super) kv: KvSpace,
    pub(super) rate: RateSpace,
    pub(crate) metrics: Arc<PluginSeries>,
    route: Option<RouteName>,
}

/// The shared state of all plugins.
pub(crate) struct Registry {
    /// It outlives their versions.
    plugins: DashMap<PluginName, Arc<Shared>>,
    /// It is gone when no filter has it any more: routes come and go with every reload.
    routes: Mutex<BTreeMap<(PluginName, RouteName), Weak<Shared>>>,
    metrics: Arc<PluginMetrics>,
}

impl Registry {
    pub(crate) fn new(metrics: Arc<PluginMetrics>) -> Self {
        Self { plugins: DashMap::new(), routes: Mutex::default(), metrics }
    }

    /// The shared state of a plugin, made when it is first asked for.
    pub(crate) fn of(&self, plugin: &PluginName) -> Arc<Shared> {
        let fresh = || Arc::new(Shared::new(self.metrics.plugin(plugin), None));
        Arc::clone(&self.plugins.entry(plugin.clone()).or_insert_with(fresh))
    }

    /// The shared state that a plugin has in one route, made when nobody has it.
    pub(crate) fn within(&self, plugin: &PluginName, route: &RouteName) -> Arc<Shared> {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (plugin.clone(), route.clone());
        if let Some(shared) = routes.get(&key).and_then(Weak::upgrade) {
            return shared;
        }
        routes.retain(|_, shared| shared.strong_count() > 0);
        let metrics = self.metrics.plugin_in(plugin, route);
        let shared = Arc::new(Shared::new(metrics, Some(route.clone())));
        routes.insert(key, Arc::downgrade(&shared));
        shared
    }
}

impl Shared {
    fn new(metrics: Arc<PluginSeries>, route: Option<RouteName>) -> Self {
        Self { kv: KvSpace::default(), rate: RateSpace::default(), metrics, route }
    }

    /// The route whose alone it is; empty: all routes of the plugin share it.
    pub(crate) fn route(&self) -> &str {
        self.route.as_ref().map_or("", |route| route.as_str())
    }
}
