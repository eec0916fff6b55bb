//! B9, and B2 over HTTP/2: upstreams that speak frames.

mod frames;

use std::time::Duration;

use bytes::Bytes;
use edgewit_upstream::{BodyError, Cause, Failure, OutBody, Processed, Tried, send};
use http::Request;
use http_body_util::BodyExt;
use tokio::{
    task::{JoinHandle, spawn_local},
    time::Instant,
};

use crate::support::{Frames, Raw, Worker, config, get, post, request, worker};
use frames::{Connection, END, REFUSED, Settings};

/// A client with prior knowledge, and its upstream.
async fn h2c() -> (Worker, Raw) {
    let raw = Raw::bind().await;
    let mut config = config(&[raw.port()]);
    config.h2c = true;
    (Worker::new(&config), raw)
}

/// Answers every stream with `204`, on every connection.
fn serve(raw: Raw, settings: Settings) -> JoinHandle<()> {
    spawn_local(async move {
        loop {
            let mut connection = Connection::accept(&raw, settings).await;
            spawn_local(async move {
                while let Some(stream) = connection.request().await {
                    connection.no_content(stream).await;
                }
            });
        }
    })
}

fn connects(client: &Worker) -> u64 {
    client.upstream.endpoints()[0].counters().connects()
}

#[tokio::test]
async fn all_requests_share_one_connection() {
    worker(async {
        let (client, raw) = h2c().await;
        serve(raw, Settings::default());
        for _ in 0..10 {
            let (a, b, c) =
                tokio::join!(client.ask(get()), client.ask(post("x")), client.ask(get()));
            assert_eq!([a, b, c].map(|answer| answer.unwrap().0), [204; 3]);
        }
        assert_eq!((connects(&client), client.kept()), (1, 1));
    })
    .await;
}

