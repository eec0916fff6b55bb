//! What is told of a request.

use edgewit_harness::{Gateway, Origin, Setup, get, post, until};
use serde_json::Value;

use crate::common::{assert_status, plugin, through};
use crate::guest;

fn marked(origin: &Origin) -> Gateway {
    let toml = through(origin, "\"marker\"") + &plugin("marker", "config = { name = \"m\" }");
    Setup::new(toml).guest(guest::MARKER).start()
}

#[test]
fn a_request_is_one_line_of_the_access_log() {
    let origin = Origin::echo();
    let gateway = marked(&origin);
    let ask = post("/a/path?secret=1", "body")
        .header("user-agent", "a \"test\"\u{7f}".replace('\u{7f}', ""));
    let reply = gateway.send(ask);
    assert_status(&reply, 200);
    let line: Value = serde_json::from_str(&gateway.access.wait_for(&["/a/path"])).unwrap();
    let expected = [
        ("http.request.method", Value::from("POST")),
        ("url.path", "/a/path".into()),
        ("url.scheme", "http".into()),
        ("network.protocol.version", "1.1".into()),
        ("client.address", "127.0.0.1".into()),
        ("http.response.status_code", 200.into()),
        ("ending", "complete".into()),
        ("route", "all".into()),
        ("upstream", "origin".into()),
        ("listener", "web".into()),
        ("tries", 1.into()),
        ("http.request.body.size", 4.into()),
        ("http.response.body.size", reply.body.len().into()),
        ("user_agent.original", "a \"test\"".into()),
        ("request_id", reply.header("x-request-id").into()),
    ];
    for (key, value) in expected {
        assert_eq!(line[key], value, "{key} of {line}");
    }
    let filter = &line["filters"][0];
    assert_eq!((&filter["name"], &filter["outcome"]), (&"marker".into(), &"proceed".into()));
    assert!(
        filter["fuel"].as_u64() > Some(0) && line["duration_ms"].as_f64() > Some(0.0),
        "{line}"
    );
    assert!(!line.to_string().contains("secret"), "a query may hold secrets");
    assert_eq!(gateway.access.with(&["/a/path"]).len(), 1);
}

#[test]
fn a_request_has_one_id_that_only_a_trusted_peer_may_choose() {
    let origin = Origin::echo();
    let gateway = marked(&origin);
    let reply = gateway.send(get("/").header("x-request-id", "mine"));
    let id = reply.header("x-request-id");
    assert_eq!((id.len(), id.as_bytes()[14]), (36, b'7'), "a UUID of version 7: {id}");
    assert_eq!(reply.echoed("x-request-id"), id, "the upstream knows it too");
    let trusting = Setup::new(through(&origin, ""))
        .listeners(
            "[listeners.web]\nlisten = \"127.0.0.1:0\"\ntrusted-proxies = [\"127.0.0.0/8\"]\n",
        )
        .start();
    let reply = trusting.send(get("/").header("x-request-id", "mine"));
    assert_eq!(
        (reply.header("x-request-id"), reply.echoed("x-request-id").as_str()),
        ("mine", "mine")
    );
}

#[test]
fn a_trace_is_continued_or_begun() {
    let origin = Origin::echo();
    let gateway = marked(&origin);
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let reply =
        gateway.send(get("/continued").header("traceparent", &parent).header("tracestate", "a=b"));
    let sent = reply.echoed("traceparent");
    assert!(
        sent.starts_with(&format!("00-{trace}-")) && sent.ends_with("-01") && sent != parent,
        "{sent}"
    );
    assert_eq!(reply.echoed("tracestate"), "a=b");
    gateway.access.wait_for(&["/continued", &format!(r#""trace_id":"{trace}""#)]);
    let begun = gateway
        .send(get("/begun").header("traceparent", "00-nonsense").header("tracestate", "a=b"));
    let sent = begun.echoed("traceparent");
    assert_eq!((sent.len(), sent.contains("nonsense")), (55, false), "{sent}");
    assert_eq!(begun.echoed("tracestate"), "");
}

#[test]
fn requests_and_filters_are_measured() {
    let origin = Origin::echo();
    let gateway = marked(&origin);
    for _ in 0..3 {
        assert_status(&gateway.get("/a"), 200);
    }
    let request = [
        ("http_request_method", "GET"),
        ("http_response_status_code", "200"),
        ("edgewit_route", "all"),
        ("http_route", "/{*rest}"),
        ("url_scheme", "http"),
    ];
    let metrics = until("the requests to be counted", || {
        let metrics = gateway.metrics();
        let count = metrics.sum("http_server_request_duration_seconds_count", &request);
        (count == 3.0).then_some(metrics)
    });
    for phase in ["auth", "routing", "request", "response"] {
        let labels =
            [("route", "all"), ("plugin", "marker"), ("phase", phase), ("outcome", "proceed")];
        assert_eq!(metrics.sum("edgewit_filter_duration_seconds_count", &labels), 3.0, "{phase}");
    }
    assert_eq!(metrics.sum("edgewit_filter_fuel_count", &[("plugin", "marker")]), 12.0);
    assert!(metrics.sum("edgewit_filter_fuel_sum", &[("plugin", "marker")]) > 1_000.0);
    assert!(metrics.sum("edgewit_filter_memory_peak_bytes", &[("plugin", "marker")]) >= 65_536.0);
    assert_eq!(metrics.sum("edgewit_plugin_info", &[("plugin", "marker")]), 1.0);
    assert_eq!(metrics.sum("edgewit_config_generation", &[]), 1.0);
    assert_eq!(
        metrics
            .sum("http_client_request_duration_seconds_count", &[("edgewit_upstream", "origin")]),
        3.0
    );
    assert_eq!(metrics.series("edgewit_build_info"), 1);
}
