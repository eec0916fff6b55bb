//! B6: kept connections that the upstream closes.

use std::{
    collections::HashMap,
    io::{Read, Write},
    net,
    sync::mpsc,
    thread,
    time::Duration,
};

use bytes::Bytes;
use edgewit_upstream::{Failure, OutBody, Processed};
use tokio::task::spawn_local;

use crate::support::{Frames, Raw, Worker, config, get, post, request, worker};

const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Answers one request per connection and closes, after an ever changing moment, without having said so. Runs on threads of
/// its own, so that its closes race with our requests. Tells what it was asked.
fn closes_after_each_answer() -> (u16, mpsc::Receiver<String>) {
    let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (asked, was_asked) = mpsc::channel();
    thread::spawn(move || {
        for (number, tcp) in listener.incoming().enumerate() {
            let (mut tcp, asked) = (tcp.unwrap(), asked.clone());
            thread::spawn(move || {
                let mut head = vec![0; 4096];
                let read = tcp.read(&mut head).unwrap_or(0);
                let head = String::from_utf8_lossy(&head[..read]).into_owned();
                let target = head.split(' ').nth(1).map(str::to_owned);
                if target.is_some_and(|target| asked.send(target).is_ok()) {
                    let _ = tcp.write_all(ANSWER.as_bytes());
                    thread::sleep(Duration::from_micros(number as u64 % 7 * 40));
                }
            });
        }
    });
    (port, was_asked)
}

/// How often each of 200 requests of a method reached the upstream, and how many failed.
async fn ask_200(method: &str, body: fn() -> OutBody) -> (HashMap<String, usize>, usize) {
    let (port, asked) = closes_after_each_answer();
    let client = Worker::new(&config(&[port]));
    let mut failed = 0;
    for number in 0..200 {
        let mut request = request(method, body());
        *request.uri_mut() = format!("/{number}").parse().unwrap();
        match client.ask(request).await {
            Ok(answer) => assert_eq!(answer, (200, "ok".into())),
            Err(error) => {
                assert_eq!(error.kind, Failure::Reset);
                failed += 1;
            }
        }
        if number % 3 == 0 {
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
    }
    let mut times = HashMap::new();
    asked.try_iter().for_each(|target| *times.entry(target).or_insert(0) += 1);
    (times, failed)
}

#[tokio::test]
async fn an_idempotent_request_never_fails_on_a_stale_connection() {
    worker(async {
        let (times, failed) = ask_200("GET", OutBody::empty).await;
        assert_eq!((times.len(), failed), (200, 0));
        let (times, failed) = ask_200("PUT", || OutBody::full(Bytes::from_static(b"x"))).await;
        assert_eq!((times.len(), failed), (200, 0));
    })
    .await;
}

#[tokio::test]
async fn a_post_is_never_sent_twice() {
    worker(async {
        let bodies: [fn() -> OutBody; 2] = [
            || OutBody::full(Bytes::from_static(b"x")),
            || OutBody::stream(Frames::new([Ok("x")])),
        ];
        for body in bodies {
            let (times, failed) = ask_200("POST", body).await;
            assert!(times.values().all(|times| *times == 1), "{times:?}");
            assert!(times.len() + failed >= 200);
        }
    })
    .await;
}

/// An upstream that answers once, reads the next request on the same connection, and closes.
async fn reads_and_closes(raw: Raw) -> (String, Option<String>) {
    let mut peer = raw.accept().await;
    peer.request().await.unwrap();
    peer.say(ANSWER).await;
    let lost = peer.request().await.unwrap();
    drop(peer);
    let again = async {
        let mut peer = raw.accept().await;
        let again = peer.request().await;
        peer.say(ANSWER).await;
        again
    };
    (lost, tokio::time::timeout(Duration::from_millis(200), again).await.ok().flatten())
}

#[tokio::test]
async fn a_request_that_was_read_is_repeated_only_if_idempotent() {
    worker(async {
        let raw = Raw::bind().await;
        let client = Worker::new(&config(&[raw.port()]));
        let upstream = spawn_local(reads_and_closes(raw));
        client.ask(get()).await.unwrap();
        assert_eq!(client.ask(get()).await.unwrap(), (200, "ok".into()));
        let (lost, again) = upstream.await.unwrap();
        assert_eq!(Some(lost), again, "the same request, byte by byte");
        assert_eq!(client.upstream.endpoints()[0].counters().resent(), 1);

        let raw = Raw::bind().await;
        let client = Worker::new(&config(&[raw.port()]));
        let upstream = spawn_local(reads_and_closes(raw));
        client.ask(get()).await.unwrap();
        let error = client.ask(post("once")).await.unwrap_err();
        assert_eq!((error.kind, error.processed), (Failure::Reset, Processed::Maybe));
        assert!(error.unsent.is_none());
        let (lost, again) = upstream.await.unwrap();
        assert!(lost.ends_with("once"));
        assert_eq!(again, None);
    })
    .await;
}

#[tokio::test]
async fn a_request_on_a_fresh_connection_is_not_repeated() {
    worker(async {
        let raw = Raw::bind().await;
        let client = Worker::new(&config(&[raw.port()]));
        let upstream = spawn_local(async move {
            raw.accept().await.request().await.unwrap();
            let again = tokio::time::timeout(Duration::from_millis(200), raw.accept()).await;
            assert!(again.is_err());
        });
        let error = client.ask(get()).await.unwrap_err();
        assert_eq!((error.kind, error.processed), (Failure::Reset, Processed::Maybe));
        upstream.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_close_that_the_kernel_knows_of_costs_no_post() {
    let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (answered, was_answered) = mpsc::channel();
    thread::spawn(move || {
        for tcp in listener.incoming() {
            let mut tcp = tcp.unwrap();
            let _ = tcp.read(&mut [0; 1024]);
            let _ = tcp.write_all(ANSWER.as_bytes());
            let _ = answered.send(tcp);
        }
    });
    let stream = || OutBody::stream(Frames::new([Ok("once")]));
    worker(async {
        let client = Worker::new(&config(&[port]));
        client.ask(get()).await.unwrap();
        for round in 0..100 {
            drop(was_answered.recv().unwrap()); // the kernel has the close now, the runtime cannot know
            let body = if round % 2 == 0 { stream() } else { OutBody::full("once".into()) };
            let answer = client.ask(request("POST", body)).await;
            assert_eq!(answer.unwrap(), (200, "ok".into()), "round {round}");
        }
        assert_eq!(client.upstream.endpoints()[0].counters().resent(), 100);
    })
    .await;
}
