//! The maintained filters, each through the host.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU32, Ordering},
};

use edgewit_harness::{Origin, Setup, artifact, cargo, get, post, until};
use sha2::{Digest, Sha256};

use crate::common::{all, assert_status, plugin, through, upstream};

#[test]
fn api_key_knows_its_keys() {
    let origin = Origin::echo();
    let digest = Sha256::digest("a-long-random-key");
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let config = format!("config = {{ keys = [{{ subject = \"ci\", sha256 = \"{digest}\" }}] }}");
    let toml = through(&origin, "\"api-key\"") + &plugin("api-key", &config);
    let gateway = Setup::new(toml).maintained("api-key").start();
    let check = |keys: &[&str], status: u16| {
        let ask = keys.iter().fold(get("/"), |ask, key| ask.header("x-api-key", key));
        let reply = gateway.send(ask);
        assert_eq!(reply.status, status, "{keys:?}");
        reply
    };
    let reply = check(&["a-long-random-key"], 200);
    assert_eq!(reply.echoed("x-api-key"), "", "the key stays at the edge");
    gateway.access.wait_for(&[r#""enduser.id":"ci""#]);
    for wrong in
        [&[][..], &[""], &["a-long-random-kez"], &["a-long-random-key", "a-long-random-key"]]
    {
        check(wrong, 401);
    }
    assert_eq!(origin.seen().len(), 1);
}

#[test]
fn canary_sends_by_header_cookie_and_share() {
    let (stable, next) = (Origin::named("stable"), Origin::named("next"));
    let toml = all([
        upstream("stable", &stable),
        upstream("next", &next),
        "[routes.all]\nmatch = \"/{*rest}\"\nfilters = [\"canary\"]\n\
         upstreams = [{ name = \"stable\" }, { name = \"next\", weight = 0 }]"
            .to_owned(),
        plugin(
            "canary",
            "[plugins.canary.config]\nsticky = \"header:x-user\"\nrules = [\n\
             { upstream = \"next\", header = { name = \"x-canary\", equals = \"always\" } },\n\
             { upstream = \"next\", cookie = { name = \"beta\" } },\n{ upstream = \"next\", weight = \"20%\" } ]",
        ),
    ]);
    let gateway = Setup::new(toml).maintained("canary").start();
    let origin = |ask| gateway.send(ask).header("x-origin").to_owned();
    assert_eq!(origin(get("/").header("x-canary", "always")), "next");
    assert_eq!(origin(get("/").header("cookie", "a=b; beta=1")), "next");
    let mut connection = gateway.connect();
    let mut sides = BTreeMap::new();
    for user in 0..300 {
        let user = format!("user-{user}");
        let mut side =
            || connection.send(get("/").header("x-user", &user)).header("x-origin").to_owned();
        let first = side();
        assert_eq!(side(), first, "{user} stays on its side");
        *sides.entry(first).or_insert(0) += 1;
    }
    assert!((30..=90).contains(&sides["next"]), "about 60 of 300: {sides:?}");
}

#[test]
fn retry_policy_repeats_what_may_be_repeated() {
    let asked = AtomicU32::new(0);
    let origin = Origin::answering(move |_| {
        let status = if asked.fetch_add(1, Ordering::Relaxed) % 3 < 2 { 503 } else { 200 };
        http::Response::builder().status(status).body("origin".into()).unwrap()
    });
    let toml = through(&origin, "\"retry-policy\"")
        + "retry = { budget = \"100%\" }\n"
        + &plugin(
            "retry-policy",
            "config = { on = [\"503\"], attempts = 3, backoff = \"1ms..5ms\" }",
        );
    let gateway = Setup::new(toml).maintained("retry-policy").start();
    for _ in 0..5 {
        assert_status(&gateway.get("/"), 200);
    }
    assert_eq!(origin.seen().len(), 15);
    assert_eq!(gateway.metrics().sum("edgewit_retries_total", &[("reason", "status")]), 10.0);
    assert_status(&gateway.send(post("/", "once")), 503);
    assert_eq!(origin.seen().len(), 16, "a POST is sent once");
    gateway.access.wait_for(&[r#""tries":3"#]);
}

#[test]
fn retry_policy_respects_retry_after() {
    let origin = Origin::answering(|_| {
        http::Response::builder()
            .status(503)
            .header("retry-after", "3600")
            .body("busy".into())
            .unwrap()
    });
    let toml = through(&origin, "\"retry-policy\"")
        + "retry = { budget = \"100%\" }\n"
        + &plugin(
            "retry-policy",
            "config = { on = [\"503\"], attempts = 3, backoff = \"1ms..5ms\" }",
        );
    let gateway = Setup::new(toml).maintained("retry-policy").start();
    assert_status(&gateway.get("/"), 503);
    assert_eq!(origin.seen().len(), 1, "an hour is longer than anybody waits");
}

#[test]
fn access_metrics_counts_by_route_and_status() {
    let origin = Origin::answering(|seen| {
        let status = if seen.uri.path() == "/bad" { 404 } else { 200 };
        http::Response::builder().status(status).body("".into()).unwrap()
    });
    let toml = through(&origin, "\"access-metrics\"");
    let gateway = Setup::new(toml).maintained("access-metrics").start();
    for path in ["/", "/", "/bad"] {
        gateway.get(path);
    }
    let count = |status: &str| {
        let labels =
            [("plugin", "access-metrics"), ("route", "all"), ("status", status), ("method", "GET")];
        let metrics = gateway.metrics();
        let seconds = metrics.sum("edgewit_plugin_request_seconds_count", &labels);
        (metrics.sum("edgewit_plugin_requests_total", &labels), seconds)
    };
    until("all requests to be counted", || {
        (count("2xx") == (2.0, 2.0) && count("4xx") == (1.0, 1.0)).then_some(())
    });
}

#[test]
fn headers_edits_requests_and_responses() {
    let origin = Origin::echo();
    let config = "[plugins.headers.config]\n\
        request = { set = { x-client = \"{client-address}\", x-user = \"{subject}\" }, remove = [\"x-internal\"] }\n\
        response = { remove = [\"content-type\"], set = { x-route = \"{route}\" }, append = { vary = \"origin\" } }";
    let toml = through(&origin, "\"headers\"") + &plugin("headers", config);
    let gateway = Setup::new(toml).maintained("headers").start();
    let reply = gateway.send(get("/").header("x-internal", "1").header("x-user", "admin"));
    assert_eq!(reply.echoed("x-client"), "127.0.0.1");
    assert_eq!(
        (reply.echoed("x-internal"), reply.echoed("x-user")),
        (String::new(), String::new())
    );
    assert_eq!(
        (reply.header("content-type"), reply.header("x-route"), reply.header("vary")),
        ("", "all", "origin")
    );
}

#[test]
fn rate_limit_refuses_what_is_too_much() {
    let origin = Origin::echo();
    let toml = through(&origin, "\"rate-limit\"")
        + &plugin(
            "rate-limit",
            "allow = { rate = true }\nconfig = { rate = \"1/h\", burst = 5, key = \"header:x-user\" }",
        );
    let gateway = Setup::new(toml).maintained("rate-limit").start();
    let ask = |user: &str| gateway.send(get("/").header("x-user", user));
    let statuses: Vec<u16> = (0..7).map(|_| ask("ada").status).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429, 429]);
    let refused = ask("ada");
    let seconds: u32 =
        refused.header("retry-after").parse().expect("a refusal says when to come back");
    assert!((1..=3_600).contains(&seconds), "{seconds}");
    assert_eq!(ask("bob").status, 200, "others have their own bucket");
    assert_eq!(origin.seen().len(), 6);
}

#[test]
fn every_maintained_filter_passes_its_own_cases() {
    let target = cargo::target_dir();
    for name in artifact::all_maintained() {
        artifact::maintained(&name);
        // The suites name the component below the project's own target folder; here it may be another one.
        let folder = tempfile::tempdir().unwrap();
        let source = artifact::plugins().join(&name);
        copy(&source, &folder.path().join("plugins").join(&name));
        std::os::unix::fs::symlink(&target, folder.path().join("target")).unwrap();
        let dir = folder.path().join("plugins").join(&name);
        let arguments = ["plugin", "test", "--dir", dir.to_str().unwrap()];
        let said = Setup::new("").run(&arguments);
        assert_eq!(said.code, Some(0), "{name}: {}{}", said.stdout, said.stderr);
    }
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
