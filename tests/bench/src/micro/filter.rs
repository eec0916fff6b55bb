//! Instances of a filter, and calls of its phases.

use std::{hint::black_box, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result, anyhow};
use edgewit_chain::{
    Call, Exchange, Filter, Instance, ResponseHead, Returned, Scheme, Stop, Summary, SummaryEnding,
};
use edgewit_model::{
    Authority, Isolation, ListenerName, NormalizedPath, Plugin, PluginName, RouteName, UpstreamName,
};
use edgewit_telemetry::PluginMetrics;
use edgewit_wasm::{Compiler, Runtime, Settings, WasmFilter};
use http::{HeaderMap, Method, StatusCode, Version};

use super::{Part, route::configured};
use crate::{
    artifacts,
    work::{KEY, KEY_SHA256},
};

/// Instances that the pool has room for.
const INSTANCES: u32 = 64;

/// A phase of a maintained filter: what is called, and with which configuration.
struct Case {
    plugin: &'static str,
    phase: &'static str,
    config: String,
    call: fn(&mut dyn Instance, Call) -> Returned<()>,
}

pub(super) fn parts() -> Result<Vec<Part>> {
    let folder = tempfile::tempdir()?;
    let runtime = Runtime::new(Settings {
        compiler: Compiler::InProcess,
        cache_dir: folder.path().join("cache"),
        metrics: Arc::new(PluginMetrics::new()),
        instances: INSTANCES,
    })?;
    let mut parts = Vec::new();
    for (number, case) in cases().into_iter().enumerate() {
        if number == 0 {
            parts.push(creation(&runtime, &case)?);
        }
        let filter = load(&runtime, &case, Isolation::Worker { recycle: u32::MAX })?;
        parts.push(part(case.name("reused"), filter, case.call)?);
        let filter = load(&runtime, &case, Isolation::Request)?;
        parts.push(part(case.name("fresh"), filter, case.call)?);
    }
    Ok(parts)
}

/// An instance that is made and dropped without a call: pages that nobody touches cost nothing yet.
fn creation(runtime: &Runtime, case: &Case) -> Result<Part> {
    let filter = load(runtime, case, Isolation::Request)?;
    Ok(Part::new(format!("instance of {}, made and dropped", case.plugin), move || {
        drop(black_box(filter.start().expect("the pool has room")));
    }))
}

/// From taking an instance to giving it back, with one call.
fn part(
    name: String,
    filter: Arc<WasmFilter>,
    call: fn(&mut dyn Instance, Call) -> Returned<()>,
) -> Result<Part> {
    let mut lent = Some(exchange()?);
    let mut cycle = move || -> Result<(), Stop> {
        let exchange = lent.take().expect("every call gives it back");
        let mut instance = filter.start()?;
        let allowance = filter.allowance();
        let returned = call(instance.as_mut(), Call { exchange, state: Vec::new(), allowance });
        lent = Some(returned.exchange);
        returned.verdict
    };
    cycle().map_err(|stop| anyhow!("{name}: {stop:?}"))?;
    Ok(Part::new(name, move || cycle().expect("it went well the first time")))
}

fn load(runtime: &Runtime, case: &Case, isolation: Isolation) -> Result<Arc<WasmFilter>> {
    let name = case.plugin;
    let text = format!(
        "[plugins.{name}]\n{}[routes.all]\nmatch = \"/\"\nrespond = {{ status = 204 }}\nfilters = [\"{name}\"]\n",
        case.config
    );
    let config = configured(&text)?;
    let plugin = config.plugins.get(&PluginName::new(name)?).context("it is configured")?;
    // Time limits are for a busy machine here, not for a filter that may be hostile.
    let mut plugin = Plugin { isolation: Some(isolation), ..plugin.clone() };
    plugin.limits.time = Duration::from_secs(5);
    let bytes = read(&artifacts::component(name)?)?;
    Ok(runtime.load(&bytes, &plugin, &plugin.config)?)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("`{}` is not built", path.display()))
}

impl Case {
    fn name(&self, instances: &str) -> String {
        format!("{}, {}, {instances}", self.plugin, self.phase)
    }
}

/// The five of the comparison, each phase that they export.
fn cases() -> Vec<Case> {
    let headers =
        "config = { request = { set = { x-a = \"1\" } }, response = { set = { x-a = \"1\" } } }\n";
    let case =
        |plugin, phase, config: &str, call| Case { plugin, phase, config: config.to_owned(), call };
    vec![
        case("headers", "request", headers, |i, call| unit(i.on_request(call))),
        case("headers", "response", headers, |i, call| unit(i.on_response(call))),
        case(
            "api-key",
            "auth",
            &format!(
                "config = {{ keys = [{{ subject = \"bench\", sha256 = \"{KEY_SHA256}\" }}] }}\n"
            ),
            |i, call| unit(i.authenticate(call)),
        ),
        case(
            "canary",
            "routing",
            "config = { rules = [{ upstream = \"next\", header = { name = \"x-canary\", equals = \"always\" } }] }\n",
            |i, call| unit(i.route(call)),
        ),
        case(
            "rate-limit",
            "request",
            "allow = { rate = true }\nconfig = { rate = \"1000000/s\", burst = 1000000, key = \"header:x-tenant\" }\n",
            |i, call| unit(i.on_request(call)),
        ),
        case("access-metrics", "telemetry", "", |i, call| unit(i.record(call, &SUMMARY))),
    ]
}

fn unit<V>(returned: Returned<V>) -> Returned<()> {
    let Returned { exchange, state, left, memory_peak, verdict } = returned;
    Returned { exchange, state, left, memory_peak, verdict: verdict.map(drop) }
}

const SUMMARY: Summary = Summary {
    status: 200,
    ending: SummaryEnding::Complete,
    duration_us: 1_234,
    attempts: 1,
    request_bytes: 0,
    response_bytes: 1_024,
};

fn exchange() -> Result<Box<Exchange>> {
    let mut fields = HeaderMap::new();
    for (name, value) in [
        ("user-agent", "bench"),
        ("accept", "*/*"),
        ("x-tenant", "a"),
        ("x-api-key", KEY),
        ("x-canary", "never"),
    ] {
        fields.insert(name, value.parse()?);
    }
    Ok(Box::new(Exchange {
        method: Method::GET,
        scheme: Scheme::Http,
        authority: Authority::new("api.example.com")?,
        path: NormalizedPath::new("/service/orders/1")?,
        query: None,
        fields,
        protocol: Version::HTTP_11,
        client: [127, 0, 0, 1].into(),
        listener: ListenerName::new("web")?,
        route: RouteName::new("orders")?,
        request_id: "0192f3a4b5c6d7e8f90a1b2c3d4e5f60".into(),
        subject: None,
        upstream: Some(UpstreamName::new("origin")?),
        response: Some(ResponseHead { status: StatusCode::OK, fields: HeaderMap::new() }),
        client_identity: None,
    }))
}
