//! The one engine of the process with everything that filters share.

use std::{
    ffi::OsString,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use edgewit_chain::Filter;
use edgewit_model::{PluginName, RouteName};
use edgewit_telemetry::PluginMetrics;
use wasmtime::Engine;

use crate::{
    cache::Cache,
    capability::{Registry, Shared},
    engine,
    filter::WasmFilter,
    ticker::{Ticker, Ticking},
};

/// The one engine of the process with everything that filters share.
pub struct Runtime {
    engine: Engine,
    instances: u32,
    registry: Registry,
    pub(crate) compiler: Compiler,
    pub(crate) compiling: Mutex<()>,
    pub(crate) cache: Cache,
    ticker: Ticker,
}

/// What a [`Runtime`] is made of.
#[derive(Debug)]
pub struct Settings {
    /// Where components are compiled.
    pub compiler: Compiler,
    /// Folder of compiled components; made if it is not there, readable by this user alone.
    pub cache_dir: PathBuf,
    /// Where the metrics of filters go.
    pub metrics: Arc<PluginMetrics>,
    /// Instances that may be alive at the same time. Address space is reserved for each, memory only where it is touched.
    pub instances: u32,
}

/// Where components are compiled.
#[derive(Debug)]
pub enum Compiler {
    /// In a process of its own, with limits: this program with these arguments must end up in
    /// [`compile_worker`](crate::compile_worker).
    Child {
        /// Normally our own binary.
        program: PathBuf,
        /// Normally the hidden subcommand.
        args: Vec<OsString>,
    },
    /// In this process and without limits, for tools that work on the user's own files.
    InProcess,
}

/// The runtime could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The engine refused its configuration, or the address space could not be reserved.
    #[error("could not make the WebAssembly engine for {instances} instances: {detail}")]
    Engine {
        /// How many were asked for.
        instances: u32,
        /// What wasmtime said.
        detail: String,
    },
    /// The folder of compiled components cannot be used.
    #[error("could not use `{}` for compiled plugins", path.display())]
    Cache {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl Runtime {
    /// Makes the engine, reserves its address space and opens the cache.
    pub fn new(settings: Settings) -> Result<Arc<Self>, RuntimeError> {
        let Settings { compiler, cache_dir, metrics, instances } = settings;
        let failed =
            |e: wasmtime::Error| RuntimeError::Engine { instances, detail: format!("{e:#}") };
        let engine = engine::serving(instances).map_err(failed)?;
        let ticker = Ticker::start(&engine).map_err(failed)?;
        let cache = Cache::open(&cache_dir)
            .map_err(|source| RuntimeError::Cache { path: cache_dir, source })?;
        Ok(Arc::new(Self {
            engine,
            instances,
            registry: Registry::new(metrics),
            compiler,
            compiling: Mutex::new(()),
            cache,
            ticker,
        }))
    }

    /// Instances that may be alive at the same time.
    pub fn instances(&self) -> u32 {
        self.instances
    }

    /// Instances that are alive now.
    pub fn live_instances(&self) -> u64 {
        self.engine.pooling_allocator_metrics().map_or(0, |m| m.component_instances())
    }

    /// Starts the clock, if it does not run, for as long as the result is held.
    pub(crate) fn ticking(&self) -> Option<Ticking> {
        self.ticker.ticking()
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The same filter for one route alone: its key-value store, token buckets, metrics and instances are no other route's.
    pub fn within(&self, filter: &WasmFilter, route: &RouteName) -> Arc<WasmFilter> {
        filter.with_shared(self.registry.within(filter.plugin(), route))
    }

    pub(crate) fn shared(&self, plugin: &PluginName) -> Arc<Shared> {
        self.registry.of(plugin)
    }

    /// Shared with nobody, and gone with the filter.
    pub(crate) fn apart(plugin: &PluginName) -> Arc<Shared> {
        Registry::new(Arc::default()).of(plugin)
    }
}
