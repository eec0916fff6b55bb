//! The body phases in all their modes.

use bytes::Bytes;
use edgewit_harness::{Origin, Protocol, Setup, ask, get, post, until};

use crate::common::{all, assert_status, route, through, upstream, with};
use crate::guest;

fn body(direction: &str, mode: &str, size: u32, act: &str) -> String {
    with(
        "body",
        &format!("direction = \"{direction}\", mode = \"{mode}\", size = {size}, act = \"{act}\""),
    )
}

#[test]
fn a_request_body_is_seen_as_declared() {
    let origin = Origin::echo();
    let cases = [
        ("pass", body("request", "stream", 0, "pass"), "0123456789"),
        ("upper", body("request", "buffer", 100, "upper"), "0123456789"),
        ("peek", body("request", "peek", 4, "show"), "[0123]456789"),
        ("peekall", body("request", "peek", 100, "show"), "[0123456789]."),
        ("buffer", body("request", "buffer", 10, "show"), "[0123456789]."),
    ];
    let routes = cases.iter().map(|(name, filter, _)| route(name, &format!("/{name}"), filter));
    let gateway = Setup::new(upstream("origin", &origin) + &all(routes)).guest(guest::BODY).start();
    for protocol in [Protocol::H1, Protocol::H2] {
        let mut connection = gateway.connect_by(protocol);
        for (name, _, expected) in &cases {
            let reply = connection.send(post(&format!("/{name}"), "0123456789"));
            assert_eq!(reply.json()["body"], **expected, "{name} {protocol:?}");
        }
    }
}

#[test]
fn a_long_request_body_streams_through_a_filter() {
    let origin =
        Origin::answering(|seen| http::Response::new(Bytes::from(seen.body.len().to_string())));
    let toml = through(&origin, &body("request", "stream", 0, "upper"));
    let gateway = Setup::new(toml).guest(guest::BODY).start();
    let long = "abcdefgh".repeat(128 << 10);
    assert_eq!(gateway.send(post("/", long.clone())).text(), long.len().to_string());
    assert_eq!(origin.seen()[0].body, long.to_uppercase());
}

#[test]
fn a_request_body_is_refused_before_the_upstream_sees_it() {
    let origin = Origin::echo();
    let toml = all([
        upstream("origin", &origin),
        route("answer", "/answer", &body("request", "peek", 4, "answer")),
        route("small", "/small", &body("request", "buffer", 9, "pass")),
    ]);
    let gateway = Setup::new(toml).guest(guest::BODY).start();
    let reply = gateway.send(post("/answer", "0123456789"));
    assert_eq!((reply.status, reply.text().as_str()), (422, "not this body"));
    gateway.send(post("/small", "0123456789")).assert_problem(413);
    assert!(origin.seen().is_empty());
}

#[test]
fn a_cut_request_body_never_ends_cleanly() {
    let origin = Origin::echo();
    let toml = through(&origin, &body("request", "stream", 0, "cut"));
    let gateway = Setup::new(toml).guest(guest::BODY).start();
    gateway.send(post("/", "0123456789")).assert_problem(400);
    assert!(
        origin.seen().iter().all(|seen| !seen.whole && seen.body.is_empty()),
        "{:?}",
        origin.seen()
    );
}

#[test]
fn a_response_body_is_seen_as_declared() {
    let origin = Origin::answering(|_| http::Response::new("abcdefghij".into()));
    let cases = [
        ("pass", body("response", "stream", 0, "pass"), "abcdefghij"),
        ("upper", body("response", "stream", 0, "upper"), "ABCDEFGHIJ"),
        ("peek", body("response", "peek", 4, "show"), "[abcd]efghij"),
        ("buffer", body("response", "buffer", 10, "show"), "[abcdefghij]."),
        ("answer", body("response", "buffer", 10, "answer"), "not this body"),
    ];
    let routes = cases.iter().map(|(name, filter, _)| route(name, &format!("/{name}"), filter));
    let small = route("small", "/small", &body("response", "buffer", 9, "pass"));
    let toml = upstream("origin", &origin) + &all(routes) + &small;
    let gateway = Setup::new(toml).guest(guest::BODY).start();
    for protocol in [Protocol::H1, Protocol::H2] {
        let mut connection = gateway.connect_by(protocol);
        for (name, _, expected) in &cases {
            let reply = connection.send(get(&format!("/{name}")));
            assert_eq!(reply.text(), *expected, "{name} {protocol:?}");
            assert_eq!(reply.status, if *name == "answer" { 422 } else { 200 }, "{name}");
        }
        connection.send(get("/small")).assert_problem(502);
    }
}

#[test]
fn response_filters_see_the_body_in_reverse_order() {
    let origin = Origin::answering(|_| http::Response::new("abc".into()));
    let filters =
        body("response", "stream", 0, "upper") + ", " + &body("response", "buffer", 9, "show");
    let gateway = Setup::new(through(&origin, &filters)).guest(guest::BODY).start();
    assert_eq!(gateway.get("/").text(), "[ABC].");
}

#[test]
fn a_cut_response_is_never_presented_as_complete() {
    let origin = Origin::answering(|_| http::Response::new("abcdefghij".into()));
    let toml = through(&origin, &body("response", "stream", 0, "cut"));
    let gateway = Setup::new(toml).guest(guest::BODY).start();
    let mut client = gateway.raw();
    client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    let all = client.read_to_end();
    assert!(!all.contains("\r\n0\r\n") && !all.contains("abcdefghij"), "{all}");
    gateway.access.wait_for(&[r#""ending":"host-cut""#]);
}

#[test]
fn a_streamed_response_reaches_the_client_part_by_part() {
    let (origin, mut streams) = Origin::streaming();
    let toml = through(&origin, &body("response", "stream", 0, "upper"));
    let gateway = Setup::new(toml).guest(guest::BODY).start();
    let mut client = gateway.raw();
    client.write("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    let parts = until("the origin to be asked", || streams.try_recv().ok());
    for part in ["first", "second", "third"] {
        parts.send(Ok(hyper::body::Frame::data(part.into()))).unwrap();
        client.read_until(&part.to_uppercase()); // comes before the origin sends more
    }
    drop(parts);
    assert!(client.read_to_end().ends_with("0\r\n\r\n"));
}

#[test]
fn a_response_without_a_body_stays_one() {
    let origin = Origin::answering(|_| http::Response::new("abc".into()));
    let toml = through(&origin, &body("response", "buffer", 9, "show"));
    let gateway = Setup::new(toml).guest(guest::BODY).start();
    let reply = gateway.send(ask("HEAD", "/"));
    assert_status(&reply, 200);
    assert!(reply.body.is_empty());
}
