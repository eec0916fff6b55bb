//! B3: upstreams that let wait.

use std::time::{Duration, Instant};

use edgewit_model::UpstreamTimeouts;
use http::Method;
use tokio::{io::AsyncReadExt, io::AsyncWriteExt, net::TcpListener, time::sleep};

use super::{End, both, routed, saying, to};
use crate::support::{Backend, Connection, read_head};

const SHORT: Duration = Duration::from_millis(300);
/// Far from what must not be the reason.
const FAR: Duration = Duration::from_secs(14);

#[test]
fn b3_nobody_is_waited_for_forever_by_default() {
    let UpstreamTimeouts { connect, first_byte, stall, .. } = UpstreamTimeouts::default();
    let seconds = [connect, first_byte, stall].map(|limit| limit.as_secs());
    assert_eq!(seconds, [1, 15, 30]);
}

#[tokio::test]
async fn b3_a_connection_that_does_not_come_about_is_a_504() {
    // The kernel accepts; the handshake of TLS goes unanswered.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ca = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), ca.cert.pem()).unwrap();
    let (gateway, _) = to(silent.local_addr().unwrap(), |upstream| {
        upstream.endpoints[0].tls = true;
        upstream.tls.ca = Some(file.path().to_owned());
        upstream.timeouts.connect = SHORT;
    });
    for (version, got) in both(&gateway, Method::GET, b"").await {
        assert_eq!(got.status().unwrap(), 504, "{version}");
        assert_eq!(got.field("proxy-status"), "edgewit; error=connection_timeout");
    }
}

#[tokio::test]
async fn b3_a_first_byte_that_does_not_come_is_a_504() {
    let backend = saying("", End::Hold).await;
    let (gateway, _) = to(backend.address, |upstream| upstream.timeouts.first_byte = SHORT);
    let begun = Instant::now();
    for (version, got) in both(&gateway, Method::POST, b"abc").await {
        assert_eq!(got.status().unwrap(), 504, "{version}");
        assert_eq!(got.field("proxy-status"), "edgewit; error=http_response_timeout");
    }
    assert!(begun.elapsed() < FAR, "the route's time did not run out");
}

#[tokio::test]
async fn b3_a_long_upload_is_no_slow_upstream() {
    let backend = Backend::new(|mut stream, _| async move {
        read_head(&mut stream).await.unwrap();
        stream.read_exact(&mut [0; 5]).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
    })
    .await;
    let limit = Duration::from_secs(2); // enough for the answer, not for the upload
    let (gateway, _) = to(backend.address, |upstream| upstream.timeouts.first_byte = limit);
    let mut client = Connection::new(gateway.address).await;
    client.write("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n").await;
    for _ in 0..5 {
        sleep(limit / 4).await;
        client.write("x").await;
    }
    let (head, body) = client.response().await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(body, "ok");
}

#[tokio::test]
async fn b3_a_body_that_stands_still_is_cut() {
    let backend = saying("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc", End::Hold).await;
    let (gateway, _) = to(backend.address, |upstream| upstream.timeouts.stall = SHORT);
    let begun = Instant::now();
    for (version, got) in both(&gateway, Method::GET, b"").await {
        assert!(!got.is_whole(), "{version} {got:?}");
    }
    assert!(begun.elapsed() < FAR);
}

#[tokio::test]
async fn b3_the_time_of_a_route_bounds_everything() {
    let backend = saying("", End::Hold).await;
    let (gateway, _) = routed(backend.address, |_| {}, |route| route.timeout = SHORT);
    for (version, got) in both(&gateway, Method::GET, b"").await {
        assert_eq!(got.status().unwrap(), 504, "{version}");
    }
}
