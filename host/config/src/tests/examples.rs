//! The example configurations of the documentation, as far as their keys exist.

use edgewit_model::{
    Action, Balance, Config, HostPattern, Isolation, ListenerLimits, LogTarget, OnError,
    TlsVersion, Underscores,
};

use super::*;

fn config(plugins_there: &[&str], text: &str) -> Config {
    let base = plugins(plugins_there);
    let loaded = check_in(base.path(), text).unwrap_or_else(|report| panic!("{report}"));
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    loaded.config
}

#[test]
fn hello() {
    let text = r#"
[routes.hello]
match = "/{*rest}"
filters = ["hello"]
respond = { status = 200, body = "hello from the edge\n" }
"#;
    let config = config(&["hello"], text);
    assert_eq!(config.listeners["http"].listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.plugins["hello"].on_error, OnError::Reject);
    assert!(config.plugins["hello"].path.ends_with("plugins/hello.wasm"));
    let Action::Respond(respond) = &config.routes["hello"].action else { panic!() };
    assert_eq!((respond.status.as_u16(), respond.body.as_str()), (200, "hello from the edge\n"));
}

#[test]
fn api() {
    let text = r#"
[listeners.web]
listen = "0.0.0.0:8080"

[plugins.jwt]
config = { issuer = "https://login.example.com", audience = ["api"], algorithms = ["ES256", "RS256"], forward-claims = { sub = "x-user" } }

[plugins.rate-limit]
allow = { rate = true }
config = { key = "header:x-user", rate = "50/s", burst = 100 }

[chains.authenticated]
filters = ["jwt", "rate-limit"]

[upstreams.users]
servers = ["http://10.0.1.10:8080", "http://10.0.1.11:8080"]

[upstreams.orders]
servers = ["http://orders.internal:8080"]
balance = "round-robin"

[routes.users]
match = "api.example.com/users/{*rest}"
chain = "authenticated"
upstream = "users"
timeout = "2s"

[routes.orders]
match = "api.example.com/orders/{*rest}"
chain = "authenticated"
upstream = "orders"
timeout = "3s"
retry = { attempts = 3, on = ["connect", "reset", "503"], per-try = "900ms", backoff = "25ms..250ms", budget = "20%" }

[routes.health]
match = "GET api.example.com/health"
respond = { status = 204 }
"#;
    let config = config(&[], text);
    let route = &config.routes["orders"];
    let names: Vec<&str> = route.filters.iter().map(|f| f.plugin.as_str()).collect();
    assert_eq!(names, ["jwt", "rate-limit"]);
    assert_eq!(route.matchers[0].host, Some(HostPattern::Exact("api.example.com".into())));
    assert_eq!((route.retry.attempts, route.retry.on.statuses.as_slice()), (3, &[503][..]));
    assert_eq!(config.plugins["jwt"].config["forward-claims"]["sub"], "x-user");
    assert!(config.plugins["rate-limit"].allow.rate && !config.plugins["jwt"].allow.rate);
}

#[test]
fn sidecar() {
    let text = r#"
[listeners.inbound]
listen = "0.0.0.0:15006"

[listeners.outbound]
listen = "127.0.0.1:15001"
protocols = ["h1", "h2c"]

[plugins.authz]
config = { allow = [{ from = "spiffe://prod/ns/shop/sa/web", to = "/orders/*", methods = ["GET", "POST"] }] }

[upstreams.app]
servers = ["http://127.0.0.1:8080"]

[upstreams.payments]
servers = ["http://payments.shop.svc.cluster.local:8080"]

[routes.in]
listeners = ["inbound"]
match = "/{*rest}"
filters = ["authz"]
upstream = "app"

[routes.to-payments]
listeners = ["outbound"]
match = "payments.shop.svc.cluster.local/{*rest}"
upstream = "payments"
timeout = "1s"
retry = { attempts = 2, on = ["connect", "reset"], budget = "10%" }
"#;
    let config = config(&[], text);
    assert_eq!(config.listeners.len(), 2);
    assert_eq!(config.routes["in"].listeners[0].as_str(), "inbound");
    assert_eq!(config.routes["to-payments"].retry.budget_percent, 10);
    assert_eq!(config.upstreams["payments"].balance, Balance::RoundRobin);
}

