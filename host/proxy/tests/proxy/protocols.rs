//! HTTP/2 and TLS.

use std::{
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use edgewit_model::{Listener, ListenerTls, Protocols};
use http::{HeaderMap, HeaderValue, Request, StatusCode, Version};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, Full};
use hyper::client::conn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, RootCertStore, pki_types::ServerName},
};

use crate::support::{
    Backend, Gateway, forward_to, http2, listener, name, read_head, respond, route, talk, upstream,
    within,
};

type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, std::io::Error>;

fn empty() -> Body {
    Empty::new().map_err(|e| match e {}).boxed_unsync()
}

#[tokio::test]
async fn many_streams_share_a_connection() {
    let backend = Backend::ok().await;
    let gateway = Gateway::to(&backend);
    let sender = http2(gateway.address).await;
    let mut tasks = Vec::new();
    for _ in 0..50 {
        let mut sender = sender.clone();
        tasks.push(tokio::spawn(async move {
            let request = Request::get("http://A.test/x?y").body(empty()).unwrap();
            let response = sender.send_request(request).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            assert!(response.headers().contains_key("x-request-id"));
            assert!(!response.headers().contains_key("connection"));
            assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "ok");
        }));
    }
    for task in tasks {
        within(task).await.unwrap();
    }
    let heads = backend.heads();
    assert_eq!(heads.len(), 50);
    assert!(heads.iter().all(|head| head.starts_with("GET /x?y HTTP/1.1\r\n")));
    assert!(heads.iter().all(|head| head.contains("host: a.test\r\n")));
}

#[tokio::test]
async fn a25_an_http2_request_is_not_translated_into_two() {
    let backend = Backend::ok().await;
    let gateway = Gateway::to(&backend);
    let mut sender = http2(gateway.address).await;
    let refused = [
        Request::get("http://a/").header("host", "b"),
        Request::get("http://a/").header("x_user", "root"),
        Request::get("http://a/%2fadmin"),
        Request::post("http://a/").header("content-length", "1").header("content-length", "1"),
    ];
    for request in refused {
        let request = request.body(empty()).unwrap();
        match within(sender.send_request(request)).await {
            Ok(response) => assert_eq!(response.status(), StatusCode::BAD_REQUEST),
            Err(error) => assert!(error.is_user() || !error.is_closed(), "{error:?}"),
        }
    }
    assert!(backend.heads().is_empty(), "{:?}", backend.heads());
}

#[tokio::test]
async fn trailers_pass_over_http2() {
    let backend = Backend::new(|mut stream, _| async move {
        let head = read_head(&mut stream).await.unwrap();
        assert!(head.contains("te: trailers"), "{head}");
        let mut body = Vec::new();
        while !body.ends_with(b"0\r\n\r\n") {
            body.push(stream.read_u8().await.unwrap());
        }
        let response = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: grpc-status\r\n\r\n\
            1\r\nb\r\n0\r\ngrpc-status: 0\r\ncontent-length: 7\r\n\r\n";
        stream.write_all(response.as_bytes()).await.unwrap();
    })
    .await;
    let gateway = Gateway::to(&backend);
    let mut sender = http2(gateway.address).await;
    let trailers =
        HeaderMap::from_iter([("x-sum".parse().unwrap(), HeaderValue::from_static("1"))]);
    let data = Frame::data(Bytes::from_static(b"a"));
    let body = Parts(vec![Frame::trailers(trailers), data]).boxed_unsync();
    let request = Request::post("http://a/").header("te", "trailers").body(body).unwrap();
    let response = within(sender.send_request(request)).await.unwrap();
    let collected = within(response.into_body().collect()).await.unwrap();
    let trailers = collected.trailers().unwrap();
    assert_eq!(trailers["grpc-status"], "0");
    assert!(!trailers.contains_key("content-length"));
    assert_eq!(collected.to_bytes(), "b");
}

/// Frames, the last one first.
struct Parts(Vec<Frame<Bytes>>);

impl http_body::Body for Parts {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        Poll::Ready(self.0.pop().map(Ok))
    }
}

