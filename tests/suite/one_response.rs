//! C22: whatever a filter answers and makes of a body, the client gets one response of the right length, and the connection
//! goes on behind it.

use edgewit_harness::{Origin, Protocol, Raw, Setup, get};
use serde_json::json;

use crate::common::{all, route, upstream, with};
use crate::guest;

/// One response, read by its framing and not one byte further.
fn response(client: &mut Raw) -> (u16, String) {
    let head = client.read_until("\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 "), "what follows a response is a response: {head:?}");
    let status = head[9..12].parse().unwrap();
    let field = |name: &str| -> Vec<String> {
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        let same = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.to_owned()).collect()
    };
    let (lengths, codings) = (field("content-length"), field("transfer-encoding"));
    assert!(lengths.len() + codings.len() <= 1, "one framing: {head}");
    let body = match (lengths.first(), codings.first()) {
        _ if [204, 304].contains(&status) => String::new(),
        (Some(length), _) => client.read(length.parse().unwrap()),
        (_, Some(_)) => chunks(client),
        (None, None) => panic!("no end is in sight: {head}"),
    };
    (status, body)
}

fn chunks(client: &mut Raw) -> String {
    let mut body = String::new();
    loop {
        let size = client.read_until("\r\n");
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        body += &client.read(size);
        assert_eq!(client.read(2), "\r\n");
        if size == 0 {
            return body;
        }
    }
}

fn ask(client: &mut Raw, path: &str, edits: &str) -> (u16, String) {
    client.write(format!("GET {path} HTTP/1.1\r\nhost: a\r\nx-edits: {edits}\r\n\r\n"));
    response(client)
}

#[test]
fn c22_a_body_of_another_length_is_framed_anew() {
    let origin = Origin::answering(|_| http::Response::new("abcdefghij".into()));
    let body = |mode: &str, act: &str| {
        let config =
            format!("direction = \"response\", mode = \"{mode}\", size = 10, act = \"{act}\"");
        with("body", &config)
    };
    let cases = [
        ("same", body("stream", "upper"), "ABCDEFGHIJ"),
        ("longer", body("buffer", "show"), "[abcdefghij]."),
        ("peeked", body("peek", "show").replace("size = 10", "size = 4"), "[abcd]efghij"),
        ("shorter", body("stream", "empty"), ""),
        ("nothing", body("buffer", "empty"), ""),
        ("twice", body("stream", "empty") + ", " + &body("buffer", "show"), ""),
    ];
    let routes = cases.iter().map(|(name, filter, _)| route(name, &format!("/{name}"), filter));
    let gateway = Setup::new(upstream("origin", &origin) + &all(routes)).guest(guest::BODY).start();
    let mut client = gateway.raw();
    let mut second = gateway.connect_by(Protocol::H2);
    for _ in 0..2 {
        for (name, _, expected) in &cases {
            let (status, body) = ask(&mut client, &format!("/{name}"), "{}");
            assert_eq!((status, body.as_str()), (200, *expected), "{name}");
            let reply = second.send(get(&format!("/{name}")));
            assert_eq!(reply.text(), *expected, "{name}, over HTTP/2");
            let length = reply.header("content-length");
            assert!(length.is_empty() || length == expected.len().to_string(), "{name}: {length}");
        }
    }
}

#[test]
fn c22_a_filter_that_frames_or_answers_twice_gets_one_response_out() {
    let origin = Origin::answering(|_| http::Response::new("abcdefghij".into()));
    let toml = upstream("origin", &origin) + &route("all", "/{*rest}", "\"editor\"");
    let gateway = Setup::new(toml).guest(guest::EDITOR).start();
    let answered = "answered by the filter";
    let framed = |name: &str, value: &str| json!({ "response": [["set", name, value]] });
    let cases = [
        (json!({ "answer": 200 }), 200, answered),
        (json!({ "answer": 200, "replace": 201 }), 201, "replaced by the filter"),
        (json!({ "replace": 500 }), 500, "replaced by the filter"),
        (json!({ "answer": 204 }), 204, ""),
        (json!({ "status": 204 }), 204, ""),
        (json!({ "status": 304 }), 304, ""),
        (json!({ "response": [["remove", "content-length", ""]] }), 503, "problem"),
        (framed("content-length", "3"), 503, "problem"),
        (framed("content-length", "300"), 503, "problem"),
        (framed("transfer-encoding", "chunked"), 503, "problem"),
        (json!({ "answer": 200, "response": [["set", "content-length", "3"]] }), 503, "problem"),
    ];
    for n in 0..2 {
        let mut client = gateway.raw();
        for (edits, status, expected) in &cases {
            let (got, body) = ask(&mut client, "/", &edits.to_string());
            assert_eq!(got, *status, "{edits}, round {n}: {body}");
            match *expected {
                "problem" => assert!(body.contains("\"status\":503"), "{edits}: {body}"),
                expected => assert_eq!(body, expected, "{edits}"),
            }
            assert_eq!(
                ask(&mut client, "/", "{}"),
                (200, "abcdefghij".to_owned()),
                "after {edits}"
            );
        }
    }
}
