//! Attempts at upstreams.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use edgewit_chain::RetryVerdict;
use edgewit_model::{Retry, RetryOn};
use tokio::{io::AsyncWriteExt, net::TcpListener};

use crate::support::{
    Backend, Gateway, Native, forward_to, listener, read_head, route, talk, upstream,
};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
const POST: &str =
    "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 3\r\n\r\nabc";
const PUT: &str = "PUT / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 3\r\n\r\nabc";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn retry(attempts: u32, statuses: &[u16]) -> Retry {
    let on = RetryOn { statuses: statuses.to_vec(), ..Retry::default().on };
    let backoff = (Duration::from_millis(1), Duration::from_millis(2));
    Retry { attempts, on, backoff, ..Retry::default() }
}

/// Answers the first connections with this, then with a 200; counts requests.
async fn flaky(failures: usize, failure: &'static [u8]) -> (Backend, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let backend = Backend::new(move |mut stream, _| {
        let count = Arc::clone(&counted);
        async move {
            let Some(head) = read_head(&mut stream).await else { return };
            if head.contains("content-length: 3") {
                let body = tokio::io::AsyncReadExt::read_exact(&mut stream, &mut [0; 3]).await;
                body.unwrap();
            }
            let number = count.fetch_add(1, Ordering::SeqCst);
            let response = if number < failures { failure } else { OK };
            let _ = stream.write_all(response).await;
        }
    })
    .await;
    (backend, count)
}

async fn dead() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn what_failed_is_tried_again_where_the_method_allows_it() {
    const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
    for (request, failure, failures, status, tries) in [
        (GET, b"".as_slice(), 2, "200", 3),
        (GET, b"", 3, "502", 3),
        (GET, BUSY, 2, "200", 3),
        (GET, BUSY, 3, "503", 3),
        (PUT, BUSY, 1, "200", 2),
        (POST, BUSY, 1, "503", 1),
        (POST, b"", 1, "502", 1),
    ] {
        let (backend, count) = flaky(failures, failure).await;
        let gateway = Gateway::changed(&backend, |route| route.retry = retry(3, &[503]));
        let response = talk(gateway.address, request).await;
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {response}");
        assert_eq!(count.load(Ordering::SeqCst), tries, "{request}");
        let retried = gateway.metrics.text().contains("edgewit_retries_total");
        assert_eq!(retried, tries > 1);
    }
}

#[tokio::test]
async fn a_dead_endpoint_is_passed_over_whatever_the_method() {
    let backend = Backend::ok().await;
    for request in [GET, PUT, POST] {
        let upstream = upstream("u", &[dead().await, backend.address]);
        let mut to = route(forward_to(&[&upstream]));
        to.retry = retry(2, &[]);
        let gateway = Gateway::new(listener(), vec![(to, Vec::new(), vec![upstream])]);
        for _ in 0..4 {
            let response = talk(gateway.address, request).await;
            assert!(response.starts_with("HTTP/1.1 200 "), "{request}: {response}");
        }
    }
}

#[tokio::test]
async fn without_an_endpoint_there_is_a_502() {
    let upstream = upstream("u", &[dead().await]);
    let to = route(forward_to(&[&upstream]));
    let gateway = Gateway::new(listener(), vec![(to, Vec::new(), vec![upstream])]);
    assert!(talk(gateway.address, GET).await.starts_with("HTTP/1.1 502 "));
}

#[tokio::test]
async fn the_budget_ends_a_storm() {
    let upstream = upstream("u", &[dead().await]);
    let mut to = route(forward_to(&[&upstream]));
    to.retry = retry(10, &[]);
    let gateway = Gateway::new(listener(), vec![(to, Vec::new(), vec![upstream])]);
    for _ in 0..20 {
        talk(gateway.address, GET).await;
    }
    let text = gateway.metrics.text();
    assert!(text.contains("edgewit_retry_budget_exhausted_total{upstream=\"u\"} "), "{text}");
    assert!(!text.contains("edgewit_retry_budget_exhausted_total{upstream=\"u\"} 0"), "{text}");
}

#[tokio::test]
async fn a_filter_judges_attempts() {
    let (backend, count) =
        flaky(1, b"HTTP/1.1 418 I'm a teapot\r\ncontent-length: 0\r\nx-again: yes\r\n\r\n").await;
    let filter = Native {
        on_retry: Some(Box::new(|exchange, attempt| {
            let again =
                exchange.response.as_ref().is_some_and(|r| r.fields.contains_key("x-again"));
            assert!(attempt.remaining_ms > 0);
            match again {
                true => RetryVerdict::Again { after_ms: 1, elsewhere: false },
                false => RetryVerdict::Finish,
            }
        })),
        ..Native::default()
    };
    let gateway = Gateway::filtered(&backend, vec![filter.into_filter()]);
    let response = talk(gateway.address, GET).await;
    assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_body_of_unknown_length_is_not_kept() {
    let (backend, count) = flaky(1, b"").await;
    let gateway = Gateway::changed(&backend, |route| route.retry = retry(3, &[]));
    let chunked = "PUT / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let response = talk(gateway.address, chunked).await;
    assert!(response.starts_with("HTTP/1.1 502 "), "{response}");
    assert_eq!(count.load(Ordering::SeqCst), 1);
}
