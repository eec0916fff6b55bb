//! B6: kept connections that turn out to be closed. C23: requests that come back.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{
    Backend, Connection, Gateway, forward_to, listener, read_head, respond, route, snapshot,
    upstream,
};

/// An upstream that closes each connection right after its answer, without a word about it, and counts by target.
async fn forgetful() -> (Backend, Arc<Mutex<HashMap<String, usize>>>) {
    let counts: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
    let counted = Arc::clone(&counts);
    let backend = Backend::new(move |mut stream, _| {
        let counts = Arc::clone(&counted);
        async move {
            let Some(head) = read_head(&mut stream).await else { return };
            let target = head.split(' ').nth(1).unwrap().to_owned();
            *counts.lock().unwrap().entry(target).or_default() += 1;
            if head.contains("content-length: 3") {
                let _ = stream.read_exact(&mut [0; 3]).await;
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        }
    })
    .await;
    (backend, counts)
}

const REQUESTS: usize = 1_000;

#[tokio::test]
async fn b6_a_stale_connection_costs_no_idempotent_request() {
    let (backend, counts) = forgetful().await;
    let gateway = Gateway::to(&backend);
    let mut client = Connection::new(gateway.address).await;
    for number in 0..REQUESTS {
        client.write(format!("GET /{number} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
        let (head, _) = client.response().await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{number}: {head}");
    }
    assert_eq!(counts.lock().unwrap().len(), REQUESTS);
}

#[tokio::test]
async fn b6_a_post_is_never_sent_twice() {
    let (backend, counts) = forgetful().await;
    let gateway = Gateway::to(&backend);
    let mut client = Connection::new(gateway.address).await;
    let mut answered = 0;
    for number in 0..REQUESTS {
        let head = format!("POST /{number} HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc");
        client.write(head).await;
        let (head, _) = client.response().await;
        assert!(head.starts_with("HTTP/1.1 200 ") || head.starts_with("HTTP/1.1 502 "), "{head}");
        answered += usize::from(head.starts_with("HTTP/1.1 200 "));
    }
    let counts = counts.lock().unwrap();
    assert!(counts.values().all(|count| *count == 1), "{counts:?}");
    assert!(answered <= counts.len(), "no answer without a request");
    assert!(answered > REQUESTS * 9 / 10, "{answered}: a close that the kernel knows of is seen");
}

#[tokio::test]
async fn c23_a_circle_ends_with_a_508_after_a_few_steps() {
    let answering = route(respond(200, "not yet"));
    let gateway = Gateway::new(listener(), vec![(answering, Vec::new(), Vec::new())]);
    let itself = upstream("u", &[gateway.address]);
    let to = route(forward_to(&[&itself]));
    let circle = vec![(to, Vec::new(), vec![itself.clone()])];
    gateway.proxy.swap(snapshot(2, circle, None, &gateway.metrics));
    let mut client = Connection::new(gateway.address).await;
    client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let (head, _) = client.response().await;
    assert!(head.starts_with("HTTP/1.1 508 "), "{head}");
    assert!(head.contains("\r\nproxy-status: edgewit; error=proxy_loop_detected\r\n"), "{head}");
    assert_eq!(itself.endpoints()[0].counters().requests(), 9);
}
