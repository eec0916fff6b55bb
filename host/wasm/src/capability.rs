//! What a filter may import beside WASI: one interface of the contract, one file, one line in the table.

mod log;

mod metrics;

pub(crate) mod clock;

pub(crate) mod random;

mod exchange;

mod kv;

mod rate;

use std::sync::Arc;

use dashmap::DashMap;
use edgewit_model::{Grants, PluginName};
use edgewit_telemetry::{PluginMetrics, PluginSeries};
use wasmtime::component::{HasSelf, Linker};

use crate::{bindings::edgewit::filter, state::State};

use kv::KvSpace;
pub(crate) use log::clean;
use rate::RateSpace;

/// A capability: the interface of its name in `edgewit:filter`.
pub(crate) struct Capability {
    /// Name of the interface and of the grant.
    pub(crate) name: &'static str,
    /// Is it granted?
    pub(crate) is_granted: fn(&Grants) -> bool,
    link: fn(&mut Linker<State>) -> wasmtime::Result<()>,
}

macro_rules! capabilities {
    ($($name:ident)*) => {
        /// All capabilities.
        pub(crate) const TABLE: &[Capability] = &[$(Capability {
            name: stringify!($name),
            is_granted: |grants| grants.$name,
            link: |linker| filter::$name::add_to_linker::<_, HasSelf<_>>(linker, |state| state),
        }),*];
    };
}

capabilities! { log metrics clock random exchange kv rate }

/// Links every capability. Whether a component may have it was decided before: an import without a grant is refused at
/// load.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    filter::types::add_to_linker::<_, HasSelf<_>>(linker, |s| s)?;
    TABLE.iter().try_for_each(|capability| (capability.link)(linker))
}

impl filter::types::Host for State {}

/// What all instances of one plugin share, and nothing of another plugin.
pub(crate) struct Shared {
    kv: KvSpace,
    rate: RateSpace,
    pub(crate) metrics: Arc<PluginSeries>,
}

/// The shared state of all plugins. It outlives their versions.
pub(crate) struct Registry {
    plugins: DashMap<PluginName, Arc<Shared>>,
    metrics: Arc<PluginMetrics>,
}

impl Registry {
    pub(crate) fn new(metrics: Arc<PluginMetrics>) -> Self {
        Self { plugins: DashMap::new(), metrics }
    }

    /// The shared state of a plugin, made when it is first asked for.
    pub(crate) fn of(&self, plugin: &PluginName) -> Arc<Shared> {
        let fresh = || {
            Arc::new(Shared {
                kv: KvSpace::default(),
                rate: RateSpace::default(),
                metrics: self.metrics.plugin(plugin),
            })
        };
        Arc::clone(&self.plugins.entry(plugin.clone()).or_insert_with(fresh))
    }
}

#[cfg(test)]
mod model;