#[tokio::test]
async fn a_request_names_its_host_in_the_target() {
    worker(async {
        let (client, raw) = h2c().await;
        let upstream = spawn_local(async move {
            let (tcp, _) = raw.listener().accept().await.unwrap();
            let mut server = h2::server::handshake(tcp).await.unwrap();
            let mut seen = Vec::new();
            while let Some(Ok((request, mut answer))) = server.accept().await {
                let fields = request.headers().iter();
                let fields: Vec<_> =
                    fields.map(|(n, v)| format!("{n}: {}", v.to_str().unwrap())).collect();
                seen.push(format!("{} {} {}", request.method(), request.uri(), fields.join("; ")));
                answer.send_response(http::Response::new(()), true).unwrap();
            }
            seen
        });
        client.ask(get()).await.unwrap();
        client.ask(post("abc")).await.unwrap();
        let anonymous = Request::builder().uri("/").body(OutBody::empty()).unwrap();
        client.ask(anonymous).await.unwrap();
        let port = client.upstream.endpoints()[0].port();
        drop(client);
        let expected = [
            "GET http://client.example/a?b=c ".to_owned(),
            "POST http://client.example/a?b=c content-length: 3".to_owned(),
            format!("GET http://127.0.0.1:{port}/ "),
        ];
        assert_eq!(upstream.await.unwrap(), expected);
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_is_going_away_is_replaced() {
    worker(async {
        for orderly in [true, false] {
            let (client, raw) = h2c().await;
            spawn_local(async move {
                loop {
                    let mut connection = Connection::accept(&raw, Settings::default()).await;
                    let stream = connection.request().await.unwrap();
                    connection.no_content(stream).await;
                    connection.go_away(stream).await;
                    if orderly {
                        connection.close().await;
                    } // else what the client sent is unread, and it gets a reset
                }
            });
            for _ in 0..50 {
                assert_eq!(client.ask(post("x")).await.unwrap().0, 204);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_stream_beyond_the_last_of_a_goaway_is_sent_again() {
    worker(async {
        let (client, raw) = h2c().await;
        spawn_local(async move {
            let mut connection = Connection::accept(&raw, Settings::default()).await;
            let first = connection.request().await.unwrap();
            connection.no_content(first).await;
            connection.request().await.unwrap();
            connection.go_away(first).await;
            serve(raw, Settings::default());
            connection.drain().await;
        });
        client.ask(post("x")).await.unwrap();
        assert_eq!(client.ask(post("x")).await.unwrap().0, 204);
        assert_eq!(client.upstream.endpoints()[0].counters().resent(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_stream_within_a_goaway_is_not_sent_again_if_it_is_a_post() {
    worker(async {
        let (client, raw) = h2c().await;
        spawn_local(async move {
            let mut connection = Connection::accept(&raw, Settings::default()).await;
            let first = connection.request().await.unwrap();
            connection.no_content(first).await;
            let second = connection.request().await.unwrap();
            connection.go_away(second).await;
            connection.close().await;
            serve(raw, Settings::default());
        });
        client.ask(post("x")).await.unwrap();
        let error = client.ask(post("x")).await.unwrap_err();
        assert_eq!((error.kind, error.processed), (Failure::Reset, Processed::Maybe));
    })
    .await;
}

#[tokio::test]
async fn a_refused_stream_is_known_to_be_unprocessed() {
    worker(async {
        let (client, raw) = h2c().await;
        let upstream = spawn_local(async move {
            let mut one = Connection::accept(&raw, Settings::default()).await;
            let first = one.request().await.unwrap();
            one.reset(first, REFUSED).await;
            let mut other = Connection::accept(&raw, Settings::default()).await;
            let again = other.request().await.unwrap();
            other.no_content(again).await;
            let second = one.request().await.unwrap();
            one.reset(second, REFUSED).await;
            let again = other.request().await.unwrap();
            other.reset(again, REFUSED).await;
            one.drain().await;
        });
        assert_eq!(client.ask(post("x")).await.unwrap().0, 204, "sent again on another connection");
        let error = client.ask(post("x")).await.unwrap_err();
        assert_eq!((error.kind, error.processed), (Failure::Reset, Processed::No), "but only once");
        assert_eq!(connects(&client), 2);
        assert_eq!(client.upstream.endpoints()[0].counters().resent(), 2);
        drop(client);
        upstream.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn no_more_streams_are_opened_than_allowed() {
    worker(async {
        let (client, raw) = h2c().await;
        let one = Settings { max_streams: Some(1) };
        spawn_local(async move {
            let mut connections = Vec::new();
            for _ in 0..3 {
                let mut connection = Connection::accept(&raw, one).await;
                let stream = connection.request().await.unwrap();
                connections.push((connection, stream));
            }
            for (connection, stream) in &mut connections {
                connection.no_content(*stream).await; // all at the same time, so that none is used twice
            }
            std::future::pending::<()>().await;
        });
        let (a, b, c) = tokio::join!(client.send(get()), client.send(get()), client.send(get()));
        assert!(a.is_ok() && b.is_ok() && c.is_ok());
        assert_eq!(connects(&client), 3);
    })
    .await;
}

#[tokio::test]
async fn an_upstream_that_allows_no_stream_times_out() {
    worker(async {
        let (client, raw) = h2c().await;
        let none = Settings { max_streams: Some(0) };
        spawn_local(async move {
            loop {
                let mut connection = Connection::accept(&raw, none).await;
                spawn_local(async move {
                    while let Some(stream) = connection.request().await {
                        connection.reset(stream, REFUSED).await;
                    }
                });
            }
        });
        let mut tried = Tried::new();
        tried.deadline = Some(Instant::now() + Duration::from_millis(300));
        let error = send(&client.upstream, &client.pools, get(), &mut tried).await.unwrap_err();
        assert!(error.is_timeout(), "{error:?}");
        assert_eq!(connects(&client), 1);
    })
    .await;
}

/// The body that these frames bring behind a `200`, and whether it came to its end.
async fn body_of(
    length: Option<&str>,
    data: &[(&'static str, u8)],
    reset: Option<u32>,
) -> (Bytes, bool) {
    let (client, raw) = h2c().await;
    let (length, data) = (length.map(str::to_owned), data.to_vec());
    spawn_local(async move {
        let mut connection = Connection::accept(&raw, Settings::default()).await;
        let stream = connection.request().await.unwrap();
        connection.ok(stream, length.as_deref()).await;
        for (data, flags) in data {
            connection.data(stream, data, flags).await;
        }
        match reset {
            Some(reason) => connection.reset(stream, reason).await,
            None => return,
        }
        connection.drain().await;
    });
    let mut body = client.send(get()).await.unwrap().into_body();
    let mut bytes = Vec::new();
    loop {
        match body.frame().await {
            None => return (bytes.into(), true),
            Some(Ok(frame)) => bytes.extend(frame.into_data().unwrap_or_default()),
            Some(Err(error)) => {
                assert!(matches!(error, BodyError::Upstream(_)));
                assert!(body.frame().await.is_none());
                return (bytes.into(), false);
            }
        }
    }
}

#[tokio::test]
async fn a_stream_that_is_reset_never_ends_cleanly() {
    const NO_ERROR: u32 = 0;
    const CANCEL: u32 = 8;
    worker(async {
        for reason in [NO_ERROR, CANCEL, 2, REFUSED] {
            assert!(!body_of(None, &[("hello", 0)], Some(reason)).await.1, "reason {reason}");
            assert!(!body_of(None, &[], Some(reason)).await.1, "reason {reason}");
        }
        assert!(!body_of(None, &[("hello", 0)], None).await.1, "closed");
        assert!(!body_of(Some("9"), &[("hello", END)], None).await.1, "too short");
        assert!(!body_of(Some("2"), &[("hello", END)], None).await.1, "too long");
        let whole = body_of(None, &[("hello", 0), ("", END)], Some(NO_ERROR)).await;
        assert_eq!(whole, ("hello".into(), true), "RFC 9113 8.1");
        assert!(body_of(Some("5"), &[("hello", END)], Some(NO_ERROR)).await.1);
    })
    .await;
}

#[tokio::test]
async fn a_request_body_that_breaks_off_resets_the_stream() {
    worker(async {
        let (client, raw) = h2c().await;
        let upstream = spawn_local(async move {
            let mut connection = Connection::accept(&raw, Settings::default()).await;
            let first = connection.request().await.unwrap();
            let ended = connection.upload(first).await;
            let second = connection.request().await.unwrap();
            connection.no_content(second).await;
            ended
        });
        let gone = BodyError::Client(Cause::new("gone"));
        let body = OutBody::stream(Frames::new([Ok("abc"), Err(gone)]));
        let error = client.send(request("POST", body)).await.unwrap_err();
        assert_eq!((error.kind, error.processed), (Failure::Request, Processed::Maybe));
        assert!(matches!(error.body_error(), Some(BodyError::Client(_))));
        client.ask(get()).await.unwrap();
        assert_eq!(connects(&client), 1, "the others on the connection are not disturbed");
        assert_eq!(upstream.await.unwrap(), Err("reset"));
    })
    .await;
}

#[tokio::test]
async fn a_response_dropped_early_resets_its_stream_only() {
    worker(async {
        let (client, raw) = h2c().await;
        let upstream = spawn_local(async move {
            let mut connection = Connection::accept(&raw, Settings::default()).await;
            let first = connection.request().await.unwrap();
            connection.ok(first, None).await;
            let ended = connection.upload(first).await;
            let second = connection.request().await.unwrap();
            connection.no_content(second).await;
            ended
        });
        drop(client.send(get()).await.unwrap());
        client.ask(get()).await.unwrap();
        assert_eq!(connects(&client), 1);
        assert_eq!(upstream.await.unwrap(), Err("reset"));
    })
    .await;
}

#[tokio::test]
async fn frames_that_are_none_are_refused() {
    worker(async {
        let (client, raw) = h2c().await;
        spawn_local(async move {
            let mut peer = raw.accept().await;
            peer.say("HTTP/1.1 400 Bad Request\r\n\r\n").await;
            peer.rest().await;
        });
        let error = client.send(get()).await.unwrap_err();
        assert_eq!((error.kind, error.processed), (Failure::Connect, Processed::No));
        assert_eq!(error.reason(), edgewit_upstream::Reason::Protocol);
    })
    .await;
}

#[tokio::test]
async fn more_fields_than_allowed_are_refused() {
    worker(async {
        let (client, raw) = h2c().await;
        spawn_local(async move {
            let (tcp, _) = raw.listener().accept().await.unwrap();
            let mut server = h2::server::handshake(tcp).await.unwrap();
            while let Some(Ok((_, mut answer))) = server.accept().await {
                let mut response = http::Response::new(());
                for _ in 0..101 {
                    response.headers_mut().append("a", "b".parse().unwrap());
                }
                answer.send_response(response, true).unwrap();
            }
        });
        let error = client.send(get()).await.unwrap_err();
        assert_eq!((error.kind, error.processed), (Failure::Protocol, Processed::Maybe));
    })
    .await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_time() {
    worker(async {
        let (client, raw) = h2c().await;
        serve(raw, Settings::default());
        client.ask(get()).await.unwrap();
        assert_eq!(client.kept(), 1);
        tokio::time::pause();
        while client.kept() > 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        tokio::time::resume();
        client.all_closed().await;
    })
    .await;
}
