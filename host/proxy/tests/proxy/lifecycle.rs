//! Starting, changing and stopping without losing a request.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use edgewit_chain::Scheme;
use edgewit_model::{AccessLog, AccessLogFormat, Listener, LogTarget};
use edgewit_proxy::{ListenError, Proxy};
use http::Request;
use http_body_util::{BodyExt, Empty};
use tokio::{io::AsyncWriteExt, sync::watch};

use crate::support::{
    Backend, Connection, Gateway, Native, Ready, Seen, forward_to, http2, listener, name,
    read_head, respond, route, snapshot, talk, until, upstream, within,
};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const CLOSE: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

fn answering(text: &str) -> Vec<Ready> {
    vec![(route(respond(200, text)), Vec::new(), Vec::new())]
}

/// Answers when it is told to.
async fn slow() -> (Backend, watch::Sender<bool>) {
    let (go, wait) = watch::channel(false);
    let backend = Backend::new(move |mut stream, _| {
        let mut wait = wait.clone();
        async move {
            read_head(&mut stream).await;
            let _ = wait.wait_for(|go| *go).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        }
    })
    .await;
    (backend, go)
}

#[tokio::test]
async fn a_drain_lets_requests_finish_and_then_is_done() {
    let (backend, go) = slow().await;
    let gateway = Gateway::to(&backend);
    let mut running = Connection::new(gateway.address).await;
    running.write(GET).await;
    let mut second = http2(gateway.address).await;
    let body = Empty::new().map_err(|e| match e {}).boxed_unsync();
    let streaming = tokio::spawn(async move {
        second.send_request(Request::get("http://a/").body(body).unwrap()).await
    });
    let mut idle = Connection::new(gateway.address).await;
    until("both requests run", || gateway.metrics.text().contains("http_server_active_requests 2"))
        .await;

    let drain = gateway.proxy.drain(Duration::ZERO, Duration::from_secs(20));
    let client = async {
        assert_eq!(idle.rest().await.0, b"", "an idle connection is closed");
        until("nothing new is accepted", || std::net::TcpStream::connect(gateway.address).is_err())
            .await;
        go.send(true).unwrap();
        let (head, body) = running.response().await;
        assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
        assert_eq!(body, "ok");
        assert!(running.rest().await.1);
        assert!(streaming.await.unwrap().is_ok());
    };
    let (open, ()) = within(async { tokio::join!(drain, client) }).await;
    assert_eq!(open, 0);
}

#[tokio::test]
async fn a_drain_ends_in_time() {
    let (backend, _go) = slow().await;
    let gateway = Gateway::to(&backend);
    let mut running = Connection::new(gateway.address).await;
    running.write(GET).await;
    until("it runs", || gateway.metrics.text().contains("http_server_active_requests 1")).await;
    let open = within(gateway.proxy.drain(Duration::ZERO, Duration::from_millis(50))).await;
    assert_eq!(open, 1);
    drop(gateway);
    assert!(running.rest().await.0.is_empty());
}

#[tokio::test]
async fn during_the_delay_of_a_drain_clients_are_served() {
    let gateway = Gateway::answering(Vec::new());
    let drain = gateway.proxy.drain(Duration::from_millis(300), Duration::from_secs(20));
    let client = async {
        let answer = talk(gateway.address, CLOSE).await;
        assert!(answer.ends_with("hello"), "{answer}");
    };
    let (open, ()) = within(async { tokio::join!(drain, client) }).await;
    assert_eq!(open, 0);
}

