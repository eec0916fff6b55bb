//! The example configurations of the documentation, as far as their keys exist.

use std::time::Duration;

use edgewit_model::{
    Action, Balance, Circuit, ClientAuthMode, Concurrency, Config, Health, HealthKind, HostPattern,
    Isolation, ListenerLimits, LogTarget, OnError, Outlier, SuccessRate, TlsVersion, Underscores,
};

use super::*;

fn config(plugins_there: &[&str], text: &str) -> Config {
    let base = plugins(plugins_there);
    let loaded = check_in(base.path(), text).unwrap_or_else(|report| panic!("{report}"));
    assert!(loaded.origin.warnings.is_empty(), "{}", loaded.origin.warnings);
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
    assert_eq!((config.server.workers, config.server.instances), (None, 500));
    let web = &config.listeners["web"];
    assert!(web.protocols.h1 && web.protocols.h2 && web.tls.is_none());
    assert_eq!(web.trusted_proxies.len(), 2);
    assert!(web.proxy_protocol && web.inherited.is_none());
    assert_eq!(web.limits.connections_per_client, 1_000);
    assert_eq!(web.limits.handshake_timeout.as_secs(), 4);
    assert_eq!(config.listeners["activated"].inherited.as_deref(), Some("web"));
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
    assert_eq!(orders.upgrades, ["websocket"]);
    assert_eq!(orders.tunnel_idle, Duration::from_secs(600));
    assert_eq!(config.upstreams["orders"].timeouts.first_byte, Duration::from_secs(15));
    let split = &config.routes["split"];
    assert_eq!(split.matchers[0].host, Some(HostPattern::Wildcard(".example.com".into())));
    let Action::Forward(upstreams) = &split.action else { panic!() };
    assert_eq!(upstreams.iter().map(|u| u.weight).collect::<Vec<_>>(), [95, 5]);
    let servers = &config.upstreams["orders"].endpoints;
    assert_eq!(servers.iter().map(|e| e.weight).collect::<Vec<_>>(), [1, 3]);
    safeguards_arrive(&config);
    assert_eq!(config.telemetry.access_log.unwrap().target, LogTarget::Stdout);
    assert!(TlsVersion::V1_2 < TlsVersion::V1_3);
}

fn safeguards_arrive(config: &Config) {
    let orders = &config.upstreams["orders"];
    let health = orders.health.as_ref().unwrap();
    let HealthKind::Http(http) = &health.kind else { panic!() };
    assert_eq!((http.path.as_str(), http.statuses.len()), ("/healthz?deep=1", 2));
    assert_eq!(http.host.as_ref().unwrap(), "orders.internal");
    assert_eq!((health.unhealthy_after, health.healthy_after), (3, 2));
    assert_eq!(orders.outlier.eject, Duration::from_secs(30));
    assert_eq!(orders.outlier.success_rate, Some(SuccessRate::default()));
    let circuit = Circuit { max_connections: Some(512), ..Circuit::default() };
    assert_eq!(orders.circuit, circuit);
    assert_eq!(orders.concurrency, Some(Concurrency::default()));
    let hedge = config.routes["orders"].retry.hedge.as_ref().unwrap();
    assert_eq!((hedge.after, hedge.most), (Duration::from_millis(50), 1));
    let next = &config.upstreams["orders-next"];
    assert_eq!(next.health, Some(Health::new(HealthKind::Tcp)));
    assert_eq!((next.outlier.clone(), next.panic_percent), (Outlier::default(), 20));
    assert_eq!((next.circuit.clone(), next.concurrency.clone()), (Circuit::default(), None));
}

#[test]
fn certificates_of_a_listener_arrive_in_the_model() {
    let pem = |what: &str| format!("-----BEGIN {what}-----\nAAAA\n-----END {what}-----\n");
    let (cert, key, crl) = (pem("CERTIFICATE"), pem("PRIVATE KEY"), pem("X509 CRL"));
    let base = folder(&[("a.pem", &cert), ("a.key", &key), ("b.pem", &cert), ("crl.pem", &crl)]);
    let text = |tls: &str| {
        format!(
            "[listeners.web]\nlisten = '[::]:443'\n{tls}\n[routes.a]\nmatch = '/'\nrespond = {{}}\n"
        )
    };
    let tls = |tls: &str| {
        let loaded = check_in(base.path(), &text(tls)).unwrap_or_else(|report| panic!("{report}"));
        assert!(loaded.origin.warnings.is_empty(), "{}", loaded.origin.warnings);
        (loaded.config.listeners["web"].tls.clone().unwrap(), loaded.origin.files.paths)
    };
    let (one, files) = tls("tls.files = { cert = 'a.pem', key = 'a.key' }");
    assert_eq!(
        one,
        edgewit_model::ListenerTls::new(base.path().join("a.pem"), base.path().join("a.key"))
    );
    assert_eq!(files.len(), 2);
    let (two, files) = tls(
        "tls.files = [{ cert = 'a.pem', key = 'a.key' }, { cert = 'b.pem', key = 'a.key' }]\n\
        tls.min-version = '1.3'\ntls.client-auth = { ca = 'b.pem', mode = 'request', crl = 'crl.pem' }",
    );
    assert_eq!(two.files.len(), 2);
    assert!(two.files[1].cert.ends_with("b.pem") && two.min_version == TlsVersion::V1_3);
    let auth = two.client_auth.unwrap();
    assert!(auth.mode == ClientAuthMode::Request && auth.ca.ends_with("b.pem"));
    assert_eq!(auth.crl, Some(base.path().join("crl.pem")));
    assert_eq!(files.len(), 6, "all of them are watched");
    let (auth, _) =
        tls("tls = { files = { cert = 'a.pem', key = 'a.key' }, client-auth.ca = 'a.pem' }");
    let auth = auth.client_auth.unwrap();
    assert!(auth.mode == ClientAuthMode::Require && auth.crl.is_none());
    let report = check_in(
        base.path(),
        &text(
            "tls = { files = { cert = 'a.pem', key = 'a.key' }, client-auth = { ca = 'a.pem', crl = 'b.pem' } }",
        ),
    );
    let expected =
        format!("`{}` holds no revocation list in PEM form", base.path().join("b.pem").display());
    assert_eq!(report.unwrap_err().diagnostics()[0].message(), expected);
}

#[test]
fn one_client_gets_a_quarter_of_the_connections() {
    for (limits, expected) in [
        ("", 5_000),
        ("limits.connections = 100_000", 5_000),
        ("limits.connections = 1_000", 250),
        ("limits.connections = 2", 1),
        ("limits = { connections = 2, connections-per-client = 2 }", 2),
    ] {
        let text = format!(
            "[listeners.web]\nlisten = '[::]:443'\n{limits}\n[routes.a]\nmatch = '/'\nrespond = {{}}\n"
        );
        let config = config(&[], &text);
        assert_eq!(config.listeners["web"].limits.connections_per_client, expected, "{limits}");
        assert_eq!(config.listeners["web"].limits.handshake_timeout.as_secs(), 5);
    }
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
