//! Heads of HTTP/1.

use std::time::Duration;

use super::{GET, all_refused, is_well, refused};
use crate::support::{Backend, Connection, Gateway, forward_to, listener, route, upstream};

fn with(fields: &[&str]) -> Vec<String> {
    let request = |f: &&str| format!("POST / HTTP/1.1\r\nhost: a\r\n{f}\r\n\r\n0\r\n\r\nG");
    fields.iter().map(request).collect()
}

/// THREATS A1
#[tokio::test]
async fn a1_a_length_beside_chunks_is_refused() {
    let fields = [
        "content-length: 6\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 6",
        "transfer-encoding: chunked\r\nx: y\r\nContent-Length: 0",
    ];
    all_refused(&with(&fields), 400, "framing").await;
}

/// THREATS A2
#[tokio::test]
async fn a2_other_transfer_codings_are_refused() {
    let codings = [
        "transfer-encoding: xchunked",
        "transfer-encoding: chunked, identity",
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
        "transfer-encoding: \"chunked\"",
        "transfer-encoding:",
        "Transfer-Encoding: identity",
    ];
    all_refused(&with(&codings), 400, "framing").await;
    let fields = ["transfer-encoding: \u{b}chunked", "transfer-encoding : chunked"];
    all_refused(&with(&fields), 400, "field").await;
}

/// THREATS A3
#[tokio::test]
async fn a3_lengths_with_two_readings_are_refused() {
    let fields = [
        "content-length: 1\r\ncontent-length: 1",
        "content-length: 1\r\ncontent-length: 2",
        "content-length: 2, 2",
        "content-length: +2",
        "content-length: -2",
        "content-length: 0x2",
        "content-length:",
        "content-length: 2 2",
        "content-length: 18446744073709551618",
    ];
    all_refused(&with(&fields), 400, "framing").await;
}

/// THREATS A4
#[tokio::test]
async fn a4_other_versions_are_refused() {
    let request = |version| format!("GET / {version}\r\nhost: a\r\n\r\n");
    let numbers = ["HTTP/1.2", "HTTP/2.0", "HTTP/0.9", "HTTP/9.9"];
    all_refused(&numbers.map(request), 505, "version").await;
    let others = ["HTTP/1.10", "http/1.1", "HTTP/1", "HTTP/1.1x", ""];
    all_refused(&others.map(request), 400, "request-line").await;
    all_refused(&["GET /\r\n\r\n"], 400, "request-line").await;
    let old = "GET / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    all_refused(&[old], 400, "framing").await;
}

/// THREATS A6
#[tokio::test]
async fn a6_broken_fields_are_refused() {
    let heads = [
        "GET / HTTP/1.1\r\nhost: a\nx: y\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx: a\0b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx: a\r\n b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx y: z\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx\u{1}: z\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\n: z\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\n\n",
    ];
    all_refused(&heads, 400, "field").await;
    let lines = ["GET / HTTP/1.1\nhost: a\n\n", "GET  / HTTP/1.1\r\nhost: a\r\n\r\n"];
    all_refused(&lines, 400, "request-line").await;
}

/// THREATS A7
#[tokio::test]
async fn a7_a_request_without_one_host_is_refused() {
    let heads = [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: u@a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a/admin\r\n\r\n",
        "GET / HTTP/1.1\r\nhost:\r\n\r\n",
        "GET http://b/ HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET http://u@a/ HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET http://b/ HTTP/1.1\r\n\r\n",
    ];
    all_refused(&heads, 400, "bad-request").await;
}

/// THREATS A8
#[tokio::test]
async fn a8_large_heads_are_refused() {
    let fields = |n| format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(n));
    all_refused(&[fields(100), fields(20_000)], 431, "too-many-fields").await;
    let value = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(128 << 10));
    all_refused(&[value], 431, "head-too-large").await;
    let target = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "y".repeat(128 << 10));
    all_refused(&[target], 414, "target-too-long").await;
    let method = format!("{} / HTTP/1.1\r\nhost: a\r\n\r\n", "M".repeat(300));
    all_refused(&[method], 400, "request-line").await;
}

