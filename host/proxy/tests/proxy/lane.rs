//! Filters whose calls take long, on threads that nobody waits for.

use std::{
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use bytes::Bytes;
use edgewit_chain::{
    BodyMode, BodyVerdict, Edit, HeaderOut, Needs, RequestVerdict, ResponseVerdict, RetryVerdict,
    SummaryEnding,
};
use edgewit_model::{AccessLog, AccessLogFormat, LogTarget, Matcher, Route, RouteName};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{
    Backend, Connection, Gateway, Native, Seen, forward_to, http2, listener, read_head, respond,
    route, send, snapshot, talk, until, upstream, within,
};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const HEALTH: &str = "GET /health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

/// Keeps calls until it is opened.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<Passed>, Condvar)>);

#[derive(Default)]
struct Passed {
    came: usize,
    is_open: bool,
}

impl Gate {
    /// What a call does.
    fn pass(&self) {
        let (passed, opened) = &*self.0;
        let mut passed = passed.lock().unwrap();
        passed.came += 1;
        let _open = opened.wait_while(passed, |passed| !passed.is_open).unwrap();
    }

    fn came(&self) -> usize {
        self.0.0.lock().unwrap().came
    }

    fn open(&self) {
        self.0.0.lock().unwrap().is_open = true;
        self.0.1.notify_all();
    }
}

/// Ends the wait of calls also if the test fails.
struct Opened(Gate);

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.open();
    }
}

/// A slow filter whose calls wait at a gate, and that is told of each request.
fn gated(gate: &Gate, seen: &Seen) -> Native {
    let gate = gate.clone();
    let on_request = move |_: &_| {
        gate.pass();
        Ok(RequestVerdict::Proceed(vec![Edit::Set("x-gate".into(), "passed".into())]))
    };
    Native {
        on_request: Some(Box::new(on_request)),
        seen: Some(seen.clone()),
        slow: true,
        ..Native::default()
    }
}

/// A route through this filter, and one through none at `/health`.
fn beside_health(filter: Native, log: Option<&AccessLog>) -> Gateway {
    let mut health = Route::new(RouteName::new("health").unwrap(), respond(200, "alive"));
    health.matchers = vec![Matcher { path: "/health".to_owned(), ..Matcher::default() }];
    let filtered = (route(respond(200, "hello")), vec![filter.into_filter()], Vec::new());
    let mut listener = listener();
    listener.limits.requests_per_client = 10_000; // all are one client
    Gateway::with_log(listener, vec![filtered, (health, Vec::new(), Vec::new())], log)
}

fn active(gateway: &Gateway, count: usize) -> bool {
    gateway.metrics.text().contains(&format!("http_server_active_requests {count}\n"))
}

#[tokio::test]
async fn calls_of_a_slow_filter_hold_no_worker() {
    let (gate, seen) = (Gate::default(), Seen::default());
    let gateway = beside_health(gated(&gate, &seen), None);
    let _opened = Opened(gate.clone());
    let mut waiting = Vec::new();
    for _ in 0..10 {
        let mut client = Connection::new(gateway.address).await;
        client.write(GET).await;
        waiting.push(client);
    }
    until("calls run", || gate.came() >= 2).await;
    for _ in 0..20 {
        assert!(talk(gateway.address, HEALTH).await.ends_with("alive"));
    }
    assert!(seen.all().is_empty());
    gate.open();
    for mut client in waiting {
        let (head, body) = client.response().await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert_eq!(body, "hello");
    }
    until("all were told of", || seen.all().len() == 10).await;
}

