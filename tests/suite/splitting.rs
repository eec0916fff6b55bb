//! No text of a filter becomes a line of anything: one gate for every place where it leaves the host.

use edgewit_harness::{Metrics, Origin, Setup};
use serde_json::json;

use crate::common::{assert_status, plugin, route, upstream};
use crate::guest;

/// What could end a line somewhere.
const TEXTS: [&str; 7] = [
    "a\r\nx-split: yes",
    "a\nx-split: yes",
    "a\r\n\r\nHTTP/1.1 200 OK\r\nx-split: yes\r\n\r\n",
    "a\r\n\r\nGET /x-split HTTP/1.1\r\nhost: a\r\n\r\n",
    "a\rx-split: yes",
    "a\u{0}b",
    "a\u{b}b",
];

/// Places in which they are refused.
const REFUSED: [&str; 13] = [
    "subject",
    "path",
    "query",
    "upstream",
    "location",
    "name",
    "request-header",
    "authority",
    "cookie",
    "response-header",
    "set-cookie",
    "trailer",
    "content-type",
];

/// Places in which they are escaped.
const ESCAPED: [&str; 2] = ["log", "label"];

#[test]
fn no_text_of_a_filter_splits_anything() {
    let origin = Origin::echo();
    let toml = upstream("origin", &origin)
        + &route("all", "/{*rest}", "\"splitter\"")
        + &route("free", "/free", "")
        + &plugin("splitter", "quarantine = \"off\"");
    let gateway = Setup::new(toml).guest(guest::SPLITTER).start();
    let cases = REFUSED.map(|place| (place, 503)).into_iter().chain(ESCAPED.map(|p| (p, 200)));
    let mut stops = 0.0;
    for (place, status) in cases {
        for text in TEXTS {
            let before = origin.seen().len();
            let mut client = gateway.raw();
            let say = json!([place, text]);
            client.write(format!(
                "GET / HTTP/1.1\r\nhost: a\r\nx-say: {say}\r\nconnection: close\r\n\r\n"
            ));
            let all = client.read_to_end();
            assert!(all.starts_with(&format!("HTTP/1.1 {status} ")), "{place} {text:?}: {all}");
            let head = all.split("\r\n\r\n").next().unwrap_or_default();
            assert_eq!(head.matches("HTTP/1.1").count(), 1, "{place} {text:?}: {all}");
            assert!(!head.contains("x-split"), "{place} {text:?}: {all}");
            if status == 503 {
                stops += 1.0;
                let labels = [("plugin", "splitter"), ("reason", "abi")];
                let counted = gateway.metrics().sum("edgewit_filter_stops_total", &labels);
                assert_eq!(
                    counted,
                    stops,
                    "{place} {text:?}: {:#?}",
                    gateway.log.with(&["stopped"])
                );
            }
            for seen in &origin.seen()[before..] {
                assert!(!seen.headers.contains_key("x-split"), "{place} {text:?}: {seen:?}");
                assert!(!seen.uri.path().contains("x-split"), "{place} {text:?}: {seen:?}");
            }
        }
        assert_status(&gateway.get("/free"), 200);
    }
    for line in gateway.log.all().iter().chain(&gateway.access.all()) {
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(line);
        assert!(parsed.is_ok_and(|value| value.is_object()), "a line of its own: {line}");
    }
    let page = gateway.ask_admin("/metrics").text();
    assert!(!page.lines().any(|line| line.starts_with("x-split")), "{page}");
    assert_eq!(Metrics::parse(&page).series("edgewit_plugin_said_total"), TEXTS.len());
}