#[tokio::test]
async fn listeners_come_and_go_without_touching_others() {
    let gateway = Gateway::new(listener(), answering("one"));
    let mut kept = Connection::new(gateway.address).await;
    kept.write(GET).await;
    assert_eq!(kept.response().await.1, "one");

    let mut listeners = gateway.listeners.clone();
    listeners.insert(name("second"), Listener { name: name("second"), ..listener() });
    let two = snapshot(2, answering("two"), None, &gateway.metrics);
    let bound = gateway.proxy.apply(&listeners, two).unwrap();
    let at = |wanted: &str| -> SocketAddr {
        bound.iter().find(|b| b.listener == name(wanted)).unwrap().address
    };
    assert_eq!(at("web"), gateway.address);
    assert!(bound.iter().all(|b| b.scheme == Scheme::Http));
    assert!(talk(at("second"), CLOSE).await.ends_with("two"));
    kept.write(GET).await;
    assert_eq!(kept.response().await.1, "two", "the connection stays, the request sees the new");

    let mut other = Connection::new(at("second")).await;
    other.write(GET).await;
    other.response().await;
    let bound = gateway.proxy.apply(&gateway.listeners, gateway.proxy.snapshot()).unwrap();
    assert_eq!(bound, gateway.proxy.bound());
    assert_eq!(bound.len(), 1);
    assert!(other.rest().await.1, "a connection of the listener that is gone ends");
    let second = at("second");
    until("the port is free", || std::net::TcpListener::bind(second).is_ok()).await;
    kept.write(GET).await;
    assert_eq!(kept.response().await.1, "two");
}

#[tokio::test]
async fn an_address_that_is_taken_changes_nothing() {
    let gateway = Gateway::new(listener(), answering("one"));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut listeners = BTreeMap::new();
    for (wanted, listen) in
        [("a", "127.0.0.1:0".parse().unwrap()), ("b", taken.local_addr().unwrap())]
    {
        listeners.insert(name(wanted), Listener { name: name(wanted), listen, ..listener() });
    }
    let two = snapshot(2, answering("two"), None, &gateway.metrics);
    let error = gateway.proxy.apply(&listeners, two).unwrap_err();
    assert_eq!(error.to_string(), format!("could not listen on {}", taken.local_addr().unwrap()));
    assert!(matches!(error, ListenError::Bind { .. }) && error.hint().is_some());
    assert_eq!(gateway.proxy.bound().len(), 1);
    assert!(talk(gateway.address, CLOSE).await.ends_with("one"));
}

#[tokio::test]
async fn a_renamed_listener_keeps_its_socket() {
    let gateway = Gateway::new(listener(), answering("one"));
    let renamed = Listener { name: name("new"), listen: gateway.address, ..listener() };
    let mut kept = Connection::new(gateway.address).await;
    kept.write(GET).await;
    kept.response().await;
    let renamed = BTreeMap::from([(name("new"), renamed)]);
    let bound = gateway.proxy.apply(&renamed, gateway.proxy.snapshot()).unwrap();
    assert_eq!((bound[0].listener.clone(), bound[0].address), (name("new"), gateway.address));
    kept.write(GET).await;
    assert_eq!(kept.response().await.1, "one");
}

#[tokio::test]
async fn limits_of_a_reload_hold_for_new_connections() {
    let backend = Backend::ok().await;
    let gateway = Gateway::to(&backend);
    let mut changed = gateway.listeners.clone();
    changed.get_mut(&name("web")).unwrap().limits.body = edgewit_model::ByteSize(1);
    let post = "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 3\r\n\r\n";
    gateway.proxy.apply(&changed, gateway.proxy.snapshot()).unwrap();
    assert!(talk(gateway.address, post).await.starts_with("HTTP/1.1 413 "));
}