#[tokio::test]
async fn only_the_protocols_of_the_listener_are_spoken() {
    let serve = |protocols| {
        let listener = Listener { protocols, ..listener() };
        Gateway::new(listener, vec![(route(respond(200, "hello")), Vec::new(), Vec::new())])
    };
    let h1 = serve(Protocols { h1: true, h2: false });
    let answer = talk(h1.address, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    let h2 = serve(Protocols { h1: false, h2: true });
    let answer = talk(h2.address, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(!answer.contains("HTTP/1.1 200"), "{answer}");
    let mut sender = http2(h2.address).await;
    let request = Request::get("http://a/").body(empty()).unwrap();
    assert_eq!(within(sender.send_request(request)).await.unwrap().status(), StatusCode::OK);
}

/// A certificate for `localhost` in this folder.
fn certificate(folder: &Path) -> (ListenerTls, Arc<RootCertStore>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    (ListenerTls::new(cert, key), Arc::new(roots))
}

async fn handshake(
    gateway: &Gateway,
    roots: &Arc<RootCertStore>,
    protocols: &[&[u8]],
) -> std::io::Result<TlsStream<TcpStream>> {
    let provider = tokio_rustls::rustls::crypto::aws_lc_rs::default_provider();
    let mut config = ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(Arc::clone(roots))
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|p| p.to_vec()).collect();
    let stream = within(TcpStream::connect(gateway.address)).await?;
    let name = ServerName::try_from("localhost").unwrap();
    within(TlsConnector::from(Arc::new(config)).connect(name, stream)).await
}

#[tokio::test]
async fn tls_speaks_what_was_agreed_on() {
    let folder = tempfile::tempdir().unwrap();
    let (tls, roots) = certificate(folder.path());
    let listener = Listener { tls: Some(tls), ..listener() };
    let backend = Backend::ok().await;
    let upstream = upstream("u", &[backend.address]);
    let to = route(forward_to(&[&upstream]));
    let gateway = Gateway::new(listener, vec![(to, Vec::new(), vec![upstream])]);

    let stream = handshake(&gateway, &roots, &[b"h2", b"http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    let (mut sender, connection) =
        conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("https://localhost/").body(empty()).unwrap();
    let response = within(sender.send_request(request)).await.unwrap();
    assert_eq!((response.status(), response.version()), (StatusCode::OK, Version::HTTP_2));

    for protocols in [vec![b"http/1.1".as_slice()], vec![]] {
        let stream = handshake(&gateway, &roots, &protocols).await.unwrap();
        let (mut sender, connection) = conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::get("/").header("host", "localhost").body(Full::<Bytes>::default());
        let response = within(sender.send_request(request.unwrap())).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }
    assert!(backend.heads().iter().all(|head| head.contains("x-forwarded-proto: https\r\n")));
    assert!(handshake(&gateway, &roots, &[b"spdy/3"]).await.is_err());
    let plain = talk(gateway.address, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(!plain.contains("HTTP/"), "{plain}");
}

#[tokio::test]
async fn a_new_certificate_is_shown_at_once_and_a_bad_one_never() {
    let folder = tempfile::tempdir().unwrap();
    let (tls, old) = certificate(folder.path());
    let listener = Listener { tls: Some(tls.clone()), ..listener() };
    let routes = vec![(route(respond(200, "hello")), Vec::new(), Vec::new())];
    let gateway = Gateway::new(listener, routes);
    let mut kept = handshake(&gateway, &old, &[b"http/1.1"]).await.unwrap();

    let (_, new) = certificate(folder.path());
    let bound = gateway.proxy.apply(&gateway.listeners, gateway.proxy.snapshot()).unwrap();
    assert_eq!((bound[0].listener.clone(), bound[0].address), (name("web"), gateway.address));
    assert!(handshake(&gateway, &new, &[]).await.is_ok());
    assert!(handshake(&gateway, &old, &[]).await.is_err());
    kept.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    within(kept.read_exact(&mut [0; 12])).await.unwrap();

    std::fs::write(&tls.files[0].key, "no key").unwrap();
    let error = gateway.proxy.apply(&gateway.listeners, gateway.proxy.snapshot()).unwrap_err();
    assert_eq!(error.to_string(), "TLS of listener `web` cannot be set up");
    assert!(handshake(&gateway, &new, &[]).await.is_ok());
}

#[tokio::test]
async fn a_handshake_that_drips_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let (tls, _) = certificate(folder.path());
    let mut listener = Listener { tls: Some(tls), ..listener() };
    listener.limits.handshake_timeout = std::time::Duration::from_millis(150);
    let gateway =
        Gateway::new(listener, vec![(route(respond(200, "hello")), Vec::new(), Vec::new())]);
    assert_eq!(talk(gateway.address, "\x16\x03\x01").await, "");
}