#[tokio::test]
async fn a_client_that_goes_away_during_a_call_is_told_of_and_logged_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let log = AccessLog { format: AccessLogFormat::Json, target: LogTarget::File(path.clone()) };
    let (gate, seen) = (Gate::default(), Seen::default());
    let gateway = beside_health(gated(&gate, &seen), Some(&log));
    let opened = Opened(gate.clone());
    let mut client = Connection::new(gateway.address).await;
    client.write(GET).await;
    until("its call runs", || gate.came() == 1).await;
    drop(client);
    let mut second = http2(gateway.address).await;
    let body = Empty::new().map_err(|e| match e {}).boxed_unsync();
    let asked = second.send_request(Request::get("http://a/").body(body).unwrap());
    let asked = tokio::spawn(asked);
    until("the call of the second runs", || gate.came() == 2).await;
    asked.abort(); // resets its stream, and the connection stays
    until("both are over", || active(&gateway, 0)).await;
    assert!(seen.all().is_empty(), "their filters are still busy");
    drop(opened);
    until("both were told of", || seen.all().len() == 2).await;
    assert!(seen.all().iter().all(|summary| summary.ending == SummaryEnding::ClientGone));
    assert!(talk(gateway.address, HEALTH).await.ends_with("alive"));
    drop(gateway);
    assert_eq!(seen.all().len(), 2);
    let lines = std::fs::read_to_string(path).unwrap();
    let gone: Vec<_> = lines.lines().filter(|line| line.contains("client-gone")).collect();
    assert_eq!(gone.len(), 2, "{lines}");
    for part in [r#""route":"r""#, r#""name":"native""#, r#""fuel":7"#] {
        assert!(gone.iter().all(|line| line.contains(part)), "{part} in {lines}");
    }
}

#[tokio::test]
async fn a_proxy_that_ends_waits_for_calls_and_tells_of_their_requests() {
    let (gate, seen) = (Gate::default(), Seen::default());
    let gateway = beside_health(gated(&gate, &seen), None);
    let opened = Opened(gate.clone());
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = Connection::new(gateway.address).await;
        client.write(GET).await;
        clients.push(client);
    }
    until("calls run, others wait", || gate.came() == 2 && active(&gateway, 5)).await;
    let metrics = Arc::clone(&gateway.metrics);
    let ended = tokio::task::spawn_blocking(move || drop(gateway));
    until("they are cut", || metrics.text().contains("http_server_active_requests 0\n")).await;
    drop(opened);
    within(ended).await.unwrap();
    assert_eq!(seen.all().len(), 5);
    assert!(seen.all().iter().all(|summary| summary.ending == SummaryEnding::ClientGone));
    for mut client in clients {
        assert!(client.rest().await.0.is_empty());
    }
}

#[tokio::test]
async fn a_drain_lets_calls_finish() {
    let (gate, seen) = (Gate::default(), Seen::default());
    let gateway = beside_health(gated(&gate, &seen), None);
    let opened = Opened(gate.clone());
    let mut client = Connection::new(gateway.address).await;
    client.write(GET).await;
    until("its call runs", || gate.came() == 1).await;
    let drain = gateway.proxy.drain(Duration::ZERO, Duration::from_secs(20));
    let client = async {
        until("nothing new is accepted", || std::net::TcpStream::connect(gateway.address).is_err())
            .await;
        drop(opened);
        assert_eq!(client.response().await.1, "hello");
    };
    let (open, ()) = within(async { tokio::join!(drain, client) }).await;
    assert_eq!(open, 0);
    drop(gateway);
    assert_eq!(seen.all().len(), 1);
}

#[tokio::test]
async fn a_request_on_the_lane_keeps_its_snapshot() {
    let (gate, seen) = (Gate::default(), Seen::default());
    let gateway = beside_health(gated(&gate, &seen), None);
    let opened = Opened(gate.clone());
    let mut client = Connection::new(gateway.address).await;
    client.write(GET).await;
    until("its call runs", || gate.came() == 1).await;
    let next = vec![(route(respond(200, "next")), Vec::new(), Vec::new())];
    gateway.proxy.swap(snapshot(2, next, None, &gateway.metrics));
    let close = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    assert!(talk(gateway.address, close).await.ends_with("next"));
    drop(opened);
    assert_eq!(client.response().await.1, "hello");
    until("it was told of", || seen.all().len() == 1).await;
}

