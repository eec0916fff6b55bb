//! B3: upstreams that make wait.

use std::time::Duration;

use edgewit_upstream::{BodyError, Failure, Processed, Tried, send};
use http_body_util::BodyExt;
use tokio::{
    sync::oneshot,
    task::spawn_local,
    time::{self, Instant},
};

use crate::support::{Raw, Worker, config, get, post, worker};

#[tokio::test]
async fn a_first_byte_that_does_not_come_ends_the_attempt_at_its_deadline() {
    worker(async {
        let raw = Raw::bind().await;
        let client = Worker::new(&config(&[raw.port()]));
        let (came, has_come) = oneshot::channel();
        let upstream = spawn_local(async move {
            let mut peer = raw.accept().await;
            peer.request().await.unwrap();
            came.send(()).unwrap();
            assert_eq!(peer.rest().await, "", "the request is cancelled");
        });
        let ask = spawn_local(async move {
            let start = Instant::now();
            let deadline = Some(start + Duration::from_secs(15));
            let mut tried = Tried::new();
            tried.deadline = deadline;
            let error = send(&client.upstream, &client.pools, post("x"), &mut tried).await;
            (error.unwrap_err(), start.elapsed())
        });
        has_come.await.unwrap();
        time::pause(); // nothing is on its way any more: only timers are left
        let (error, waited) = ask.await.unwrap();
        assert_eq!((error.kind, error.processed), (Failure::Timeout, Processed::Maybe));
        assert!(error.is_timeout());
        assert_eq!(waited.as_secs(), 15);
        time::resume();
        upstream.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_body_that_stands_still_is_cut_after_the_stall_time() {
    worker(async {
        let raw = Raw::bind().await;
        let client = Worker::new(&config(&[raw.port()]));
        let upstream = spawn_local(async move {
            let mut peer = raw.accept().await;
            peer.request().await.unwrap();
            peer.say("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello").await;
            assert_eq!(peer.rest().await, "");
        });
        let mut body = client.send(get()).await.unwrap().into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "hello");
        time::pause();
        let start = Instant::now();
        let error = body.frame().await.unwrap().unwrap_err();
        assert!(matches!(error, BodyError::Upstream(_)));
        assert_eq!(start.elapsed().as_secs(), 30);
        time::resume();
        upstream.await.unwrap();
        client.all_closed().await;
    })
    .await;
}

#[tokio::test]
async fn a_slow_body_that_moves_is_not_cut() {
    worker(async {
        let raw = Raw::bind().await;
        let mut config = config(&[raw.port()]);
        config.timeouts.stall = Duration::from_secs(1);
        let client = Worker::new(&config);
        spawn_local(async move {
            let mut peer = raw.accept().await;
            peer.request().await.unwrap();
            peer.say("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n").await;
            for _ in 0..6 {
                time::sleep(Duration::from_millis(250)).await;
                peer.say("x").await;
            }
        });
        assert_eq!(client.ask(get()).await.unwrap(), (200, "xxxxxx".into()));
    })
    .await;
}

#[tokio::test]
async fn a_tls_handshake_that_does_not_answer_ends_at_the_connect_timeout() {
    worker(async {
        let raw = Raw::bind().await;
        let mut config = config(&[raw.port()]);
        config.endpoints[0].tls = true;
        config.timeouts.connect = Duration::from_secs(1);
        let dir = tempfile::tempdir().unwrap();
        let certified = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        let ca = dir.path().join("ca.pem");
        std::fs::write(&ca, certified.cert.pem()).unwrap();
        config.tls.ca = Some(ca);
        let client = Worker::new(&config);
        let start = Instant::now();
        let ask = spawn_local(async move { client.send(post("x")).await.unwrap_err() });
        let silent = raw.accept().await;
        time::pause();
        let error = ask.await.unwrap();
        assert_eq!((error.kind, error.processed), (Failure::Connect, Processed::No));
        assert!(error.is_timeout());
        assert!(error.unsent.is_some());
        assert_eq!(start.elapsed().as_secs(), 1);
        drop(silent);
    })
    .await;
}
