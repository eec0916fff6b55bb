//! B2, B9: upstreams that speak HTTP/2, and do with it what they should not.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use h2::{Reason, SendStream, server};
use http::{Method, Response};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{both, routed};
use crate::support::{Backend, Gateway};

fn h2c(backend: &Backend, attempts: u32) -> Gateway {
    let change = |route: &mut edgewit_model::Route| route.retry.attempts = attempts;
    let limit = Duration::from_secs(10);
    let of_upstream = |upstream: &mut edgewit_model::Upstream| {
        upstream.h2c = true;
        upstream.timeouts.first_byte = limit;
    };
    routed(backend.address, of_upstream, change).0
}

/// Frames as they are, in answer to the first request of a connection.
async fn raw(frames: Vec<u8>) -> Backend {
    Backend::new(move |mut stream: TcpStream, _| {
        let frames = frames.clone();
        async move {
            let mut preface = [0; 24];
            if stream.read_exact(&mut preface).await.is_err() {
                return;
            }
            stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
            loop {
                let mut head = [0; 9];
                if stream.read_exact(&mut head).await.is_err() {
                    return;
                }
                let length =
                    usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
                stream.read_exact(&mut vec![0; length]).await.unwrap();
                if head[3] == 1 {
                    break;
                }
            }
            let _ = stream.write_all(&frames).await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    })
    .await
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

#[tokio::test]
async fn b9_frames_that_must_not_be_sent_are_a_502() {
    const END_HEADERS: u8 = 4;
    let status_200 = [0x88];
    let push = [&2_u32.to_be_bytes()[..], &[0x82, 0x84, 0x86, 0x41, 1, b'a']].concat();
    for (what, frames) in [
        ("push", frame(5, END_HEADERS, 1, &push)),
        ("data before the head", frame(0, 0, 1, b"abc")),
        ("a head on a stream that nobody opened", frame(1, END_HEADERS, 3, &status_200)),
        ("no frame", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
        ("no status", frame(1, END_HEADERS, 1, &[])),
        ("a name in upper case", frame(1, END_HEADERS, 1, b"\x88\x00\x01A\x01b")),
    ] {
        for is_http2 in [false, true] {
            let backend = raw(frames.clone()).await;
            let gateway = h2c(&backend, 1);
            let got = super::one(&gateway, is_http2).await;
            assert_eq!(got.status().unwrap(), 502, "{what} {is_http2}");
            assert!(got.field("proxy-status").starts_with("edgewit; error="), "{what} {is_http2}");
        }
    }
}

/// An upstream that counts requests and answers each as this says.
async fn answering<F, Fut>(serve: F) -> (Backend, Arc<AtomicUsize>)
where
    F: Fn(server::SendResponse<Bytes>, usize) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let backend = Backend::new(move |stream, _| {
        let (serve, count) = (serve.clone(), Arc::clone(&counted));
        async move {
            let Ok(mut connection) = server::handshake(stream).await else { return };
            while let Some(Ok((_, respond))) = connection.accept().await {
                tokio::spawn(serve(respond, count.fetch_add(1, Ordering::SeqCst)));
            }
        }
    })
    .await;
    (backend, count)
}

fn head(mut respond: server::SendResponse<Bytes>) -> SendStream<Bytes> {
    respond.send_response(Response::new(()), false).unwrap()
}

#[tokio::test]
async fn b9_only_what_was_not_processed_is_sent_again() {
    for (reason, method, attempts, expected, requests) in [
        (Reason::REFUSED_STREAM, Method::POST, 2, 200, 2),
        (Reason::REFUSED_STREAM, Method::GET, 2, 200, 2),
        (Reason::REFUSED_STREAM, Method::POST, 1, 200, 2),
        (Reason::INTERNAL_ERROR, Method::POST, 2, 502, 1),
        (Reason::INTERNAL_ERROR, Method::GET, 2, 200, 2),
    ] {
        let serve = move |mut respond: server::SendResponse<Bytes>, number| async move {
            if number == 0 {
                respond.send_reset(reason);
            } else {
                head(respond).send_data(Bytes::from_static(b"ok"), true).unwrap();
            }
        };
        let (backend, count) = answering(serve).await;
        let gateway = h2c(&backend, attempts);
        let uri = "http://a/".parse::<http::Uri>().unwrap();
        let request = http::Request::builder().method(method.clone()).uri(uri);
        let got = super::http2(gateway.address, request.body(Default::default()).unwrap()).await;
        assert_eq!(got.status().unwrap(), expected, "{reason:?} {method} {attempts}");
        assert_eq!(count.load(Ordering::SeqCst), requests, "{reason:?} {method} {attempts}");
    }
}

#[tokio::test]
async fn b2_a_stream_that_is_reset_never_ends_cleanly() {
    for reason in [Reason::NO_ERROR, Reason::CANCEL, Reason::INTERNAL_ERROR] {
        for part in [0, 1, 5_000, 9_999] {
            for sized in [true, false] {
                let serve = move |mut respond: server::SendResponse<Bytes>, _| async move {
                    let mut response = Response::new(());
                    if sized {
                        response.headers_mut().insert("content-length", 10_000.into());
                    }
                    let mut body = respond.send_response(response, false).unwrap();
                    body.send_data(vec![b'x'; part].into(), false).unwrap();
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    body.send_reset(reason);
                };
                let (backend, _) = answering(serve).await;
                let gateway = h2c(&backend, 1);
                for (version, got) in both(&gateway, Method::GET, b"").await {
                    let is_error = got.status().is_some_and(|status| status == 502);
                    let what = format!("{version} {reason:?} {part} {sized} {got:?}");
                    assert!(is_error || !got.is_whole(), "{what}");
                }
            }
        }
    }
}

#[tokio::test]
async fn b9_a_connection_that_is_going_away_costs_nothing() {
    let backend = Backend::new(|stream, number| async move {
        let mut connection = server::handshake(stream).await.unwrap();
        if number == 0 {
            connection.graceful_shutdown();
        }
        while let Some(Ok((_, respond))) = connection.accept().await {
            head(respond).send_data(Bytes::from_static(b"ok"), true).unwrap();
        }
    })
    .await;
    let gateway = h2c(&backend, 2);
    for _ in 0..10 {
        for (version, got) in both(&gateway, Method::POST, b"abc").await {
            assert_eq!(got.text(), b"ok", "{version}");
        }
    }
}

#[tokio::test]
async fn b9_an_upstream_that_lets_nothing_through_holds_nobody_up() {
    for (streams, window) in [(Some(0), None), (None, Some(0))] {
        let backend = Backend::new(move |stream, _| async move {
            let mut builder = server::Builder::new();
            if let Some(streams) = streams {
                builder.max_concurrent_streams(streams);
            }
            if let Some(window) = window {
                builder.initial_window_size(window);
            }
            let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else { return };
            let mut kept = Vec::new();
            while let Some(Ok(request)) = connection.accept().await {
                kept.push(request); // never answered, never read
            }
        })
        .await;
        let change = |upstream: &mut edgewit_model::Upstream| upstream.h2c = true;
        let brief = |route: &mut edgewit_model::Route| route.timeout = Duration::from_millis(500);
        let (gateway, _) = routed(backend.address, change, brief);
        for (version, got) in both(&gateway, Method::POST, b"abc").await {
            let status = got.status().unwrap().as_u16();
            assert_eq!(status, 504, "{version} {streams:?} {window:?}");
        }
    }
}

#[tokio::test]
async fn b9_one_stream_at_a_time_is_enough() {
    let backend = Backend::new(|stream, _| async move {
        let mut builder = server::Builder::new();
        let handshake = builder.max_concurrent_streams(1).handshake(stream).await;
        let Ok(mut connection) = handshake else { return };
        while let Some(Ok((_, respond))) = connection.accept().await {
            head(respond).send_data(Bytes::from_static(b"ok"), true).unwrap();
        }
    })
    .await;
    let gateway = Arc::new(h2c(&backend, 1));
    let mut tasks = Vec::new();
    for _ in 0..20 {
        let gateway = Arc::clone(&gateway);
        tasks.push(tokio::spawn(async move {
            both(&gateway, Method::GET, b"").await.map(|(_, got)| got.status().unwrap().as_u16())
        }));
    }
    for task in tasks {
        assert_eq!(task.await.unwrap(), [200, 200]);
    }
}

#[tokio::test]
async fn b9_a_first_burst_opens_no_more_streams_than_are_allowed() {
    const BURST: usize = 50;
    for (streams, expected) in [(0, 504), (1, 200), (2, 200)] {
        let backend = Backend::new(move |stream, _| async move {
            let mut builder = server::Builder::new();
            let handshake = builder.max_concurrent_streams(streams).handshake(stream).await;
            let Ok(mut connection) = handshake else { return };
            while let Some(Ok((_, respond))) = connection.accept().await {
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    head(respond).send_data(Bytes::from_static(b"ok"), true).unwrap();
                });
            }
        })
        .await;
        let h2c = |upstream: &mut edgewit_model::Upstream| {
            upstream.h2c = true;
            upstream.timeouts.connect = Duration::from_secs(20);
        };
        let (gateway, _) = routed(backend.address, h2c, |route| {
            route.timeout = Duration::from_secs(if streams == 0 { 1 } else { 20 });
            route.retry.attempts = 1;
        });
        let gateway = Arc::new(gateway);
        let burst = (0..BURST).map(|_| {
            let gateway = Arc::clone(&gateway);
            tokio::spawn(async move { super::one(&gateway, false).await.status().unwrap() })
        });
        for answer in burst.collect::<Vec<_>>() {
            assert_eq!(answer.await.unwrap(), expected, "{streams} streams");
        }
    }
}

#[tokio::test]
async fn b9_what_is_always_refused_is_sent_again_once() {
    let refuse = |mut respond: server::SendResponse<Bytes>, _| async move {
        respond.send_reset(Reason::REFUSED_STREAM);
    };
    let (backend, count) = answering(refuse).await;
    let gateway = h2c(&backend, 1);
    assert_eq!(super::one(&gateway, false).await.status().unwrap(), 502);
    assert_eq!(count.load(Ordering::SeqCst), 2);
}
