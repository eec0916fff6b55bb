//! Capabilities that are asked for too much.

use edgewit_harness::{Origin, Setup, get};

use crate::common::{all, assert_status, plugin, route, through, upstream, with};
use crate::guest;

#[test]
fn the_log_of_one_exchange_is_bounded_and_stays_lines() {
    let origin = Origin::echo();
    let gateway = Setup::new(through(&origin, "\"log_flood\"")).guest(guest::LOG_FLOOD).start();
    assert_status(&gateway.get("/"), 200);
    gateway.log.wait_for(&["further log lines of this exchange are dropped"]);
    let lines = gateway.log.with(&["flood:"]);
    assert_eq!(lines.len(), 32, "{lines:#?}");
    let escaped = lines[0].clone();
    assert!(escaped.contains(r"a\\r\\nb\\u{1b}[31mc\\u{0}"), "{escaped}");
    assert!(lines.iter().all(|line| line.len() < 5_000), "a message has at most 4 KiB");
    for part in [r#""plugin":"log_flood""#, r#""route":"all""#, r#""request_id":""#] {
        assert!(escaped.contains(part), "{escaped}");
    }
}

#[test]
fn megabytes_for_a_host_function_stop_the_filter() {
    let origin = Origin::echo();
    let ways = ["log", "metrics", "exchange", "kv-key", "kv-value", "rate", "edit"];
    let routes = ways
        .map(|to| route(to, &format!("/{to}"), &with("huge_strings", &format!("to = \"{to}\""))));
    let toml = upstream("origin", &origin)
        + &all(routes)
        + &plugin("huge_strings", "allow = { kv = true, rate = true }")
        + &route("free", "/free", "");
    let gateway = Setup::new(toml).guest(guest::HUGE_STRINGS).start();
    let before = gateway.memory();
    for to in ways {
        gateway.get(&format!("/{to}")).assert_problem(503);
        assert_status(&gateway.get("/free"), 200);
        let line = gateway.log.wait_for(&["filter stopped", &format!(r#""route":"{to}""#)]);
        let reason = if to == "edit" { ["capability", "abi"] } else { ["capability"; 2] };
        assert!(reason.iter().any(|r| line.contains(&format!(r#""reason":"{r}""#))), "{line}");
    }
    assert!(gateway.memory() < before + (64 << 20));
}

#[test]
fn series_of_a_plugin_are_bounded_and_what_is_dropped_is_counted() {
    let origin = Origin::echo();
    let gateway =
        Setup::new(through(&origin, "\"metric_flood\"")).guest(guest::METRIC_FLOOD).start();
    for first in [0, 900] {
        assert_status(&gateway.send(get(&format!("/?{first}"))), 200);
    }
    let metrics = gateway.metrics();
    assert_eq!(metrics.series("edgewit_plugin_flood_total"), 1_000);
    let dropped =
        metrics.sum("edgewit_plugin_metrics_dropped_total", &[("plugin", "metric_flood")]);
    assert_eq!(
        dropped,
        f64::from(800 + 2 * 2),
        "800 over the bound, and each time two that are not valid"
    );
}
