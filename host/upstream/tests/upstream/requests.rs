//! What a request looks like to an upstream.

use bytes::Bytes;
use edgewit_upstream::{BodyError, Cause, Failure, OutBody, Processed};
use http::Request;
use http_body_util::BodyExt;
use tokio::task::spawn_local;

use crate::support::{Frames, Raw, Worker, config, get, request, worker};

const ANSWER: &str = "HTTP/1.1 204 No Content\r\n\r\n";

/// The bytes of a request, with the port of the upstream as `PORT`.
async fn sent(request: Request<OutBody>) -> String {
    let raw = Raw::bind().await;
    let port = raw.port();
    let client = Worker::new(&config(&[port]));
    let upstream = spawn_local(async move {
        let mut peer = raw.accept().await;
        let head = peer.request().await.unwrap();
        peer.say(ANSWER).await;
        drop(peer.rest().await);
        head
    });
    client.ask(request).await.unwrap();
    drop(client);
    upstream.await.unwrap().replace(&port.to_string(), "PORT")
}

#[tokio::test]
async fn the_target_is_in_origin_form_and_the_host_is_the_client_s() {
    let check = async |uri: &str, host: Option<&str>, target: &str, expected: &str| {
        let mut request = Request::builder().uri(uri);
        if let Some(host) = host {
            request = request.header("host", host);
        }
        let sent = sent(request.body(OutBody::empty()).unwrap()).await;
        assert_eq!(sent, format!("GET {target} HTTP/1.1\r\nhost: {expected}\r\n\r\n"));
    };
    worker(async {
        check("/a?b=c", Some("client.example"), "/a?b=c", "client.example").await;
        check("http://other.example:81/a", None, "/a", "other.example:81").await;
        check("https://other.example", Some("client.example"), "/", "client.example").await;
        check("/a", None, "/a", "127.0.0.1:PORT").await;
        check("*", Some("client.example"), "*", "client.example").await;
    })
    .await;
}

#[tokio::test]
async fn the_framing_is_that_of_the_body() {
    let full = || OutBody::full(Bytes::from_static(b"abc"));
    let stream = || OutBody::stream(Frames::new([Ok("abc")]));
    let sized = || {
        let body = http_body_util::Full::new(Bytes::from_static(b"abc"));
        OutBody::stream(body.map_err(|never| match never {}))
    };
    let check = async |method: &str, body: OutBody, expected: &str| {
        let mut request = request(method, body);
        request.headers_mut().insert("content-length", "77".parse().unwrap());
        request.headers_mut().insert("transfer-encoding", "gzip".parse().unwrap());
        let sent = sent(request).await;
        let framing = sent.split_once("host: client.example\r\n").unwrap().1;
        assert_eq!(framing, expected, "{method}");
    };
    worker(async {
        check("GET", OutBody::empty(), "\r\n").await;
        check("DELETE", OutBody::empty(), "\r\n").await;
        check("POST", OutBody::empty(), "content-length: 0\r\n\r\n").await;
        check("POST", full(), "content-length: 3\r\n\r\nabc").await;
        check("GET", full(), "content-length: 3\r\n\r\nabc").await;
        check("PUT", sized(), "content-length: 3\r\n\r\nabc").await;
        for method in ["GET", "DELETE", "POST", "PATCH"] {
            check(method, stream(), "transfer-encoding: chunked\r\n\r\n").await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_get_with_a_stream_is_sent_with_its_body() {
    worker(async {
        let raw = Raw::bind().await;
        let client = Worker::new(&config(&[raw.port()]));
        let upstream = spawn_local(async move {
            let mut peer = raw.accept().await;
            peer.request().await.unwrap();
            let body = peer.until("0\r\n\r\n").await;
            peer.say(ANSWER).await;
            peer.rest().await;
            body
        });
        let body = OutBody::stream(Frames::new([Ok("abc"), Ok("de")]));
        client.ask(request("GET", body)).await.unwrap();
        assert_eq!(client.kept(), 1);
        drop(client);
        assert_eq!(upstream.await.unwrap(), "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    })
    .await;
}

#[tokio::test]
async fn connect_is_refused() {
    worker(async {
        let raw = Raw::bind().await;
        let client = Worker::new(&config(&[raw.port()]));
        let error = client.send(request("CONNECT", OutBody::empty())).await.unwrap_err();
        assert_eq!((error.kind, error.processed), (Failure::Request, Processed::No));
    })
    .await;
}

#[tokio::test]
async fn a_request_body_that_breaks_off_never_ends_cleanly() {
    worker(async {
        let raw = Raw::bind().await;
        let client = Worker::new(&config(&[raw.port()]));
        let upstream = spawn_local(async move { raw.accept().await.rest().await });
        let gone = BodyError::Client(Cause::new("gone"));
        let body = OutBody::stream(Frames::new([Ok("abc"), Err(gone)]));
        let error = client.send(request("POST", body)).await.unwrap_err();
        assert_eq!((error.kind, error.processed), (Failure::Request, Processed::Maybe));
        assert!(matches!(error.body_error(), Some(BodyError::Client(_))));
        let seen = upstream.await.unwrap();
        assert!(seen.ends_with("\r\n\r\n3\r\nabc\r\n"), "{seen:?}");
        client.all_closed().await;
    })
    .await;
}

#[tokio::test]
async fn a_request_body_that_breaks_off_during_the_response_is_not_the_upstream_s_fault() {
    worker(async {
        let raw = Raw::bind().await;
        let client = Worker::new(&config(&[raw.port()]));
        spawn_local(async move {
            let mut peer = raw.accept().await;
            peer.request().await.unwrap();
            peer.say("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello").await;
            peer.rest().await;
        });
        let mut frames: Vec<_> = (0..1000).map(|_| Ok("x")).collect();
        frames.push(Err(BodyError::Filter(Cause::new("no"))));
        let body = OutBody::stream(Frames::new(frames));
        let response = client.send(request("POST", body)).await.unwrap();
        let mut body = response.into_body();
        let error = loop {
            match body.frame().await.expect("no clean end") {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert!(matches!(error, BodyError::Filter(_)), "{error:?}");
    })
    .await;
}

#[tokio::test]
async fn a_request_that_comes_back_has_no_name_that_we_gave_it() {
    worker(async {
        let port = Raw::bind().await.port();
        let client = Worker::new(&config(&[port]));
        let anonymous = Request::builder().uri("/a").body(OutBody::empty()).unwrap();
        let unsent = client.send(anonymous).await.unwrap_err().unsent.unwrap();
        assert!(unsent.headers().is_empty());
        assert_eq!(unsent.uri(), "/a");
        let named = client.send(get()).await.unwrap_err().unsent.unwrap();
        assert_eq!(named.headers()["host"], "client.example");
    })
    .await;
}
