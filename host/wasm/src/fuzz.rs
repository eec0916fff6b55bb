//! What holds of all bytes that somebody puts into the plugin folder. For fuzzers: each function panics where it does not
//! hold.

use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use edgewit_chain::{
    Allowance, Attempt, Call, Ending, Exchange, Failure, Filter, Phase, ResponseHead, Returned,
    Scheme, Summary, SummaryEnding,
};
use edgewit_model::{
    Authority, ByteSize, Grants, ListenerName, Namespace, NormalizedPath, OnError, Plugin,
    PluginLimits, PluginName, RouteName,
};
use http::{HeaderMap, Method, StatusCode, Version};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, WorldId};

use crate::{Compiler, Runtime, Settings, WasmFilter};

/// The same of the component that a core module becomes, if it has the exports of all phases. It has no `lifecycle`, which
/// most would fail in.
///
/// # Panics
///
/// If it does not hold.
pub fn module(data: &[u8]) -> bool {
    encode(data).is_some_and(|bytes| component(&bytes))
}

/// The contract's world `filter`, without configuration.
const PHASES: &str = "
package edgewit:fuzz;
world phases {
  include edgewit:filter/capabilities@0.1.0;
  export edgewit:filter/auth@0.1.0;
  export edgewit:filter/routing@0.1.0;
  export edgewit:filter/request@0.1.0;
  export edgewit:filter/request-body@0.1.0;
  export edgewit:filter/retry@0.1.0;
  export edgewit:filter/response@0.1.0;
  export edgewit:filter/response-body@0.1.0;
  export edgewit:filter/telemetry@0.1.0;
}";

/// `None`: it is no module, or has other imports or exports.
fn encode(data: &[u8]) -> Option<Vec<u8>> {
    static WORLD: OnceLock<(Resolve, WorldId)> = OnceLock::new();
    let (resolve, world) = WORLD.get_or_init(|| {
        let mut resolve = Resolve::default();
        let wit = concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit");
        resolve.push_dir(wit).expect("the contract is valid");
        let package = resolve.push_str("phases.wit", PHASES).expect("it is made of the contract");
        let world = resolve.select_world(&[package], Some("phases")).expect("it has the world");
        (resolve, world)
    });
    wasmparser::validate(data).ok()?;
    let mut module = data.to_vec();
    embed_component_metadata(&mut module, resolve, *world, StringEncoding::UTF8).ok()?;
    ComponentEncoder::default().module(&module).ok()?.validate(true).encode().ok()
}

/// Whatever a component is: it is refused, or each of its phases ends within its limits, and everything that it had is
/// given back. `true`: it was loaded.
///
/// # Panics
///
/// If it does not hold.
pub fn component(data: &[u8]) -> bool {
    let runtime = runtime().lock().unwrap_or_else(PoisonError::into_inner);
    let plugin = plugin();
    let loaded = runtime.load_apart(data, &plugin, &plugin.config);
    if let Ok(filter) = &loaded {
        for phase in Phase::ALL.into_iter().filter(|phase| filter.phases().has(*phase)) {
            call(filter, phase, &plugin.limits);
        }
    }
    assert_eq!(runtime.live_instances(), 0, "instances are left");
    loaded.is_ok()
}

fn call(filter: &Arc<WasmFilter>, phase: Phase, limits: &PluginLimits) {
    let Ok(mut instance) = filter.start() else { return };
    let call =
        Call { exchange: exchange(), state: b"state".to_vec(), allowance: filter.allowance() };
    let (left, memory) = match phase {
        Phase::Auth => end(instance.authenticate(call)),
        Phase::Routing => end(instance.route(call)),
        Phase::Request => end(instance.on_request(call)),
        Phase::RequestBody => end(instance.on_request_body(call, b"chunk", true)),
        Phase::Retry => end(instance.judge(call, &ATTEMPT)),
        Phase::Response => end(instance.on_response(call)),
        Phase::ResponseBody => end(instance.on_response_body(call, b"chunk", true)),
        Phase::Telemetry => end(instance.record(call, &SUMMARY)),
    };
    let Allowance { fuel, host_calls, log_lines, prints } = filter.allowance();
    assert!(left.fuel <= fuel && left.host_calls <= host_calls && left.log_lines <= log_lines);
    assert!(left.prints.writes <= prints.writes && left.prints.bytes <= prints.bytes);
    assert!(memory <= limits.memory.0, "{phase}: {memory} bytes");
}

fn end<V>(returned: Returned<V>) -> (Allowance, u64) {
    assert_eq!(returned.exchange.fields, exchange().fields, "a filter changes nothing by itself");
    (returned.left, returned.memory_peak)
}

/// One for all calls: to make it costs much more than any component.
fn runtime() -> &'static Mutex<Arc<Runtime>> {
    static RUNTIME: OnceLock<(Mutex<Arc<Runtime>>, tempfile::TempDir)> = OnceLock::new();
    let make = || {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let runtime = Runtime::new(Settings {
            compiler: Compiler::InProcess,
            cache_dir: folder.path().join("cache"),
            metrics: Arc::default(),
            instances: 2,
        });
        (Mutex::new(runtime.expect("an engine can be made")), folder)
    };
    &RUNTIME.get_or_init(make).0
}

/// May do everything that a plugin may, but not much of it. What ends it is fuel, so that it ends alike on every machine.
fn plugin() -> Plugin {
    let second = Duration::from_secs(1);
    Plugin {
        name: PluginName::new("fuzzed").expect("it is a name"),
        path: "none".into(),
        on_error: OnError::Reject,
        isolation: None,
        namespace: Namespace::Plugin,
        allow: Grants { kv: true, rate: true, ..Grants::default() },
        limits: PluginLimits {
            fuel: 200_000,
            time: second,
            memory: ByteSize(1 << 20),
            host_calls: 100,
            instantiate_time: second,
            configure_time: second,
            file_size: ByteSize(1 << 20),
            ..PluginLimits::default()
        },
        config: serde_json::Map::new(),
        quarantine: None,
        fallback: false,
    }
}

fn exchange() -> Box<Exchange> {
    Box::new(Exchange {
        method: Method::GET,
        scheme: Scheme::Http,
        authority: Authority::new("a.example").expect("it is a host"),
        path: NormalizedPath::new("/").expect("it is a path"),
        query: None,
        fields: HeaderMap::new(),
        protocol: Version::HTTP_11,
        client: [127, 0, 0, 1].into(),
        listener: ListenerName::new("web").expect("it is a name"),
        route: RouteName::new("all").expect("it is a name"),
        request_id: "id".into(),
        subject: None,
        upstream: None,
        response: Some(ResponseHead { status: StatusCode::OK, fields: HeaderMap::new() }),
        client_identity: None,
    })
}

const ATTEMPT: Attempt = Attempt {
    number: 1,
    ending: Ending::Failure(Failure::Reset),
    elapsed_ms: 1,
    remaining_ms: 1_000,
};

const SUMMARY: Summary = Summary {
    status: 200,
    ending: SummaryEnding::Complete,
    duration_us: 1,
    attempts: 1,
    request_bytes: 0,
    response_bytes: 0,
};
