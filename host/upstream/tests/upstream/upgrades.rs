//! Requests that want to leave HTTP.

use bytes::Bytes;
use edgewit_upstream::{Failure, InBody, OutBody, Upgrade};
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::spawn_local,
};

use crate::support::{Raw, Worker, config, get, worker};

pub(crate) fn upgrade(token: &'static str) -> Request<OutBody> {
    let mut request = get();
    request.extensions_mut().insert(Upgrade(HeaderValue::from_static(token)));
    request
}

const SWITCH: &str =
    "HTTP/1.1 101 Switching Protocols\r\nupgrade: irc\r\nconnection: upgrade\r\n\r\n";

/// Speaks with whoever reverses what it is told.
async fn talk(response: Response<InBody>) {
    assert_eq!(response.status(), 101);
    let mut tunnel = response.into_body().into_tunnel().unwrap();
    let mut early = [0; 5];
    tunnel.read_exact(&mut early).await.unwrap();
    assert_eq!(&early, b"early");
    tunnel.write_all(b"abc").await.unwrap();
    tunnel.shutdown().await.unwrap();
    let mut rest = Vec::new();
    tunnel.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"cba");
}

#[tokio::test]
async fn the_connection_belongs_to_the_new_protocol() {
    for h2c in [false, true] {
        worker(async move {
            let raw = Raw::bind().await;
            let mut config = config(&[raw.port()]);
            config.h2c = h2c;
            let client = Worker::new(&config);
            let upstream = spawn_local(async move {
                let mut peer = raw.accept().await;
                let head = peer.request().await.unwrap();
                assert!(head.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{head}");
                assert!(
                    head.contains("connection: upgrade\r\n") && head.contains("upgrade: irc\r\n")
                );
                peer.say(format!("{SWITCH}early")).await;
                let said = peer.rest().await;
                peer.say(said.chars().rev().collect::<String>()).await;
            });
            let response = client.send(upgrade("irc")).await.unwrap();
            let endpoints = client.upstream.endpoints();
            let counters = endpoints[0].counters();
            assert_eq!(client.upstream.circuit().requests(), 0, "a tunnel needs no leave");
            assert_eq!((counters.in_flight(), counters.connections()), (1, 1));
            talk(response).await;
            assert_eq!((counters.in_flight(), counters.connections()), (0, 0));
            assert_eq!(client.kept(), 0);
            upstream.await.unwrap();
        })
        .await;
    }
}

#[tokio::test]
async fn an_upstream_that_stays_with_http_keeps_its_connection() {
    worker(async {
        let raw = Raw::bind().await;
        let client = Worker::new(&config(&[raw.port()]));
        let upstream = spawn_local(async move {
            let mut peer = raw.accept().await;
            for _ in 0..2 {
                let head = peer.request().await.unwrap();
                peer.say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
                assert!(head.starts_with("GET "));
            }
            peer
        });
        let response = client.send(upgrade("irc")).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "ok");
        assert_eq!(client.kept(), 1);
        assert_eq!(client.ask(get()).await.unwrap(), (200, Bytes::from_static(b"ok")));
        drop(upstream.await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn other_protocols_are_refused_and_their_connection_closed() {
    worker(async {
        for answer in [
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: irc, h2c\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: irc\r\ncontent-length: 3\r\n\r\nabc",
        ] {
            let raw = Raw::bind().await;
            let client = Worker::new(&config(&[raw.port()]));
            let upstream = spawn_local(async move {
                let mut peer = raw.accept().await;
                peer.request().await.unwrap();
                peer.say(answer).await;
                assert_eq!(peer.request().await, None);
            });
            let error = client.send(upgrade("irc")).await.unwrap_err();
            assert_eq!(error.kind, Failure::Protocol, "{answer}");
            upstream.await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn nobody_listening_gives_the_request_back_with_its_wish() {
    worker(async {
        let port = Raw::bind().await.port();
        let client = Worker::new(&config(&[port]));
        let error = client.send(upgrade("irc")).await.unwrap_err();
        assert_eq!(error.kind, Failure::Connect);
        assert!(error.unsent.unwrap().extensions().get::<Upgrade>().is_some());
    })
    .await;
}
