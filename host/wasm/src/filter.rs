//! One version of a plugin with one configuration, ready to give each request an instance.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use edgewit_chain::{Allowance, Filter, Instance, Needs, Phases, Stop, StopReason};
use edgewit_model::{Isolation, Plugin, PluginLimits, PluginName};
use serde::Serialize;
use wasmtime::{
    Engine, Store,
    component::{Component, InstancePre},
};

use crate::{
    capability::{Shared, clock},
    compile::{self, Compiled},
    debt::Debt,
    indices::Indices,
    inspect::Inspection,
    instance::{Running, WasmInstance},
    load::LoadError,
    runtime::Runtime,
    state::State,
    stop,
    ticker::Ticking,
    time,
    wasi::PRINTS,
};

/// Lines of log that a filter may write in one exchange; the next one says that more are dropped.
const LOG_LINES: u32 = 32 + 1;
/// Requests after which an instance that is reused is replaced, unless the operator says otherwise.
const RECYCLE: u32 = 1_024;
/// Idle instances are kept in as many places, so that workers do not meet.
const SHARDS: usize = 16;

/// One version of a plugin with one configuration.
pub struct WasmFilter {
    inner: Arc<Inner>,
}

/// What instances of a filter share.
pub(crate) struct Inner {
    pub(crate) plugin: PluginName,
    pub(crate) needs: Needs,
    pub(crate) limits: PluginLimits,
    pub(crate) indices: Indices,
    info: PluginInfo,
    phases: Phases,
    engine: Engine,
    pre: InstancePre<State>,
    shared: Arc<Shared>,
    /// Handed to `configure` by each instance, if the component could not be snapshotted.
    config: Option<String>,
    recycle: Option<u32>,
    idle: [Idle; SHARDS],
    debt: Debt,
    crowded: u64,
    /// Instances are stopped by the clock.
    _ticking: Option<Ticking>,
}

/// Instances that one thread can use again. Two threads share them only beyond 16, so that the lock is free.
type Idle = Mutex<Vec<Running>>;

/// What is known of a loaded filter, for the admin endpoint and `plugin inspect`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PluginInfo {
    /// Name of the plugin.
    pub plugin: String,
    /// Which version: what the component says of itself, or the beginning of its digest.
    pub version: String,
    /// `request` or `worker`.
    pub isolation: &'static str,
    /// Does an instance start out configured? If not, each instance configures itself.
    pub snapshotted: bool,
    /// Facts and fields it declared to need.
    pub needs: String,
    /// Milliseconds from the file to a filter that can serve.
    pub load_ms: u64,
    /// Was its native code in the cache?
    pub from_cache: bool,
    /// What the component says of itself.
    #[serde(flatten)]
    pub inspection: Inspection,
}

impl WasmFilter {
    pub(crate) fn new(
        runtime: &Runtime,
        shared: Arc<Shared>,
        plugin: &Plugin,
        compiled: Compiled,
        config: String,
        from_cache: bool,
        begun: Instant,
    ) -> Result<Arc<Self>, LoadError> {
        let host = |e: wasmtime::Error| LoadError::Host { detail: format!("{e:#}") };
        let Compiled { facts, artefact } = compiled;
        let component = runtime.deserialize(&artefact).map_err(host)?;
        let phases = facts.inspection.phase_set();
        let pre = compile::pre(runtime.engine(), &component)?;
        let indices = Indices::new(&pre, phases, !facts.snapshotted).map_err(host)?;
        let needs = match &facts.needs {
            Some(record) => record
                .to_needs(plugin.limits.memory.0)
                .map_err(|message| LoadError::Config { message })?,
            None => Needs::default(),
        };
        let isolation = plugin.isolation.unwrap_or(match facts.inspection.interpreter {
            true => Isolation::Worker { recycle: RECYCLE },
            false => Isolation::Request,
        });
        let (isolation, recycle) = match isolation {
            Isolation::Request => ("request", None),
            Isolation::Worker { recycle } => ("worker", Some(recycle.max(1))),
        };
        let info = PluginInfo {
            plugin: plugin.name.to_string(),
            version: version(&facts.inspection),
            isolation,
            snapshotted: facts.snapshotted,
            needs: describe(&needs),
            load_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            from_cache,
            inspection: facts.inspection,
        };
        let inner = Inner {
            plugin: plugin.name.clone(),
            needs,
            limits: plugin.limits.clone(),
            indices,
            info,
            phases,
            engine: runtime.engine().clone(),
            pre,
            shared,
            config: (!facts.snapshotted).then_some(config),
            recycle,
            idle: Default::default(),
            debt: Debt::default(),
            crowded: u64::from(runtime.instances() / 2),
            _ticking: runtime.ticking(),
        };
        let filter = Arc::new(Self { inner: Arc::new(inner) });
        filter.warm()?;
        Ok(filter)
    }

