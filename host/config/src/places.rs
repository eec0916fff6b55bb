//! Where things stand in the files, for messages that come later.

use std::collections::BTreeMap;

use edgewit_model::{FilterUse, ListenerName, PluginName, RouteName, UpstreamName};

use crate::Place;

/// A thing with a place in the configuration.
#[derive(Debug, Clone, Copy)]
pub enum Entry<'a> {
    /// `[plugins.<name>]`, or the first use of a plugin that is not declared.
    Plugin(&'a PluginName),
    /// The `config` of a plugin, or else the plugin.
    PluginConfig(&'a PluginName),
    /// A filter of a route, counted over its chain and then its own filters.
    Filter(&'a RouteName, usize),
    /// `[routes.<name>]`.
    Route(&'a RouteName),
    /// `[upstreams.<name>]`.
    Upstream(&'a UpstreamName),
    /// `[listeners.<name>]`.
    Listener(&'a ListenerName),
}

/// Places by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places {
    pub(crate) plugins: BTreeMap<PluginName, Place>,
    /// The first use of each plugin, in the order of the files.
    pub(crate) uses: BTreeMap<PluginName, Place>,
    pub(crate) plugin_configs: BTreeMap<PluginName, Place>,
    pub(crate) routes: BTreeMap<RouteName, RoutePlaces>,
    pub(crate) upstreams: BTreeMap<UpstreamName, Place>,
    pub(crate) listeners: BTreeMap<ListenerName, Place>,
}

/// Where a route and its parts stand.
#[derive(Debug, Clone)]
pub(crate) struct RoutePlaces {
    pub(crate) own: Place,
    /// Those of its chain, then its own.
    filters: Vec<Place>,
    chain: usize,
    pub(crate) matchers: Vec<Place>,
}

impl RoutePlaces {
    /// `chain`, `own`: filters of its chain and those that it has beside them.
    pub(crate) fn new(
        stands: Place,
        chain: Vec<Place>,
        own: Vec<Place>,
        matchers: Vec<Place>,
    ) -> Self {
        let (count, mut filters) = (chain.len(), chain);
        filters.extend(own);
        Self { own: stands, filters, chain: count, matchers }
    }

    /// Of the filters that it has beside those of its chain.
    pub(crate) fn own_filters(&self) -> &[Place] {
        self.filters.get(self.chain..).unwrap_or_default()
    }
}

impl Places {
    /// Notes the use of a plugin.
    pub(crate) fn used(&mut self, filter: &FilterUse, place: &Place) {
        let first = self.uses.entry(filter.plugin.clone()).or_insert_with(|| place.clone());
        if place.order() < first.order() {
            *first = place.clone();
        }
    }

    /// Where an entry stands, if anywhere: the default listener does not.
    pub(crate) fn get(&self, entry: Entry<'_>) -> Option<&Place> {
        match entry {
            Entry::Plugin(name) => self.plugins.get(name).or_else(|| self.uses.get(name)),
            Entry::PluginConfig(name) => {
                self.plugin_configs.get(name).or_else(|| self.get(Entry::Plugin(name)))
            }
            Entry::Filter(route, n) => {
                let route = self.routes.get(route)?;
                Some(route.filters.get(n).unwrap_or(&route.own))
            }
            Entry::Route(name) => self.routes.get(name).map(|route| &route.own),
            Entry::Upstream(name) => self.upstreams.get(name),
            Entry::Listener(name) => self.listeners.get(name),
        }
    }
}