#[test]
fn queue() {
    let text = r#"
[upstreams.orders]
servers = ["http://10.0.2.10:8080", "http://10.0.2.11:8080"]

[routes.place-order]
match = "POST /orders"
filters = ["jwt", "validate-order"]
upstream = "orders"
body = "1MiB"

[routes.place-order-v2]
match = "POST /v2/orders"
filters = ["jwt", "validate-order"]
upstream = "orders"
"#;
    let config = config(&["jwt", "validate-order"], text);
    assert_eq!(config.routes["place-order"].body.unwrap().to_string(), "1MiB");
    assert_eq!(config.plugins.len(), 2);
}

#[test]
fn every_key_arrives_in_the_model() {
    let config = config(&["hello"], include_str!("full.toml"));
    assert_eq!(config.server.workers, None);
    let web = &config.listeners["web"];
    assert!(web.protocols.h1 && web.protocols.h2 && web.tls.is_none());
    assert_eq!(web.trusted_proxies.len(), 2);
    let jwt = &config.plugins["jwt-auth"];
    assert_eq!(jwt.isolation, Some(Isolation::Worker { recycle: 1_024 }));
    assert!(jwt.path.ends_with("filters/jwt-auth.wasm") && jwt.allow.kv && !jwt.allow.random);
    assert_eq!((jwt.limits.fuel, jwt.limits.host_calls), (8_000_000, 1_000));
    assert_eq!(jwt.config["leeway"], 1.5);
    assert_eq!(config.plugins["hello"].limits, config.plugin_limits);
    let orders = &config.routes["orders"];
    let names: Vec<&str> = orders.filters.iter().map(|f| f.plugin.as_str()).collect();
    assert_eq!(names, ["jwt-auth", "geo", "hello"]);
    assert_eq!(orders.filters[1].config.as_ref().unwrap()["blocked"][0], "KP");
    assert!(orders.rewrite.upstream_host);
    let split = &config.routes["split"];
    assert_eq!(split.matchers[0].host, Some(HostPattern::Wildcard(".example.com".into())));
    let Action::Forward(upstreams) = &split.action else { panic!() };
    assert_eq!(upstreams.iter().map(|u| u.weight).collect::<Vec<_>>(), [95, 5]);
    let servers = &config.upstreams["orders"].endpoints;
    assert_eq!(servers.iter().map(|e| e.weight).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(config.telemetry.access_log.unwrap().target, LogTarget::Stdout);
    assert!(TlsVersion::V1_2 < TlsVersion::V1_3);
}

#[test]
fn the_schema_describes_every_key() {
    let schema = crate::schema();
    let route = schema.pointer("/$defs/Route/properties").unwrap();
    assert!(route["match"]["description"].as_str().unwrap().contains("METHODS"));
    assert_eq!(route["timeout"]["type"], "string");
    assert_eq!(schema["additionalProperties"], false);
    assert!(!schema.to_string().contains("null"));
}

#[test]
fn limits_of_clients_arrive_in_the_model() {
    let text = r#"
[listeners.web]
listen = "0.0.0.0:8080"
headers-with-underscores = "drop"
limits = { body-rate = "1KiB", control-frames = 50, requests-per-client = 10, connection-memory = "64KiB" }

[listeners.patient]
listen = "0.0.0.0:8081"
headers-with-underscores = "allow"
limits = { body-rate = "0B" }

[routes.hello]
match = "/"
respond = {}
"#;
    let config = config(&[], text);
    let web = &config.listeners["web"];
    assert_eq!(web.headers_with_underscores, Underscores::Drop);
    let limits = &web.limits;
    assert_eq!((limits.body_rate, limits.control_frames), (Some(1_024), 50));
    assert_eq!((limits.requests_per_client, limits.connection_memory.0), (10, 64 << 10));
    let patient = &config.listeners["patient"];
    assert_eq!(patient.headers_with_underscores, Underscores::Allow);
    let expected = ListenerLimits { body_rate: None, ..ListenerLimits::default() };
    assert_eq!(patient.limits, expected);
}