#[tokio::test]
async fn connections_beyond_the_limit_wait() {
    let mut small = listener();
    small.limits.connections = 1;
    let gateway = Gateway::new(small, answering("one"));
    let mut first = Connection::new(gateway.address).await;
    first.write(GET).await;
    first.response().await;
    let mut second = Connection::new(gateway.address).await;
    second.write(GET).await;
    let early = tokio::time::timeout(Duration::from_millis(100), second.stream.readable()).await;
    assert!(early.is_err(), "the second is served beside the first");
    drop(first);
    assert_eq!(second.response().await.1, "one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swaps_under_load_lose_nothing_and_mix_nothing() {
    let backends = [Backend::ok().await, Backend::ok().await];
    let gateway = Arc::new(Gateway::to(&backends[0]));
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (address, stop) = (gateway.address, Arc::clone(&stop));
            tokio::spawn(async move {
                let mut connection = Connection::new(address).await;
                let mut served = 0;
                while !stop.load(Ordering::Relaxed) {
                    connection.write(GET).await;
                    let (head, body) = connection.response().await;
                    assert!(head.starts_with("HTTP/1.1 200 ") && body == "ok", "{head}");
                    served += 1;
                }
                served
            })
        })
        .collect();
    for generation in 2..200 {
        let backend = &backends[usize::try_from(generation % 2).unwrap()];
        let upstream = upstream("u", &[backend.address]);
        let routes = vec![(route(forward_to(&[&upstream])), Vec::new(), vec![upstream])];
        let next = snapshot(generation, routes, None, &gateway.metrics);
        gateway.proxy.swap(next);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut served = 0;
    for client in clients {
        served += within(client).await.unwrap();
    }
    assert!(served > 0);
    assert_eq!(gateway.proxy.snapshot().generation(), 199);
}

#[tokio::test]
async fn a_request_keeps_its_snapshot_to_its_end() {
    let (backend, go) = slow().await;
    let seen = Seen::default();
    let filter = Native { seen: Some(seen.clone()), ..Native::default() }.into_filter();
    let gateway = Gateway::filtered(&backend, vec![filter]);
    let mut running = Connection::new(gateway.address).await;
    running.write(GET).await;
    until("it runs", || gateway.metrics.text().contains("http_server_active_requests 1")).await;
    let old = Arc::downgrade(&gateway.proxy.snapshot());
    gateway.proxy.swap(snapshot(2, answering("two"), None, &gateway.metrics));
    go.send(true).unwrap();
    assert_eq!(running.response().await.1, "ok");
    until("its filter is told", || seen.all().len() == 1).await;
    running.write(GET).await;
    assert_eq!(running.response().await.1, "two");
    drop(gateway);
    assert!(old.upgrade().is_none(), "nobody holds the old generation");
}

#[tokio::test]
async fn the_access_log_has_a_line_for_each_request() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let log = AccessLog { format: AccessLogFormat::Json, target: LogTarget::File(path.clone()) };
    let gateway = Gateway::with_log(listener(), answering("hello"), Some(&log));
    talk(
        gateway.address,
        "GET /x?secret=1 HTTP/1.1\r\nhost: A\r\nuser-agent: t\"est\r\nconnection: close\r\n\r\n",
    )
    .await;
    talk(gateway.address, "GET /%2f HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    drop(gateway);
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_by_key(|line| line.contains("/%2f")); // workers write by themselves
    assert_eq!(lines.len(), 2, "{text}");
    for part in [
        r#""http.request.method":"GET""#,
        r#""url.path":"/x""#,
        r#""user_agent.original":"t\"est""#,
        r#""http.response.status_code":200"#,
        r#""ending":"complete""#,
        r#""route":"r""#,
        r#""http.response.body.size":5"#,
    ] {
        assert!(lines[0].contains(part), "{part} in {text}");
    }
    assert!(!text.contains("secret"));
    assert!(lines[1].contains(r#""http.response.status_code":400"#), "{text}");
    assert!(lines[1].contains(r#""error.type":"bad-request""#), "{text}");
}

#[test]
fn a_proxy_that_serves_nothing_stops() {
    let metrics = edgewit_telemetry::Metrics::new(1);
    let empty = snapshot(1, Vec::new(), None, &metrics);
    let proxy = Proxy::start(None, &metrics, empty).unwrap();
    assert!(proxy.workers() > 0 && proxy.bound().is_empty() && proxy.connections() == 0);
}

#[test]
fn workers_at_rest_do_what_they_are_told() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let metrics = edgewit_telemetry::Metrics::new(1);
    let proxy = Proxy::start(Some(3), &metrics, snapshot(1, Vec::new(), None, &metrics)).unwrap();
    proxy.call_if_idle(|| {
        CALLS.fetch_add(1, Ordering::Relaxed);
    });
    drop(proxy);
    assert_eq!(CALLS.load(Ordering::Relaxed), 3, "each of them once, and nobody is left out");
}