    /// The same filter, whose instances share other things.
    pub(crate) fn with_shared(&self, shared: Arc<Shared>) -> Arc<Self> {
        let inner = &self.inner;
        let inner = Inner {
            plugin: inner.plugin.clone(),
            needs: inner.needs.clone(),
            limits: inner.limits.clone(),
            indices: inner.indices.clone(),
            info: inner.info.clone(),
            phases: inner.phases,
            engine: inner.engine.clone(),
            pre: inner.pre.clone(),
            shared,
            config: inner.config.clone(),
            recycle: inner.recycle,
            idle: Default::default(),
            debt: Debt::default(),
            crowded: inner.crowded,
            _ticking: inner._ticking.clone(),
        };
        Arc::new(Self { inner: Arc::new(inner) })
    }

    /// What is known of it.
    pub fn info(&self) -> &PluginInfo {
        &self.inner.info
    }

    /// An instance of this thread, with which so many more requests begin, or a fresh one.
    fn lend(&self, requests: u32) -> Result<Box<dyn Instance>, Stop> {
        let shard = shard();
        let idle = self.inner.recycle.and_then(|_| self.inner.idle(shard)?.pop());
        let running = match idle {
            Some(mut running) => {
                running.requests += requests;
                running
            }
            None => self.inner.fresh()?,
        };
        Ok(Box::new(WasmInstance::new(Arc::clone(&self.inner), shard, running)))
    }

    /// Makes one instance and drops it: the pool has touched its memory, and what cannot start is found before requests do.
    fn warm(&self) -> Result<(), LoadError> {
        match self.inner.fresh() {
            Ok(_) => Ok(()),
            Err(stop) if stop.reason == StopReason::Exhausted => Ok(()),
            Err(stop) => Err(LoadError::Contract { detail: stop.to_string() }),
        }
    }
}

fn version(inspection: &Inspection) -> String {
    let digest = || inspection.digest.get(..12).unwrap_or_default().to_owned();
    let usable = |v: &String| {
        (1..=64).contains(&v.len()) && v.bytes().all(|b| b.is_ascii_graphic() && b != b'"')
    };
    inspection.version.clone().filter(usable).unwrap_or_else(digest)
}

fn describe(needs: &Needs) -> String {
    format!(
        "{} facts, {} request fields, {} response fields, request body {:?}, response body {:?}",
        needs.facts.0.count_ones(),
        needs.request_fields.len(),
        needs.response_fields.len(),
        needs.request_body,
        needs.response_body,
    )
}

impl Filter for WasmFilter {
    fn plugin(&self) -> &PluginName {
        &self.inner.plugin
    }

    fn version(&self) -> &str {
        &self.inner.info.version
    }

    fn phases(&self) -> Phases {
        self.inner.phases
    }

    fn needs(&self) -> &Needs {
        &self.inner.needs
    }

