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

/// All capabilities.
pub(crate) const TABLE: &[Capability] = &[
    Capability {
        name: "log",
        is_granted: |g| g.log,
        link: |l| filter::log::add_to_linker::<_, HasSelf<_>>(l, |s| s),
    },
    Capability {
        name: "metrics",
        is_granted: |g| g.metrics,
        link: |l| filter::metrics::add_to_linker::<_, HasSelf<_>>(l, |s| s),
    },
    Capability {
        name: "clock",
        is_granted: |g| g.clock,
        link: |l| filter::clock::add_to_linker::<_, HasSelf<_>>(l, |s| s),
    },
    Capability {
        name: "random",
        is_granted: |g| g.random,
        link: |l| filter::random::add_to_linker::<_, HasSelf<_>>(l, |s| s),
    },
    Capability {
        name: "exchange",
        is_granted: |g| g.exchange,
        link: |l| filter::exchange::add_to_linker::<_, HasSelf<_>>(l, |s| s),
    },
    Capability {
        name: "kv",
        is_granted: |g| g.kv,
        link: |l| filter::kv::add_to_linker::<_, HasSelf<_>>(l, |s| s),
    },
    Capability {
        name: "rate",
        is_granted: |g| g.rate,
        link: |l| filter::rate::add_to_linker::<_, HasSelf<_>>(l, |s| s),
    },
];

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
    metrics: Arc<PluginSeries>,
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
