//! B1, B11: heads that are none.

use http::Method;

use super::{End, both, saying};
use crate::support::{Backend, Connection, Gateway};

/// Both clients get a 502 that says why in a word, nothing of what the upstream sent, and a gateway that goes on.
async fn refused(answer: impl Into<Vec<u8>>, end: End, error: &str) {
    let answer = answer.into();
    let shown = String::from_utf8_lossy(&answer[..answer.len().min(80)]).into_owned();
    let backend = saying(answer, end).await;
    let gateway = Gateway::to(&backend);
    for (version, got) in both(&gateway, Method::POST, b"abc").await {
        assert_eq!(got.status().map(|s| s.as_u16()), Some(502), "{version} {shown:?} {got:?}");
        let status = got.field("proxy-status");
        assert_eq!(status, format!("edgewit; error={error}"), "{version} {shown:?}");
        assert!(got.is_whole() && got.field("x-evil").is_empty(), "{version} {shown:?}");
        let body = String::from_utf8_lossy(got.text()).into_owned();
        assert!(
            body.contains("\"title\":\"Bad Gateway\"") && !body.contains("127.0.0.1"),
            "{body}"
        );
    }
}

#[tokio::test]
async fn what_is_no_http_is_a_502() {
    for answer in [
        "garbage\r\n\r\n",
        "\0\0\0\0\r\n\r\n",
        "HTTP/3.1 200 OK\r\n\r\n",
        "HTTP/1.1 99 Too Low\r\n\r\n",
        "HTTP/1.1 1000 Too High\r\n\r\n",
        "HTTP/1.1 2OO OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx-evil: a\rb\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx-evil: a\0b\r\n\r\n",
        "HTTP/1.1 302 Found\r\nlocation: /a\rx-evil: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 6\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\ncontent-length: 2x\r\n\r\nab",
    ] {
        refused(answer, End::Close, "http_protocol_error").await;
    }
    let coded = "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n";
    refused(coded, End::Close, "http_response_transfer_coding").await;
}

#[tokio::test]
async fn an_end_before_the_head_is_a_502() {
    for answer in ["", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\na: b\r\n"] {
        for end in [End::Close, End::Reset] {
            refused(answer, end, "connection_terminated").await;
        }
    }
}

#[tokio::test]
async fn a_head_beyond_its_limits_is_a_502() {
    let size = "http_response_header_section_size";
    let long = format!("HTTP/1.1 200 OK\r\nx-evil: {}\r\n\r\n", "b".repeat(1 << 20));
    refused(long, End::Hold, size).await;
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x-evil: b\r\n".repeat(500));
    refused(many, End::Hold, size).await;
    let cookies = format!("HTTP/1.1 200 OK\r\n{}\r\n", "set-cookie: a=b\r\n".repeat(500));
    refused(cookies, End::Hold, size).await;
}

#[tokio::test]
async fn more_than_8_informational_responses_are_a_502() {
    let hint = "HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n";
    let end = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    refused(hint.repeat(10_000) + end, End::Hold, "http_protocol_error").await;
    refused(hint.repeat(9) + end, End::Hold, "http_protocol_error").await;
    let backend = saying(hint.repeat(8) + end, End::Hold).await;
    let gateway = Gateway::to(&backend);
    for (version, got) in both(&gateway, Method::GET, b"").await {
        assert_eq!(got.text(), b"ok", "{version}");
    }
}

#[tokio::test]
async fn a_line_that_the_upstream_split_is_not_split_again() {
    // hyper reads a bare LF as the end of a line, as RFC 9112 2.2 allows; what goes out has whole lines only.
    let split = "HTTP/1.1 302 Found\r\nlocation: /a\nx-other: 1\r\ncontent-length: 0\r\n\r\n";
    let backend = Backend::answering(split).await;
    let gateway = Gateway::to(&backend);
    let mut client = Connection::new(gateway.address).await;
    for _ in 0..2 {
        client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let (head, body) = client.response().await;
        assert!(head.starts_with("HTTP/1.1 302 ") && body.is_empty(), "{head}");
        assert!(head.split("\r\n").all(|line| !line.contains(['\r', '\n'])), "{head:?}");
    }
}
