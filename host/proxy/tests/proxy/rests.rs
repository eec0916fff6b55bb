//! A connection of HTTP/1 that has nothing to do gives its parser back after five seconds, and nobody notices.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex, Once,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use edgewit_model::{Listener, ListenerTls, TlsVersion};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::sleep,
};
use tracing::{Event, Metadata, Subscriber, span};

use crate::support::{
    Authority, Backend, Connection, Gateway, TlsClient, forward_to, hello, listener, respond,
    route, upstream, within,
};

/// Until a connection rests, and some more.
const PAUSE: Duration = Duration::from_secs(6);
/// Longer than what must not end it.
const LONG: Duration = Duration::from_secs(60);
/// How long the backend thinks before it takes a body.
const SLOW: Duration = Duration::from_millis(300);
const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/// Connections that have begun to rest, as the log says it.
static RESTS: AtomicUsize = AtomicUsize::new(0);
/// Those that the tests here have waited for.
static EXPECTED: AtomicUsize = AtomicUsize::new(0);

/// A log that counts.
struct Counting;

impl Subscriber for Counting {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "edgewit_proxy::http" && *metadata.level() == tracing::Level::TRACE
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, _: &Event<'_>) {
        RESTS.fetch_add(1, SeqCst);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// Has to be called before there is a worker.
fn counted() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Counting).expect("the only log"));
}

/// Waits until a connection that has nothing to do rests, and makes sure that one does.
async fn pause() {
    sleep(PAUSE).await;
    let expected = EXPECTED.fetch_add(1, SeqCst) + 1;
    assert!(RESTS.load(SeqCst) >= expected, "{RESTS:?} of {expected}");
}

fn patient() -> Listener {
    counted();
    let mut listener = listener();
    let limits = &mut listener.limits;
    (limits.header_timeout, limits.idle_timeout, limits.stall_timeout) = (LONG, LONG, LONG);
    listener
}

/// A connection that has had this answer, and rests.
async fn rested(gateway: &Gateway, answer: &str) -> Connection {
    let mut connection = Connection::new(gateway.address).await;
    connection.write(GET).await;
    assert_eq!(connection.response().await.1, answer);
    pause().await;
    connection
}

/// Everything goes to a backend that thinks for a moment, takes the body and sends path and body back. With it, the paths that
/// it has seen.
async fn slow() -> (Gateway, Backend, Arc<Mutex<Vec<String>>>) {
    let paths: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&paths);
    let backend = Backend::new(move |stream, _| {
        let seen = Arc::clone(&seen);
        let answer = service_fn(move |request: Request<Incoming>| {
            let path = request.uri().path().to_owned();
            seen.lock().unwrap().push(path.clone());
            async move {
                sleep(SLOW).await;
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let answer = [path.as_bytes(), b" ", &body].concat();
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(answer))))
            }
        });
        async move {
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        }
    });
    let backend = backend.await;
    let upstream = upstream("u", &[backend.address]);
    let routes = vec![(route(forward_to(&[&upstream])), Vec::new(), vec![upstream])];
    (Gateway::new(patient(), routes), backend, paths)
}

/// What is written first, and a moment later, and the paths and bodies that come back.
type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

/// What comes after a rest is one request, however it comes: nothing of it is lost, nothing in it is taken for a request.
#[tokio::test]
async fn what_comes_after_a_rest_is_whole() {
    let (gateway, _backend, paths) = slow().await;
    let hidden = "GET /hidden HTTP/1.1\r\nhost: a\r\n\r\n";
    let body = format!("{:x<50}{hidden:y<50}", "");
    let long = format!("{hidden}{}", "z".repeat(60_000));
    let head =
        |path: &str, more: &str| format!("POST /{path} HTTP/1.1\r\nhost: a\r\n{more}\r\n\r\n");
    let whole = head("whole", "content-length: 100") + &body;
    let (begin, end) = whole.split_at(whole.len() - 50);
    let large = head("large", &format!("content-length: {}", long.len())) + &long;
    let chunks = head("chunks", "transfer-encoding: chunked") + "3\r\nabc\r\n2\r\nde\r\n";
    let last = format!("{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len());
    let wanted = head("wanted", "content-length: 100\r\nexpect: 100-continue");
    let two = GET.replace("/ ", "/one ") + &GET.replace("/ ", "/two ");
    let chunked = format!("abcde{hidden}");
    let cases: [Case<'_>; 5] = [
        (begin, end, &[("/whole", &body)]),
        (&large, "", &[("/large", &long)]),
        (&chunks, &last, &[("/chunks", &chunked)]),
        (&wanted, &body, &[("/wanted", &body)]),
        (&two, "", &[("/one", ""), ("/two", "")]),
    ];
    let cases = cases.map(async |(first, second, expected)| {
        let mut connection = rested(&gateway, "/ ").await;
        connection.write(first).await;
        sleep(SLOW / 2).await;
        connection.write(second).await;
        for (path, body) in expected {
            let mut answer = connection.response().await;
            if answer.0.starts_with("HTTP/1.1 100 ") {
                answer = connection.response().await;
            }
            assert_eq!(answer.1, format!("{path} {body}"), "{}", answer.0);
        }
    });
    futures_util::future::join_all(cases).await;
    let paths = paths.lock().unwrap();
    assert!(!paths.iter().any(|path| path == "/hidden"), "{paths:?}");
}

/// What is refused after a rest is refused, and what came before it is answered first.
#[tokio::test]
async fn what_is_refused_after_a_rest_is_refused_in_its_turn() {
    let (gateway, _backend, _) = slow().await;
    let mut connection = rested(&gateway, "/ ").await;
    connection.write(format!("{GET}GET / HTTP/1.1\r\nhost : a\r\n\r\n")).await;
    assert_eq!(connection.response().await.1, "/ ");
    let (rest, is_clean) = connection.rest().await;
    let rest = String::from_utf8(rest).unwrap();
    assert!(rest.starts_with("HTTP/1.1 400 ") && is_clean, "{rest}");
}

#[tokio::test]
async fn it_serves_again_as_often_as_it_is_asked() {
    let gateway = hello(patient());
    let mut connection = rested(&gateway, "hello").await;
    for _ in 0..2 {
        connection.write(GET.repeat(2)).await; // both at once
        for _ in 0..2 {
            assert_eq!(connection.response().await.1, "hello");
        }
        pause().await;
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
        pause().await;
    }
}

#[tokio::test]
async fn it_is_closed_when_it_was_idle_for_too_long() {
    let mut listener = patient();
    listener.limits.idle_timeout = 2 * PAUSE;
    let gateway = hello(listener);
    let mut connection = rested(&gateway, "hello").await;
    let begun = Instant::now();
    assert_eq!(connection.rest().await, (Vec::new(), true));
    assert!(begun.elapsed() < LONG / 2, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn it_does_not_hold_a_drain() {
    let gateway = hello(patient());
    let mut connection = rested(&gateway, "hello").await;
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
