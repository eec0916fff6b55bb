//! What filters may use and what they really use.

use std::process::Command;

use edgewit_harness::{Gateway, Origin, Setup, artifact, get, program, until};
use serde_json::Value;

use crate::common::{plugin, through};
use crate::guest;

const REQUESTS: u64 = 40;

fn measured(origin: &Origin) -> Gateway {
    let limits = "limits = { fuel = 7_000_000, memory = \"4MiB\", time = \"9s\" }";
    let toml = through(origin, "\"version\"") + &plugin("version", limits);
    let gateway = Setup::new(toml).guest_as(guest::VERSION_ONE, "version").start();
    let mut connection = gateway.connect();
    for _ in 0..REQUESTS {
        assert_eq!(connection.send(get("/")).status, 200);
    }
    gateway
}

/// Runs `edgewit plugin ...` against a gateway.
fn command(gateway: &Gateway, arguments: &[&str]) -> String {
    let admin = gateway.admin().to_string();
    let mut command = Command::new(program::path());
    program::run(command.arg("plugin").args(arguments).args(["--admin", &admin])).ok()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}

/// Is it a spread of so many values below the limit?
fn check(spread: &Value, count: u64, limit: u64) {
    let [p50, p99, max] = ["p50", "p99", "max"].map(|key| number(&spread[key]));
    assert_eq!(number(&spread["count"]), count, "{spread}");
    assert!(0 < p50 && p50 <= p99 && p99 <= max && max <= limit, "{spread}, limit {limit}");
}

#[test]
fn status_tells_limits_and_what_is_really_used() {
    let origin = Origin::echo();
    let gateway = measured(&origin);
    let shown = gateway.admin_json("/v1/plugins/version");
    let (limits, usage) = (&shown["standing"]["limits"], &shown["usage"]);
    assert_eq!(number(&limits["fuel"]), 7_000_000);
    assert_eq!(number(&limits["time-ns"]), 9_000_000_000);
    assert_eq!(number(&limits["memory-bytes"]), 4 << 20);
    let calls = 2 * REQUESTS; // the phases `request` and `response`
    check(&usage["fuel"], calls, 7_000_000);
    check(&usage["memory-bytes"], calls, 4 << 20);
    // By the clock, which a busy machine stretches beyond the processor time that the limit is about.
    check(&usage["time-ns"], calls, u64::MAX);
    let all = gateway.admin_json("/v1/plugins");
    assert_eq!(all["plugins"][0]["usage"]["fuel"], usage["fuel"]);

    // Another version begins anew, and the one before is not mixed in.
    let (old, _) = usage["versions"].as_object().unwrap().iter().next().unwrap();
    gateway.put_guest(guest::VERSION_TWO, "version");
    until("the other version to serve", || {
        (gateway.get("/").header("x-response-version") == "2").then_some(())
    });
    let versions = gateway.admin_json("/v1/plugins/version")["usage"]["versions"].clone();
    let new = versions.as_object().unwrap().iter().find(|(version, _)| *version != old);
    let (_, new) = new.unwrap_or_else(|| panic!("{old} alone: {versions}"));
    assert!(number(&new["fuel"]["count"]) < calls, "{versions}");
}

#[test]
fn inspect_shows_what_a_running_plugin_uses_and_what_a_file_may_use() {
    let origin = Origin::echo();
    let gateway = measured(&origin);
    let shown = command(&gateway, &["inspect", "version"]);
    let row = |name: &str| {
        let line = shown.lines().find(|line| line.starts_with(name));
        line.unwrap_or_else(|| panic!("no {name} in\n{shown}")).to_owned()
    };
    assert!(row("fuel").contains("7.0M") && !row("fuel").contains('-'), "{shown}");
    assert!(row("memory").contains("4.0 MiB") && row("time").contains("9.0s"), "{shown}");
    assert!(row("calls").ends_with(" 80") && row("namespace").ends_with("plugin"), "{shown}");
    let json: Value =
        serde_json::from_str(&command(&gateway, &["inspect", "version", "-o", "json"])).unwrap();
    check(&json["usage"]["fuel"], 80, 7_000_000);
    let listed = command(&gateway, &["list"]);
    assert!(listed.contains("USED (P99/LIMIT)") && listed.contains("/7.0M"), "{listed}");

    let file = artifact::guest(guest::VERSION_ONE).display().to_string();
    let of_file = command(&gateway, &["inspect", &file]);
    assert!(of_file.contains("only a running server knows"), "{of_file}");
    assert!(of_file.contains("fuel 40.0M"), "the defaults: {of_file}");
    let json: Value =
        serde_json::from_str(&command(&gateway, &["inspect", &file, "-o", "json"])).unwrap();
    assert_eq!(number(&json["limits"]["fuel"]), 40_000_000);
    assert_eq!(json["usage"], Value::Null);
}
