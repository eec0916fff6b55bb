//! A connection of HTTP/1 that has nothing to do gives its parser back after five seconds, and nobody notices.

use std::time::{Duration, Instant};

use edgewit_model::{Listener, ListenerTls, TlsVersion};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::sleep,
};

use crate::support::{
    Authority, Connection, Gateway, TlsClient, hello, listener, respond, route, within,
};

/// Until a connection rests, and some more.
const PAUSE: Duration = Duration::from_secs(6);
/// Longer than what must not end it.
const LONG: Duration = Duration::from_secs(60);
const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

fn patient() -> Listener {
    let mut listener = listener();
    let limits = &mut listener.limits;
    (limits.header_timeout, limits.idle_timeout, limits.stall_timeout) = (LONG, LONG, LONG);
    listener
}

async fn rested(gateway: &Gateway) -> Connection {
    let mut connection = Connection::new(gateway.address).await;
    connection.write(GET).await;
    assert_eq!(connection.response().await.1, "hello");
    sleep(PAUSE).await;
    connection
}

#[tokio::test]
async fn it_serves_again_as_often_as_it_is_asked() {
    let gateway = hello(patient());
    let mut connection = rested(&gateway).await;
    for _ in 0..2 {
        connection.write(GET.repeat(2)).await; // both at once
        for _ in 0..2 {
            assert_eq!(connection.response().await.1, "hello");
        }
        sleep(PAUSE).await;
    }
}

#[tokio::test]
async fn it_serves_again_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("ca");
    let files = vec![authority.issue(&["a.test"]).write(folder.path(), "a")];
    let tls = ListenerTls { files, min_version: TlsVersion::V1_3, client_auth: None };
    let gateway = hello(Listener { tls: Some(tls), ..patient() });
    let client = TlsClient::trusting(&authority).build();
    let mut stream = client.connect(gateway.address, "a.test").await.unwrap();
    for _ in 0..2 {
        let answered = async {
            stream.write_all(b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n").await.unwrap();
            let mut answer = Vec::new();
            while !answer.ends_with(b"hello") {
                assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "{answer:?}");
            }
        };
        within(answered).await;
        sleep(PAUSE).await;
    }
}

#[tokio::test]
async fn it_is_closed_when_it_was_idle_for_too_long() {
    let mut listener = patient();
    listener.limits.idle_timeout = PAUSE + PAUSE / 2;
    let gateway = hello(listener);
    let mut connection = rested(&gateway).await;
    let begun = Instant::now();
    assert_eq!(connection.rest().await, (Vec::new(), true));
    assert!(begun.elapsed() > PAUSE / 4 && begun.elapsed() < PAUSE, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn it_does_not_hold_a_drain() {
    let gateway = hello(patient());
    let mut connection = rested(&gateway).await;
    let begun = Instant::now();
    assert_eq!(within(gateway.proxy.drain(Duration::ZERO, LONG)).await, 0);
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(connection.rest().await, (Vec::new(), true));
}

/// What has begun goes on, however long it takes.
#[tokio::test]
async fn it_does_not_rest_in_the_middle_of_a_head() {
    let gateway = hello(patient());
    let mut connection = Connection::new(gateway.address).await;
    for begin in ["GE", "GET / HTTP/1.1\r\nho", "\r\n"] {
        connection.write(GET).await;
        assert_eq!(connection.response().await.1, "hello");
        connection.write(begin).await;
        sleep(PAUSE).await;
        connection.write(GET.strip_prefix(begin).unwrap_or(GET)).await;
        assert_eq!(connection.response().await.1, "hello");
    }
}

#[tokio::test]
async fn it_does_not_rest_before_a_slow_client_has_its_answer() {
    const SIZE: usize = 16 << 20; // more than the sockets hold
    let text = "x".repeat(SIZE);
    let routes = vec![(route(respond(200, &text)), Vec::new(), Vec::new())];
    let gateway = Gateway::new(patient(), routes);
    let mut connection = Connection::new(gateway.address).await;
    connection.write(GET).await;
    sleep(PAUSE).await;
    assert_eq!(connection.response().await.1.len(), SIZE);
}