/// THREATS A8
#[tokio::test]
async fn a8_no_more_is_read_than_the_limit_and_a_little() {
    let backend = Backend::ok().await;
    let mut listener = listener();
    let limits = &mut listener.limits;
    limits.header_timeout = Duration::from_secs(3_600); // it must not be the clock that ends it
    let limit = limits.header_bytes.as_usize();
    let upstream = upstream("u", &[backend.address]);
    let to = route(forward_to(&[&upstream]));
    let gateway = Gateway::new(listener, vec![(to, Vec::new(), vec![upstream])]);
    // These heads do not end: whoever wants more of them waits.
    for (begin, status) in [("GET /", 414), ("GET / HTTP/1.1\r\nhost: a\r\nx: ", 431)] {
        let bytes = [begin.as_bytes(), &vec![b'y'; limit]].concat();
        refused(&gateway, &backend, &bytes, status).await;
    }
    is_well(&gateway).await;
}

/// THREATS A9
#[tokio::test]
async fn a9_what_is_no_http_is_told_at_once() {
    let backend = Backend::ok().await;
    let mut listener = listener();
    listener.limits.header_timeout = Duration::from_secs(3_600);
    let upstream = upstream("u", &[backend.address]);
    let to = route(forward_to(&[&upstream]));
    let gateway = Gateway::new(listener, vec![(to, Vec::new(), vec![upstream])]);
    let garbage: [&[u8]; 5] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x00\xff\xfe",
        b" ",
        b"\n",
        b"SSH-2.0-OpenSSH_9.6 and so on\r\n",
    ];
    for bytes in garbage {
        refused(&gateway, &backend, bytes, 400).await;
    }
    refused(&gateway, &backend, "\r\n".repeat(5_000).as_bytes(), 400).await;
    is_well(&gateway).await;
}

#[tokio::test]
async fn requests_before_a_bad_one_are_answered_first() {
    let backend = Backend::ok().await;
    let gateway = Gateway::to(&backend);
    let good = "GET /good HTTP/1.1\r\nhost: a\r\n\r\n";
    for piece in [1, 7, 1_000] {
        let all = format!("{good}{good}GET /bad HTTP/1.1\r\nhost: a\r\nx y: z\r\n\r\n{good}");
        let mut connection = Connection::new(gateway.address).await;
        for part in all.as_bytes().chunks(piece) {
            connection.write(part).await;
            if piece == 1 {
                tokio::task::yield_now().await;
            }
        }
        let (answers, _) = connection.rest().await;
        let answers = String::from_utf8(answers).unwrap();
        let statuses: Vec<&str> =
            answers.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
        assert_eq!(statuses, ["200", "200", "400"], "in pieces of {piece}: {answers}");
    }
    assert_eq!(backend.heads().len(), 6);
    assert!(backend.heads().iter().all(|head| head.starts_with("GET /good ")));
}

#[tokio::test]
async fn a_refusal_waits_until_a_slow_reader_has_the_answer_before_it() {
    let length = 8_000_000;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
    let backend = Backend::answering([head.as_bytes(), &vec![b'x'; length]].concat()).await;
    let gateway = Gateway::to(&backend);
    let mut connection = Connection::new(gateway.address).await;
    connection.write("GET / HTTP/1.1\r\nhost: a\r\n\r\nGET /bad\r\n\r\n").await;
    connection.head().await;
    // Nothing is read for a while, so that the gateway cannot write.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let body = connection.read(length).await;
    assert!(body.iter().all(|byte| *byte == b'x'), "nothing stands in the body");
    let (rest, _) = connection.rest().await;
    assert!(rest.starts_with(b"HTTP/1.1 400 "), "{}", rest.escape_ascii());
}

#[tokio::test]
async fn heads_in_pieces_are_whole_requests() {
    let backend = Backend::ok().await;
    let gateway = Gateway::to(&backend);
    let request = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n{GET}");
    for piece in [1, 2, 30] {
        let mut connection = Connection::new(gateway.address).await;
        for part in request.as_bytes().chunks(piece) {
            connection.write(part).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let (answers, _) = connection.rest().await;
        let answers = String::from_utf8(answers).unwrap();
        assert_eq!(answers.matches("HTTP/1.1 200 ").count(), 2, "{answers}");
    }
}
