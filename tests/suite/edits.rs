//! What a filter may write: nothing that splits, smuggles or frames.

use edgewit_harness::{Origin, Setup, get};

use crate::common::{all, assert_status, route, upstream, with};
use crate::guest;

/// `[name, value]` as TOML writes them, none of which may leave a filter.
const BAD: [(&str, &str); 14] = [
    ("x-a", r"a\r\nx-split: yes"),
    ("x-a", r"a\nb"),
    ("x-a", r"a\u0000b"),
    ("x-a\\r\\nx-split", "yes"),
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

#[test]
fn edits_that_are_not_valid_are_refused_as_a_whole() {
    let origin = Origin::echo();
    let mut toml = upstream("origin", &origin) + &route("free", "/free", "");
    for (n, (name, value)) in BAD.iter().enumerate() {
        let edits = format!(r#"[["set", "x-good", "yes"], ["append", "{name}", "{value}"]]"#);
        for side in ["request", "response"] {
            let filter = with("editor", &format!("{side} = {edits}"));
            toml += &route(&format!("{side}{n}"), &format!("/{side}/{n}"), &filter);
        }
    }
    let gateway = Setup::new(toml).guest(guest::EDITOR).start();
    for side in ["request", "response"] {
        for (n, bad) in BAD.iter().enumerate() {
            let mut client = gateway.raw();
            client
                .write(format!("GET /{side}/{n} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"));
            let all = client.read_to_end();
            assert!(all.starts_with("HTTP/1.1 503 "), "{side} {bad:?}: {all}");
            assert_eq!(all.matches("HTTP/1.1").count(), 1, "one response: {all}");
            assert!(!all.contains("x-split") && !all.contains("x-good"), "{side} {bad:?}: {all}");
        }
    }
    assert_status(&gateway.get("/free"), 200);
    let reached = origin.seen();
    assert!(reached.iter().all(|seen| !seen.uri.path().starts_with("/request")), "{reached:?}");
}

#[test]
fn a_bad_status_is_a_failure_of_the_filter() {
    let origin = Origin::echo();
    let cases = [
        ("answer", "199"),
        ("answer", "99"),
        ("answer", "600"),
        ("answer", "0"),
        ("replace", "101"),
        ("replace", "65535"),
        ("status", "199"),
        ("status", "600"),
    ];
    let routes = cases.iter().enumerate().map(|(n, (key, status))| {
        route(&format!("r{n}"), &format!("/{n}"), &with("editor", &format!("{key} = {status}")))
    });
    let gateway =
        Setup::new(upstream("origin", &origin) + &all(routes)).guest(guest::EDITOR).start();
    for (n, case) in cases.iter().enumerate() {
        let reply = gateway.get(&format!("/{n}"));
        assert_eq!(reply.status, 503, "{case:?}");
        gateway.log.wait_for(&[
            "filter stopped",
            r#""reason":"abi""#,
            &format!(r#""route":"r{n}""#),
        ]);
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