#[tokio::test]
async fn a_panic_of_a_call_ends_its_request_alone() {
    let seen = Seen::default();
    let filter = Native {
        on_request: Some(Box::new(|exchange| match exchange.query.as_deref() {
            Some("panic") => panic!("on purpose"),
            _ => Ok(RequestVerdict::Proceed(Vec::new())),
        })),
        seen: Some(seen.clone()),
        slow: true,
        ..Native::default()
    };
    let gateway = beside_health(filter, None);
    for _ in 0..4 {
        let mut client = Connection::new(gateway.address).await;
        client.write("GET /?panic HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(client.rest().await.0.is_empty());
    }
    until("all are over", || active(&gateway, 0)).await;
    let close = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    assert!(talk(gateway.address, close).await.ends_with("hello"));
    until("the last was told of", || seen.all().len() == 1).await;
}

#[tokio::test]
async fn what_finds_no_room_is_a_failure_of_the_slow_filter_alone() {
    let (gate, seen) = (Gate::default(), Seen::default());
    let gateway = beside_health(gated(&gate, &seen), None);
    let opened = Opened(gate.clone());
    let mut asked = Vec::new();
    // 1,024 may wait and two run; each stream is one request.
    for _ in 0..12 {
        let mut client = http2(gateway.address).await;
        for _ in 0..90 {
            let body = Empty::new().map_err(|e| match e {}).boxed_unsync();
            let request = Request::get("http://a/").body(body).unwrap();
            within(client.ready()).await.unwrap();
            asked.push(tokio::spawn(client.send_request(request)));
        }
    }
    until("all were counted or refused", || {
        let refused = asked.iter().filter(|asked| asked.is_finished()).count();
        refused == asked.len() - 1_026
    })
    .await;
    assert!(talk(gateway.address, HEALTH).await.ends_with("alive"));
    drop(opened);
    let mut statuses = Vec::new();
    for asked in asked {
        statuses.push(within(asked).await.unwrap().unwrap().status());
    }
    let refused = statuses.iter().filter(|s| **s == StatusCode::SERVICE_UNAVAILABLE).count();
    let served = statuses.iter().filter(|s| **s == StatusCode::OK).count();
    assert_eq!((refused, served), (54, 1_026));
    let text = gateway.metrics.text();
    assert!(text.contains(r#"reason="exhausted""#), "{text}");
}

/// A slow filter that changes all it sees.
fn signing(mode: BodyMode) -> Native {
    let upper = |chunk: &[u8], _| Ok(BodyVerdict::Replace(chunk.to_ascii_uppercase().into()));
    Native {
        needs: Needs { request_body: mode, response_body: mode, ..Needs::default() },
        on_request: Some(Box::new(|_| {
            Ok(RequestVerdict::Proceed(vec![Edit::Set("x-request".into(), "1".into())]))
        })),
        on_request_body: Some(Box::new(upper)),
        on_response: Some(Box::new(|_| {
            let edits = vec![Edit::Set("x-response".into(), "1".into())];
            Ok(ResponseVerdict::Proceed { status: None, edits })
        })),
        on_response_body: Some(Box::new(|chunk, end| {
            let signed = [chunk, if end { b"." } else { b"" }].concat();
            Ok(BodyVerdict::Replace(signed.into()))
        })),
        slow: true,
        ..Native::default()
    }
}

#[tokio::test]
async fn bodies_go_through_slow_filters_whole_and_in_order() {
    for mode in [BodyMode::Stream, BodyMode::Buffer(1 << 20), BodyMode::Peek(10)] {
        let backend = Backend::new(|mut stream, _| async move {
            let head = read_head(&mut stream).await.unwrap().to_ascii_lowercase();
            assert!(head.contains("x-request: 1\r\n"), "{head}");
            // Whatever the framing, 100,000 letters are the body.
            let mut letters = Vec::new();
            let mut part = [0; 16 << 10];
            while letters.len() < 100_000 {
                let read = stream.read(&mut part).await.unwrap();
                assert!(read > 0, "{} letters", letters.len());
                letters.extend(part[..read].iter().filter(|b| b"xyzXYZ".contains(b)));
            }
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                letters.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.write_all(&letters).await.unwrap();
        })
        .await;
        let gateway = Gateway::filtered(&backend, vec![signing(mode).into_filter()]);
        let body: Vec<u8> = b"xyzzy".iter().copied().cycle().take(100_000).collect();
        let request = Request::post("/").header("host", "a").body(Full::new(Bytes::from(body)));
        let (head, received) = send(gateway.address, request.unwrap()).await;
        assert_eq!(head.headers["x-response"], "1");
        let whole = matches!(mode, BodyMode::Peek(_));
        let seen = if whole { 10 } else { 100_000 };
        let mut expected: Vec<u8> = b"XYZZY".iter().copied().cycle().take(100_000).collect();
        expected[seen..].make_ascii_lowercase();
        if !whole {
            expected.push(b'.');
        }
        assert!(received == expected, "{mode:?}: {} bytes", received.len());
    }
}

#[tokio::test]
async fn both_directions_stream_through_a_slow_filter_at_the_same_time() {
    let backend = Backend::new(|mut stream, _| async move {
        read_head(&mut stream).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
        loop {
            let mut chunk = [0; 6]; // 1 CRLF X CRLF
            stream.read_exact(&mut chunk[..5]).await.unwrap();
            if chunk[0] == b'0' {
                break;
            }
            stream.read_exact(&mut chunk[5..]).await.unwrap();
            stream.write_all(&chunk).await.unwrap();
        }
        stream.write_all(b"0\r\n\r\n").await.unwrap();
    })
    .await;
    let gateway = Gateway::filtered(&backend, vec![signing(BodyMode::Stream).into_filter()]);
    let mut client = Connection::new(gateway.address).await;
    client.write("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").await;
    assert!(client.head().await.contains("x-response: 1"));
    for part in ["a", "b", "c"] {
        client.write(format!("1\r\n{part}\r\n")).await;
        let upper = part.to_uppercase();
        assert_eq!(client.read(6).await, format!("1\r\n{upper}\r\n").into_bytes());
    }
    // Then as fast as it goes, so that both sides want the run all the time.
    let writes = (0..2_000).map(|_| "1\r\nd\r\n").collect::<String>();
    client.write(writes + "0\r\n\r\n").await;
    let mut received = Vec::new();
    while !received.ends_with(b"0\r\n\r\n") {
        received.extend(client.read(1).await);
    }
    let letters = received.iter().filter(|b| **b == b'D').count();
    assert_eq!(letters, 2_000);
    assert!(received.contains(&b'.'), "the end was seen, too");
}

#[tokio::test]
async fn a_slow_judge_decides_while_the_upload_is_still_on_its_way() {
    let backend = Backend::new(|mut stream, _| async move {
        read_head(&mut stream).await.unwrap();
        // An early answer: the client has not sent anything of its body yet.
        let answer = b"HTTP/1.1 503 Busy\r\ncontent-length: 4\r\nconnection: close\r\n\r\nbusy";
        stream.write_all(answer).await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let judge = Native {
        on_retry: Some(Box::new(|_, _| RetryVerdict::Finish)),
        ..signing(BodyMode::Stream)
    };
    let upstream = upstream("u", &[backend.address]);
    let ready = (route(forward_to(&[&upstream])), vec![judge.into_filter()], vec![upstream]);
    let gateway = Gateway::new(listener(), vec![ready]);
    let mut client = Connection::new(gateway.address).await;
    client.write("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").await;
    client.write("5\r\nhello\r\n").await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("x-response: 1"), "{head}");
}

#[tokio::test]
async fn a_slow_filter_answers_and_replaces_as_any_other() {
    let answer = Native {
        on_request: Some(Box::new(|exchange| match exchange.query.as_deref() {
            Some("deny") => Ok(RequestVerdict::Answer(crate::support::answer(401, "no"))),
            _ => Ok(RequestVerdict::Proceed(Vec::new())),
        })),
        on_response: Some(Box::new(|exchange| {
            let status = exchange.response.as_ref().map(|head| head.status);
            let fields = HeaderOut::validate([("x-by", b"filter".as_slice())]).unwrap();
            let body = Bytes::from_static(b"replaced");
            let answer = edgewit_chain::Answer { status: StatusCode::ACCEPTED, fields, body };
            Ok(match status {
                Some(StatusCode::OK) => ResponseVerdict::Replace(answer),
                _ => ResponseVerdict::Proceed { status: None, edits: Vec::new() },
            })
        })),
        slow: true,
        ..Native::default()
    };
    let gateway = Gateway::answering(vec![answer.into_filter()]);
    let close = |path| format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    let denied = talk(gateway.address, close("/?deny")).await;
    assert!(denied.starts_with("HTTP/1.1 401 ") && denied.ends_with("no"), "{denied}");
    let replaced = talk(gateway.address, close("/")).await;
    assert!(replaced.starts_with("HTTP/1.1 202 ") && replaced.ends_with("replaced"), "{replaced}");
}
