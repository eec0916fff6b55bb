//! What a filter may write: nothing that splits, smuggles or frames.

use edgewit_harness::{Gateway, Origin, Setup, get};
use serde_json::json;

use crate::common::{assert_status, route, upstream, with};
use crate::guest;

/// Names and values, none of which may leave a filter.
const BAD: [(&str, &str); 14] = [
    ("x-a", "a\r\nx-split: yes"),
    ("x-a", "a\nb"),
    ("x-a", "a\0b"),
    ("x-a\r\nx-split", "yes"),
    ("x a", "yes"),
    ("", "yes"),
    (":path", "/admin"),
    ("content-length", "5"),
    ("transfer-encoding", "chunked"),
    ("connection", "close"),
    ("host", "other"),
    ("upgrade", "websocket"),
    ("trailer", "x-a"),
    ("keep-alive", "1"),
];

fn editing(origin: &Origin) -> Gateway {
    let toml = upstream("origin", origin)
        + &route("all", "/{*rest}", "\"editor\"")
        + &route("free", "/free", "");
    Setup::new(toml).guest(guest::EDITOR).start()
}

#[test]
fn edits_that_are_not_valid_are_refused_as_a_whole() {
    let origin = Origin::echo();
    let gateway = editing(&origin);
    for side in ["request", "response"] {
        for bad in BAD {
            let (name, value) = bad;
            let edits = json!({ side: [["set", "x-good", "yes"], ["append", name, value]] });
            let mut client = gateway.raw();
            client.write(format!(
                "GET /{side} HTTP/1.1\r\nhost: a\r\nx-edits: {edits}\r\nconnection: close\r\n\r\n"
            ));
            let all = client.read_to_end();
            assert!(all.starts_with("HTTP/1.1 503 "), "{side} {bad:?}: {all}");
            assert_eq!(all.matches("HTTP/1.1").count(), 1, "one response: {all}");
            assert!(!all.contains("x-split") && !all.contains("x-good"), "{side} {bad:?}: {all}");
        }
    }
    assert_status(&gateway.get("/free"), 200);
    let reached = origin.seen();
    assert!(reached.iter().all(|seen| seen.uri.path() != "/request"), "{reached:?}");
}

#[test]
fn a_bad_status_is_a_failure_of_the_filter() {
    let origin = Origin::echo();
    let gateway = editing(&origin);
    let cases = [
        ("answer", 199),
        ("answer", 99),
        ("answer", 600),
        ("answer", 0),
        ("replace", 101),
        ("replace", 65_535),
        ("status", 199),
        ("status", 600),
    ];
    for (n, case) in cases.into_iter().enumerate() {
        let (key, status) = case;
        let reply = gateway.send(get("/").header("x-edits", json!({ key: status }).to_string()));
        assert_eq!(reply.status, 503, "{case:?}");
        let stops = [("plugin", "editor"), ("reason", "abi")];
        let count = gateway.metrics().sum("edgewit_filter_stops_total", &stops);
        assert_eq!(count, (n + 1) as f64, "{case:?}");
    }
}

#[test]
fn bytes_that_are_no_text_pass_untouched() {
    let origin = Origin::echo();
    let toml = upstream("origin", &origin)
        + &route("all", "/", &with("editor", r#"request = [["set", "x-new", "ü"]]"#));
    let gateway = Setup::new(toml).guest(guest::EDITOR).start();
    gateway.send(get("/").header("x-raw", b"\xff\x80"));
    let seen = origin.seen();
    assert_eq!(seen[0].headers["x-raw"].as_bytes(), b"\xff\x80");
    assert_eq!(seen[0].headers["x-new"].as_bytes(), "ü".as_bytes());
}
