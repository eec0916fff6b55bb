//! A runtime and what it takes to call a filter in it.

use std::{sync::Arc, time::Duration};

use edgewit_chain::{
    Allowance, Attempt, Call, Ending, Exchange, Failure, Filter, Instance, Phase, ResponseHead,
    Returned, Scheme, Stop, Summary, SummaryEnding,
};
use edgewit_model::{
    Authority, ByteSize, Grants, ListenerName, Namespace, NormalizedPath, OnError, Plugin,
    PluginLimits, PluginName, RouteName,
};
use edgewit_telemetry::PluginMetrics;
use edgewit_wasm::{Compiler, LoadError, Runtime, Settings, WasmFilter};
use http::{HeaderMap, Method, StatusCode, Version};

/// A runtime of its own with room for so many instances.
pub(crate) struct Bench {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) metrics: Arc<PluginMetrics>,
    _folder: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new(instances: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let metrics = Arc::new(PluginMetrics::new());
        let runtime = Runtime::new(Settings {
            compiler: Compiler::InProcess,
            cache_dir: folder.path().join("cache"),
            metrics: Arc::clone(&metrics),
            instances,
        });
        Self { runtime: runtime.unwrap(), metrics, _folder: folder }
    }

    pub(crate) fn load(
        &self,
        component: &[u8],
        plugin: &Plugin,
    ) -> Result<Arc<WasmFilter>, LoadError> {
        self.runtime.load(component, plugin, &plugin.config)
    }

    /// Waits until as many instances are alive.
    #[track_caller]
    pub(crate) fn assert_alive(&self, instances: u64) {
        assert_eq!(self.runtime.live_instances(), instances, "instances that are alive");
    }
}

/// A plugin that may do everything a plugin may, with time that no busy machine uses up.
pub(crate) fn plugin(name: &str) -> Plugin {
    let all = true;
    Plugin {
        name: PluginName::new(name).unwrap(),
        path: "none".into(),
        on_error: OnError::Reject,
        isolation: None,
        namespace: Namespace::Plugin,
        allow: Grants {
            log: all,
            metrics: all,
            clock: all,
            random: all,
            exchange: all,
            kv: all,
            rate: all,
        },
        limits: PluginLimits {
            time: Duration::from_secs(20),
            instantiate_time: Duration::from_secs(20),
            configure_time: Duration::from_secs(20),
            memory: ByteSize(8 << 20),
            ..PluginLimits::default()
        },
        config: serde_json::Map::new(),
        quarantine: None,
        fallback: false,
    }
}

/// Calls a phase of an instance with this state. The answer is not looked at.
pub(crate) fn call(
    filter: &WasmFilter,
    instance: &mut dyn Instance,
    phase: Phase,
    state: &[u8],
) -> Result<(), Stop> {
    called(filter.allowance(), instance, phase, state).0
}

/// How the call ended and what is left of what it might spend.
pub(crate) fn called(
    allowance: Allowance,
    instance: &mut dyn Instance,
    phase: Phase,
    state: &[u8],
) -> (Result<(), Stop>, Allowance) {
    fn end<V>(returned: Returned<V>) -> (Result<(), Stop>, Allowance) {
        (returned.verdict.map(drop), returned.left)
    }
    let call = Call { exchange: exchange(), state: state.to_vec(), allowance };
    match phase {
        Phase::Auth => end(instance.authenticate(call)),
        Phase::Routing => end(instance.route(call)),
        Phase::Request => end(instance.on_request(call)),
        Phase::RequestBody => end(instance.on_request_body(call, b"chunk", true)),
        Phase::Retry => end(instance.judge(call, &ATTEMPT)),
        Phase::Response => end(instance.on_response(call)),
        Phase::ResponseBody => end(instance.on_response_body(call, b"chunk", true)),
        Phase::Telemetry => end(instance.record(call, &SUMMARY)),
    }
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

pub(crate) fn exchange() -> Box<Exchange> {
    let mut fields = HeaderMap::new();
    fields.insert("x-long", "x".repeat(1_000).parse().unwrap());
    Box::new(Exchange {
        method: Method::GET,
        scheme: Scheme::Http,
        authority: Authority::new("a.example").unwrap(),
        path: NormalizedPath::new("/").unwrap(),
        query: None,
        fields,
        protocol: Version::HTTP_11,
        client: [127, 0, 0, 1].into(),
        listener: ListenerName::new("web").unwrap(),
        route: RouteName::new("all").unwrap(),
        request_id: "id".into(),
        subject: None,
        upstream: None,
        response: Some(ResponseHead { status: StatusCode::OK, fields: HeaderMap::new() }),
        client_identity: None,
    })
}