    fn allowance(&self) -> Allowance {
        Allowance {
            fuel: self.inner.limits.fuel,
            host_calls: self.inner.limits.host_calls,
            log_lines: LOG_LINES,
            prints: PRINTS,
        }
    }

    fn start(&self) -> Result<Box<dyn Instance>, Stop> {
        self.lend(1)
    }

    fn resume(&self) -> Result<Box<dyn Instance>, Stop> {
        self.lend(0)
    }

    fn yields(&self) -> bool {
        if self.inner.recycle.is_some() {
            return true;
        }
        let metrics = self.inner.engine.pooling_allocator_metrics();
        metrics.is_some_and(|m| m.component_instances() > self.inner.crowded)
    }

    fn is_slow(&self) -> bool {
        let debt = &self.inner.debt;
        !debt.is_clear() && debt.is_too_much(clock::monotonic_us())
    }
}

impl Inner {
    /// A fresh instance, within the limits of instantiation.
    fn fresh(&self) -> Result<Running, Stop> {
        let state = State::new(self.plugin.clone(), Some(Arc::clone(&self.shared)), &self.limits);
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| &mut state.limiter);
        time::watch(&mut store);
        time::begin(&mut store, self.limits.instantiate_time);
        store.set_hostcall_fuel(self.limits.host_bytes.as_usize());
        self.set_fuel(&mut store, self.limits.fuel)?;
        let instance = self.pre.instantiate(&mut store);
        self.count_time(&store);
        let instance = instance.map_err(|e| stop::classify(&e, &store.data().limiter))?;
        let mut running = Running::new(store, instance);
        if let Some(config) = &self.config {
            self.configure(&mut running, config)?;
        }
        running.started(self.limits.fuel, PRINTS);
        Ok(running)
    }

    fn configure(&self, running: &mut Running, config: &str) -> Result<(), Stop> {
        let abi = || Stop::new(StopReason::Abi, "it does not export `lifecycle`");
        let indices = self.indices.lifecycle.as_ref().ok_or_else(abi)?;
        let Running { store, instance, .. } = running;
        time::begin(store, self.limits.configure_time);
        let configured = indices
            .load(&mut *store, instance)
            .and_then(|guest| guest.call_configure(&mut *store, config));
        self.count_time(store);
        match configured {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(message)) => Err(Stop::new(StopReason::Error, message)),
            Err(error) => Err(stop::classify(&error, &store.data().limiter)),
        }
    }

    /// A call in this store came to its end, whatever that was.
    pub(crate) fn count_time(&self, store: &Store<State>) {
        if let Some(computed) = store.data().time.used() {
            self.debt.add(clock::monotonic_us(), computed);
        }
    }

    pub(crate) fn set_fuel(&self, store: &mut Store<State>, fuel: u64) -> Result<(), Stop> {
        store.set_fuel(fuel).map_err(|e| Stop::new(StopReason::Trap, e.to_string()))
    }

    /// Takes an instance back after a request, if this filter reuses instances and this one is still good.
    pub(crate) fn take_back(&self, shard: usize, running: Running) {
        let Some(recycle) = self.recycle else { return };
        let is_good = running.requests < recycle && !running.has_grown();
        if let Some(mut idle) = self.idle(shard).filter(|_| is_good) {
            idle.push(running);
        }
    }

    fn idle(&self, shard: usize) -> Option<MutexGuard<'_, Vec<Running>>> {
        Some(self.idle.get(shard)?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Which idle instances belong to this thread.
fn shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static SHARD: usize = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
    }
    SHARD.with(|shard| *shard)
}

impl Runtime {
    /// Loads native code that came out of our own compiler or our own cache.
    #[expect(unsafe_code, reason = "wasmtime cannot check native code; ours is authenticated")]
    fn deserialize(&self, artefact: &[u8]) -> wasmtime::Result<Component> {
        // SAFETY: the bytes come from our child process over a pipe, or from the cache after its MAC was verified.
        unsafe { Component::deserialize(self.engine(), artefact) }
    }
}
