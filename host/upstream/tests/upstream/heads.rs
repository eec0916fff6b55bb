//! B1, B7, B12: response heads that are none.

use edgewit_upstream::{Failure, Processed};
use tokio::task::spawn_local;

use crate::support::{Raw, Worker, config, get, post, request, worker};

/// What an upstream that answers with these bytes, and then closes, brings.
async fn failure(answer: impl Into<Vec<u8>>) -> Option<(Failure, Processed)> {
    let raw = Raw::bind().await;
    let client = Worker::new(&config(&[raw.port()]));
    let answer = answer.into();
    let upstream = spawn_local(async move {
        let mut peer = raw.accept().await;
        peer.request().await.unwrap();
        peer.say(answer).await;
    });
    let failure = client.send(get()).await.err().map(|e| (e.kind, e.processed));
    upstream.await.unwrap();
    assert_eq!(client.kept(), 0, "a connection that broke is not kept");
    failure
}

#[tokio::test]
async fn heads_that_are_no_http_are_refused() {
    let cases: &[&str] = &[
        "garbage\r\n\r\n",
        "\0\0\0\0\0\0\0\0\r\n\r\n",
        "HTTP/3.1 200 OK\r\n\r\n",
        "HTTP/1.1 99 Too Low\r\n\r\n",
        "HTTP/1.1 1000 Too Long\r\n\r\n",
        "HTTP/1.1 2OO OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\na: b\rc\r\n\r\n",
        "HTTP/1.1 200 OK\r\na: b\0c\r\n\r\n",
        "HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n",
        "HTTP/1.1 200 OK\r\na : b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 6\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\ncontent-length: 2x\r\n\r\nab",
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 2x\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nabc",
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
    ];
    worker(async {
        for case in cases {
            let expected = Some((Failure::Protocol, Processed::Maybe));
            assert_eq!(failure(*case).await, expected, "{case:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn heads_beyond_their_limits_are_refused() {
    let expected = Some((Failure::Protocol, Processed::Maybe));
    worker(async {
        let long = format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "b".repeat(1 << 20));
        assert_eq!(failure(long).await, expected, "1 MiB");
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(500));
        assert_eq!(failure(many).await, expected, "500 fields");
        let hint = "HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n";
        let end = "HTTP/1.1 204 No Content\r\n\r\n";
        assert_eq!(failure(hint.repeat(10_000) + end).await, expected, "10,000 hints");
        assert_eq!(failure(hint.repeat(8) + end).await, None, "8 hints");
        assert_eq!(failure(hint.repeat(9) + end).await, expected, "9 hints");
    })
    .await;
}

#[tokio::test]
async fn a_close_before_the_head_is_a_reset() {
    worker(async {
        let expected = Some((Failure::Reset, Processed::Maybe));
        for half in
            ["", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\na: b\r\n", "HTTP/1.1 100 Continue\r\n\r\n"]
        {
            assert_eq!(failure(half).await, expected, "{half:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_reset_before_the_head_is_a_reset() {
    worker(async {
        let raw = Raw::bind().await;
        let client = Worker::new(&config(&[raw.port()]));
        let upstream = spawn_local(async move {
            let mut peer = raw.accept().await;
            peer.request().await.unwrap();
            peer.reset();
        });
        let error = client.send(post("x")).await.unwrap_err();
        assert_eq!((error.kind, error.processed), (Failure::Reset, Processed::Maybe));
        upstream.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn nobody_listening_is_no_connection_and_gives_the_request_back() {
    worker(async {
        let port = Raw::bind().await.port();
        let client = Worker::new(&config(&[port]));
        let error = client.send(post("body")).await.unwrap_err();
        assert_eq!((error.kind, error.processed), (Failure::Connect, Processed::No));
        assert!(!error.is_timeout());
        let unsent = error.unsent.unwrap();
        assert_eq!(unsent.headers()["host"], "client.example");
        assert!(unsent.body().replay().is_some());
        assert_eq!(client.upstream.endpoints()[0].counters().connect_failures(), 1);
    })
    .await;
}

#[tokio::test]
async fn bytes_behind_a_response_without_body_reach_nobody() {
    let cases = [
        ("GET", "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"),
        ("GET", "HTTP/1.1 304 Not Modified\r\ncontent-length: 4\r\n\r\nevil"),
        ("HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"),
        ("GET", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\nevil"),
    ];
    worker(async {
        for (method, answer) in cases {
            let raw = Raw::bind().await;
            let client = Worker::new(&config(&[raw.port()]));
            let upstream = spawn_local(async move {
                let mut peer = raw.accept().await;
                peer.request().await.unwrap();
                peer.say(answer).await;
                assert_eq!(peer.request().await, None, "the connection is not used again");
                let mut next = raw.accept().await;
                next.request().await.unwrap();
                next.say("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ngood").await;
            });
            let first = client.ask(request(method, Default::default())).await.unwrap();
            assert_ne!(first.1, "evil");
            assert_eq!(client.ask(get()).await.unwrap(), (200, "good".into()), "{answer:?}");
            upstream.await.unwrap();
        }
    })
    .await;
}
