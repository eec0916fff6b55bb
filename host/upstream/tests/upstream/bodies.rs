//! B2, B4, B5, B8: response bodies that end too early, never, or not as they should.

use std::io::{Read, Write};

use bytes::Bytes;
use edgewit_upstream::{BodyError, OutBody};
use http_body_util::BodyExt;
use tokio::{sync::oneshot, task::spawn_local};

use crate::support::{Frames, Raw, Worker, config, get, post, request, worker};

const OK: &str = "HTTP/1.1 200 OK\r\n";

/// The body that an upstream with this answer brings: its bytes, and whether it came to its end.
async fn body_of(answer: String, reset: bool) -> (Bytes, bool) {
    let raw = Raw::bind().await;
    let client = Worker::new(&config(&[raw.port()]));
    let (seen, was_seen) = oneshot::channel::<()>();
    let upstream = spawn_local(async move {
        let mut peer = raw.accept().await;
        peer.request().await.unwrap();
        peer.say(answer).await;
        if reset {
            was_seen.await.unwrap(); // a reset overtakes what was sent before it
            peer.reset();
        }
    });
    let mut body = client.send(get()).await.unwrap().into_body();
    let mut seen = Some(seen);
    let mut bytes = Vec::new();
    let clean = loop {
        if let Some(seen) = seen.take() {
            let _ = seen.send(());
        }
        match body.frame().await {
            None => break true,
            Some(Ok(frame)) => bytes.extend(frame.into_data().unwrap_or_default()),
            Some(Err(error)) => {
                assert!(matches!(error, BodyError::Upstream(_)), "{error:?}");
                break false;
            }
        }
    };
    assert!(clean || body.frame().await.is_none(), "nothing follows an error");
    upstream.await.unwrap();
    if !clean {
        assert_eq!(client.kept(), 0);
        client.all_closed().await;
    }
    (bytes.into(), clean)
}

#[tokio::test]
async fn a_body_with_a_length_never_ends_before_it() {
    worker(async {
        for sent in [0, 1, 50, 99] {
            let answer = format!("{OK}content-length: 100\r\n\r\n{}", "x".repeat(sent));
            let (bytes, clean) = body_of(answer.clone(), false).await;
            assert_eq!((bytes.len(), clean), (sent, false), "closed");
            assert!(!body_of(answer, true).await.1, "reset after {sent}");
        }
        let whole = format!("{OK}content-length: 100\r\n\r\n{}", "x".repeat(100));
        assert!(body_of(whole, false).await.1);
    })
    .await;
}

#[tokio::test]
async fn a_chunked_body_never_ends_without_its_terminator() {
    let head = format!("{OK}transfer-encoding: chunked\r\n\r\n");
    worker(async {
        for cut in
            ["", "5", "5\r\n", "5\r\nhel", "5\r\nhello", "5\r\nhello\r\n", "5\r\nhello\r\n0\r\n"]
        {
            assert!(!body_of(format!("{head}{cut}"), false).await.1, "{cut:?}");
        }
        for bad in ["x\r\n", "-5\r\nhello", "5\r\nhelloX", "fffffffffffffffff\r\n"] {
            assert!(!body_of(format!("{head}{bad}"), false).await.1, "{bad:?}");
        }
        let whole = body_of(format!("{head}5\r\nhello\r\n0\r\n\r\n"), false).await;
        assert_eq!(whole, ("hello".into(), true));
    })
    .await;
}

#[tokio::test]
async fn a_body_up_to_the_close_ends_with_a_close_but_not_with_a_reset() {
    worker(async {
        assert_eq!(body_of(format!("{OK}\r\nhello"), false).await, ("hello".into(), true));
        assert!(!body_of(format!("{OK}\r\nhello"), true).await.1);
    })
    .await;
}

#[tokio::test]
async fn trailers_pass_without_those_that_must_not() {
    worker(async {
        let raw = Raw::bind().await;
        let client = Worker::new(&config(&[raw.port()]));
        spawn_local(async move {
            let mut peer = raw.accept().await;
            peer.request().await.unwrap();
            let body =
                "2\r\nok\r\n0\r\ngrpc-status: 0\r\nset-cookie: a=b\r\ncontent-length: 9\r\n\r\n";
            peer.say(format!("{OK}transfer-encoding: chunked\r\n\r\n{body}")).await;
            peer.request().await;
        });
        let whole = client.send(get()).await.unwrap().into_body().collect().await.unwrap();
        let trailers = whole.trailers().unwrap();
        assert_eq!(trailers.keys().collect::<Vec<_>>(), ["grpc-status"]);
        assert_eq!(client.kept(), 1, "the connection is good for another request");
    })
    .await;
}

