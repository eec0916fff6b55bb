//! Validate, configure, snapshot, compile: what the child process does with a component.

use std::time::Duration;

use bytes::Bytes;
use edgewit_model::{Grants, Plugin, PluginLimits, PluginName};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use wasmtime::{
    Engine, Store,
    component::{Component, Instance, InstancePre, Linker},
};

use crate::{
    bindings::{edgewit::filter::types, exports::edgewit::filter::lifecycle},
    capability, engine,
    indices::Indices,
    inspect::{self, Inspection},
    load::LoadError,
    snapshot,
    state::State,
    stop,
    ticker::Ticker,
    time, wasi,
};

/// Everything that decides about the result, beside the bytes of the component.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) plugin: String,
    grants: [bool; 7],
    memory: u64,
    table_entries: usize,
    core_instances: usize,
    memories: usize,
    host_bytes: u64,
    host_calls: u32,
    configure_ms: u64,
    /// The configuration as a JSON object.
    pub(crate) config: String,
}

/// A component, ready to serve.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Compiled {
    pub(crate) facts: CompiledFacts,
    /// Native code, for this very build of the engine.
    pub(crate) artefact: Bytes,
}

/// What is known of it beside its code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct CompiledFacts {
    pub(crate) inspection: Inspection,
    pub(crate) needs: DeclaredNeeds,
    /// Does an instance start out configured?
    pub(crate) snapshotted: bool,
}

/// `needs` as the guest returned it, in a form that can be kept; `None`: it has no `lifecycle`.
pub(crate) type DeclaredNeeds = Option<NeedsRecord>;

/// The record `needs` of the contract.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct NeedsRecord {
    facts: u16,
    request_fields: Vec<String>,
    response_fields: Vec<String>,
    request_body: BodyRecord,
    response_body: BodyRecord,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum BodyRecord {
    None,
    Peek(u32),
    Buffer(u32),
    Stream,
}

impl Job {
    pub(crate) fn new(plugin: &Plugin, config: &Map<String, Value>) -> Self {
        let g = &plugin.allow;
        Self {
            plugin: plugin.name.as_str().to_owned(),
            grants: [g.log, g.metrics, g.clock, g.random, g.exchange, g.kv, g.rate],
            memory: plugin.limits.memory.0,
            table_entries: plugin.limits.table_entries,
            core_instances: plugin.limits.core_instances,
            memories: plugin.limits.memories,
            host_bytes: plugin.limits.host_bytes.0,
            host_calls: plugin.limits.host_calls,
            configure_ms: millis(plugin.limits.configure_time),
            config: Value::Object(config.clone()).to_string(),
        }
    }

    fn grants(&self) -> Grants {
        let [log, metrics, clock, random, exchange, kv, rate] = self.grants;
        Grants { log, metrics, clock, random, exchange, kv, rate }
    }

    fn limits(&self) -> PluginLimits {
        PluginLimits {
            memory: edgewit_model::ByteSize(self.memory),
            table_entries: self.table_entries,
            core_instances: self.core_instances,
            memories: self.memories,
            host_bytes: edgewit_model::ByteSize(self.host_bytes),
            host_calls: self.host_calls,
            ..PluginLimits::default()
        }
    }
}

/// Milliseconds, at least 1.
pub(crate) fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// Fuel of `configure`, beside its time: enough to compile large tables of patterns.
const CONFIGURE_FUEL: u64 = 20_000_000_000;

/// Validates, checks, configures, snapshots and compiles a component.
pub(crate) fn compile(job: &Job, bytes: &[u8]) -> Result<Compiled, LoadError> {
    let inspection = inspect::inspect(bytes)?;
    inspection.check(&job.grants())?;
    let engine = engine::compiling().map_err(host)?;
    let ticker = Ticker::start(&engine).map_err(host)?;
    let _ticking = ticker.ticking();
    let (needs, configured) = if inspection.configurable {
        let (needs, snapshot) = configured(job, bytes)?;
        (Some(needs), snapshot)
    } else {
        (None, None)
    };
    let code = configured.as_deref().unwrap_or(bytes);
    let component = Component::new(&engine, code).map_err(invalid)?;
    try_out(job, &engine, &component, &inspection)?;
    drop(ticker);
    let artefact = component.serialize().map_err(host)?.into();
    let snapshotted = configured.is_some() || needs.is_none();
    Ok(Compiled { facts: CompiledFacts { inspection, needs, snapshotted }, artefact })
}

