//! Nobody is waited for forever.

use std::time::{Duration, Instant};

use edgewit_model::{Listener, Retry};
use http::Request;
use http_body_util::{BodyExt, Empty};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{
    Backend, Connection, Gateway, forward_to, http2, listener, read_head, respond, route, talk,
    upstream, within,
};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
const SHORT: Duration = Duration::from_millis(150);
/// Longer than what must not end it, shorter than the deadline of the tests.
const LONG: Duration = Duration::from_secs(15);

fn limited(change: impl FnOnce(&mut Listener)) -> Gateway {
    let mut listener = listener();
    let limits = &mut listener.limits;
    (limits.header_timeout, limits.idle_timeout, limits.stall_timeout) = (LONG, LONG, LONG);
    change(&mut listener);
    Gateway::new(listener, vec![(route(respond(200, "hello")), Vec::new(), Vec::new())])
}

/// Begins with these bytes and sends no more: the connection must be closed in time. Returns what came.
async fn closed(gateway: &Gateway, bytes: &str) -> String {
    let begun = Instant::now();
    let mut connection = Connection::new(gateway.address).await;
    connection.write(bytes).await;
    let (rest, _) = connection.rest().await;
    assert!(begun.elapsed() < LONG, "{bytes:?}");
    String::from_utf8(rest).unwrap()
}

#[tokio::test]
async fn heads_come_in_time_or_not_at_all() {
    for (h1, h2) in [(true, true), (true, false)] {
        let gateway = limited(|listener| {
            listener.limits.header_timeout = SHORT;
            (listener.protocols.h1, listener.protocols.h2) = (h1, h2);
        });
        for bytes in ["", "G", "GET / HTTP/1.1\r\nhost: a\r\n", "GET / HTTP/1.1\r\n\r", "\r\n"] {
            assert_eq!(closed(&gateway, bytes).await, "", "{bytes:?}");
        }
        let answered = closed(&gateway, "GET / HTTP/1.1\r\nhost: a\r\n\r\nGET /").await;
        assert_eq!(answered.matches("HTTP/1.1 ").count(), 1, "a begun second head: {answered}");
    }
}

#[tokio::test]
async fn a_drip_of_a_head_does_not_help() {
    let gateway = limited(|listener| listener.limits.header_timeout = SHORT);
    let mut connection = Connection::new(gateway.address).await;
    let drip = async {
        for byte in "GET / HTTP/1.1\r\n".bytes().chain(std::iter::repeat(b'a')) {
            if connection.stream.write_all(&[byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within(drip).await;
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let gateway = limited(|listener| listener.limits.idle_timeout = SHORT);
    let answered = closed(&gateway, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(answered.ends_with("hello"), "{answered}");

    let mut sender = http2(gateway.address).await;
    let body = Empty::new().map_err(|e| match e {}).boxed_unsync();
    within(sender.send_request(Request::get("http://a/").body(body).unwrap())).await.unwrap();
    let begun = Instant::now();
    while sender.ready().await.is_ok() {
        assert!(begun.elapsed() < LONG);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_preface_alone_does_not_keep_a_connection() {
    let gateway = limited(|listener| listener.limits.header_timeout = SHORT);
    closed_bytes(&gateway, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    closed_bytes(&gateway, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    closed_bytes(&gateway, b"PRI * HT").await;
}

async fn closed_bytes(gateway: &Gateway, bytes: &[u8]) {
    let begun = Instant::now();
    let mut connection = Connection::new(gateway.address).await;
    connection.write(bytes).await;
    connection.rest().await;
    assert!(begun.elapsed() < LONG);
}

#[tokio::test]
async fn a_body_that_stops_coming_is_a_408() {
    let backend = Backend::new(|mut stream, _| async move {
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let mut listener = listener();
    listener.limits.stall_timeout = SHORT;
    let upstream = upstream("u", &[backend.address]);
    let to = route(forward_to(&[&upstream]));
    let gateway = Gateway::new(listener, vec![(to, Vec::new(), vec![upstream])]);
    for head in ["content-length: 10", "transfer-encoding: chunked"] {
        let answer =
            talk(gateway.address, format!("POST / HTTP/1.1\r\nhost: a\r\n{head}\r\n\r\n1")).await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{head}: {answer}");
    }
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_is_a_504() {
    let backend = Backend::new(|mut stream, _| async move {
        read_head(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    let gateway = Gateway::changed(&backend, |route| route.timeout = SHORT);
    let answer = talk(gateway.address, GET).await;
    assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
}

#[tokio::test]
async fn an_attempt_that_takes_too_long_is_tried_again() {
    let backend = Backend::new(|mut stream, number| async move {
        read_head(&mut stream).await;
        if number == 0 {
            std::future::pending::<()>().await;
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
    })
    .await;
    let gateway = Gateway::changed(&backend, |route| {
        let mut retry = Retry { attempts: 2, per_try: Some(SHORT), ..Retry::default() };
        retry.on.timeout = true;
        route.retry = retry;
    });
    let answer = talk(gateway.address, GET).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut() {
    let backend = Backend::new(|mut stream, _| async move {
        while read_head(&mut stream).await.is_some() {
            let _ =
                stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
            let chunk = [b"10000\r\n".as_slice(), &vec![b'x'; 65_536], b"\r\n"].concat();
            while stream.write_all(&chunk).await.is_ok() {}
        }
    })
    .await;
    let mut listener = listener();
    listener.limits.stall_timeout = SHORT;
    let upstream = upstream("u", &[backend.address]);
    let to = route(forward_to(&[&upstream]));
    let gateway = Gateway::new(listener, vec![(to, Vec::new(), vec![upstream])]);
    let idle = || gateway.metrics.text().contains("http_server_active_requests 0");

    let mut connection = Connection::new(gateway.address).await;
    connection.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    connection.head().await;
    crate::support::until("an HTTP/1.1 reader is cut", idle).await;

    let mut sender = http2(gateway.address).await;
    let body = Empty::new().map_err(|e| match e {}).boxed_unsync();
    let request = Request::get("http://a/").body(body).unwrap();
    let response = within(sender.send_request(request)).await.unwrap();
    crate::support::until("an HTTP/2 stream is cut", idle).await;
    assert!(within(response.into_body().collect()).await.is_err());
}