#[tokio::test]
async fn a_body_dropped_early_closes_the_connection() {
    worker(async {
        let raw = Raw::bind().await;
        let client = Worker::new(&config(&[raw.port()]));
        let upstream = spawn_local(async move {
            let mut peer = raw.accept().await;
            peer.request().await.unwrap();
            peer.say(format!("{OK}content-length: 100\r\n\r\nhello")).await;
            assert_eq!(peer.rest().await, "");
        });
        let response = client.send(get()).await.unwrap();
        assert_eq!(client.upstream.endpoints()[0].counters().in_flight(), 1);
        drop(response);
        upstream.await.unwrap();
        client.all_closed().await;
        assert_eq!(client.upstream.endpoints()[0].counters().in_flight(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_request_dropped_early_closes_the_connection() {
    worker(async {
        let raw = Raw::bind().await;
        let client = Worker::new(&config(&[raw.port()]));
        let (came, has_come) = oneshot::channel();
        let upstream = spawn_local(async move {
            let mut peer = raw.accept().await;
            peer.request().await.unwrap();
            came.send(()).unwrap();
            assert_eq!(peer.rest().await, "");
        });
        tokio::select! {
            _ = client.send(get()) => panic!("nothing was answered"),
            came = has_come => came.unwrap(),
        }
        upstream.await.unwrap();
        client.all_closed().await;
    })
    .await;
}

#[tokio::test]
async fn an_early_answer_is_delivered_and_the_upload_stops() {
    worker(async {
        let raw = Raw::bind().await;
        let client = Worker::new(&config(&[raw.port()]));
        let upstream = spawn_local(async move {
            let mut peer = raw.accept().await;
            peer.request().await.unwrap();
            peer.say("HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\n\r\nbig").await;
            peer.rest().await;
        });
        let upload = OutBody::stream(Frames::new([Ok("first")]).endless());
        let answer = client.ask(request("POST", upload)).await.unwrap();
        assert_eq!(answer, (413, "big".into()));
        assert_eq!(client.kept(), 0, "half a request is still owed on that connection");
        upstream.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_early_answer_survives_the_reset_of_the_upload() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // On a thread of its own, so that its reset races with our writing.
    std::thread::spawn(move || {
        for tcp in listener.incoming() {
            let mut tcp = tcp.unwrap();
            let _ = tcp.read(&mut [0; 1024]);
            let _ =
                tcp.write_all(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\n\r\nbig");
            // Closing with unread bytes sends a reset.
        }
    });
    let piece: &'static str = Box::leak("x".repeat(16 << 10).into_boxed_str());
    worker(async {
        let client = Worker::new(&config(&[port]));
        for round in 0..200 {
            let upload = OutBody::stream(Frames::new((0..200).map(|_| Ok(piece))).endless());
            let answer = client.ask(request("POST", upload)).await;
            assert_eq!(answer.unwrap(), (413, "big".into()), "round {round}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_reset_that_a_write_saw_first_is_no_clean_end() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for tcp in listener.incoming() {
            let mut tcp = tcp.unwrap();
            let _ = tcp.read(&mut [0; 1024]);
            let _ = tcp.write_all(b"HTTP/1.1 200 OK\r\n\r\nup to the close");
        }
    });
    let piece: &'static str = Box::leak("x".repeat(16 << 10).into_boxed_str());
    worker(async {
        let client = Worker::new(&config(&[port]));
        for round in 0..200 {
            let upload = OutBody::stream(Frames::new((0..200).map(|_| Ok(piece))).endless());
            if let Ok(response) = client.send(request("POST", upload)).await {
                let body = response.into_body().collect().await;
                assert!(matches!(body, Err(BodyError::Upstream(_))), "round {round}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn an_endless_body_is_read_no_further_than_the_client_reads() {
    worker(async {
        let raw = Raw::bind().await;
        let client = Worker::new(&config(&[raw.port()]));
        spawn_local(async move {
            let mut peer = raw.accept().await;
            peer.request().await.unwrap();
            peer.say(format!("{OK}\r\n")).await;
            for _ in 0..1024 {
                peer.say(vec![b'x'; 64 << 10]).await;
            }
        });
        let mut body = client.send(post("x")).await.unwrap().into_body();
        for _ in 0..32 {
            let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert!(data.len() <= 64 << 10, "{} bytes in one piece", data.len());
        }
    })
    .await;
}