/// Lets the component configure itself. The second value is the component with that memory, if it can be snapshotted.
fn configured(job: &Job, bytes: &[u8]) -> Result<(NeedsRecord, Option<Vec<u8>>), LoadError> {
    let engine = engine::configuring().map_err(host)?;
    let ticker = Ticker::start(&engine).map_err(host)?;
    let _ticking = ticker.ticking();
    let plan = snapshot::Plan::new(bytes);
    let code = plan.as_ref().map_or(bytes, snapshot::Plan::instrumented);
    let component = Component::new(&engine, code).map_err(invalid)?;
    let pre = pre(&engine, &component)?;
    let mut store = store(job, &engine);
    let instance = pre.instantiate(&mut store).map_err(|e| stopped(&store, &e))?;
    let needs = call_configure(&pre, &mut store, &instance, &job.config)?;
    crate::convert::needs(needs.clone(), job.memory)
        .map_err(|message| LoadError::Config { message })?;
    let snapshot = plan.and_then(|plan| plan.take(&mut store, instance));
    Ok((NeedsRecord::from(needs), snapshot))
}

fn call_configure(
    pre: &InstancePre<State>,
    store: &mut Store<State>,
    instance: &Instance,
    config: &str,
) -> Result<types::Needs, LoadError> {
    let guest = lifecycle::GuestIndices::new(pre)
        .and_then(|indices| indices.load(&mut *store, instance))
        .map_err(contract)?;
    match guest.call_configure(&mut *store, config) {
        Ok(Ok(needs)) => Ok(needs),
        Ok(Err(message)) => Err(LoadError::Config { message: capability::clean(&message) }),
        Err(error) => Err(stopped(store, &error)),
    }
}

/// Makes one instance and looks at all its phases, so that what does not fit is found here and not by a request.
fn try_out(
    job: &Job,
    engine: &Engine,
    component: &Component,
    inspection: &Inspection,
) -> Result<(), LoadError> {
    let pre = pre(engine, component)?;
    let indices = Indices::new(&pre, inspection.phase_set(), false).map_err(contract)?;
    let mut store = store(job, engine);
    let instance = pre.instantiate(&mut store).map_err(|e| stopped(&store, &e))?;
    indices.check(&mut store, &instance).map_err(contract)
}

/// The linker of filters, completed for one component.
pub(crate) fn pre(engine: &Engine, component: &Component) -> Result<InstancePre<State>, LoadError> {
    let mut linker = Linker::new(engine);
    capability::link(&mut linker).map_err(host)?;
    wasi::link(&mut linker).map_err(host)?;
    wasi::deny_the_rest(&mut linker, component).map_err(host)?;
    linker.instantiate_pre(component).map_err(contract)
}

fn store(job: &Job, engine: &Engine) -> Store<State> {
    let plugin = PluginName::new(&job.plugin)
        .unwrap_or_else(|_| PluginName::new("plugin").expect("a constant name is valid"));
    let limits = job.limits();
    let mut store = Store::new(engine, State::new(plugin, None, &limits));
    store.limiter(|state| &mut state.limiter);
    time::watch(&mut store);
    time::begin(&mut store, Duration::from_millis(job.configure_ms));
    store.set_hostcall_fuel(limits.host_bytes.as_usize());
    store.set_fuel(CONFIGURE_FUEL).expect("the engine counts fuel");
    store
}

fn stopped(store: &Store<State>, error: &wasmtime::Error) -> LoadError {
    let stop = stop::classify(error, &store.data().limiter);
    LoadError::Config { message: format!("it was stopped while starting: {stop}") }
}

fn invalid(error: wasmtime::Error) -> LoadError {
    LoadError::Invalid { detail: format!("{error:#}") }
}

fn contract(error: wasmtime::Error) -> LoadError {
    LoadError::Contract { detail: format!("{error:#}") }
}

fn host(error: wasmtime::Error) -> LoadError {
    LoadError::Host { detail: format!("{error:#}") }
}

impl From<types::Needs> for NeedsRecord {
    fn from(needs: types::Needs) -> Self {
        let body = |mode| match mode {
            types::BodyMode::None => BodyRecord::None,
            types::BodyMode::Peek(n) => BodyRecord::Peek(n),
            types::BodyMode::Buffer(n) => BodyRecord::Buffer(n),
            types::BodyMode::Stream => BodyRecord::Stream,
        };
        let facts = crate::convert::facts(needs.facts).0;
        Self {
            facts,
            request_fields: needs.request_fields,
            response_fields: needs.response_fields,
            request_body: body(needs.request_body),
            response_body: body(needs.response_body),
        }
    }
}

impl NeedsRecord {
    /// The chain's form.
    pub(crate) fn to_needs(&self, memory: u64) -> Result<edgewit_chain::Needs, String> {
        let body = |mode| match mode {
            BodyRecord::None => types::BodyMode::None,
            BodyRecord::Peek(n) => types::BodyMode::Peek(n),
            BodyRecord::Buffer(n) => types::BodyMode::Buffer(n),
            BodyRecord::Stream => types::BodyMode::Stream,
        };
        let needs = types::Needs {
            facts: types::Facts::empty(),
            request_fields: self.request_fields.clone(),
            response_fields: self.response_fields.clone(),
            request_body: body(self.request_body),
            response_body: body(self.response_body),
        };
        let checked = crate::convert::needs(needs, memory)?;
        Ok(edgewit_chain::Needs { facts: edgewit_chain::Facts(self.facts), ..checked })
    }
}
