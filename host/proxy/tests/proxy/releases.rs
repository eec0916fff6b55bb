//! THREATS A15: whatever becomes of requests, what they took is given back, once.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use edgewit_chain::{Filter, Stop, StopReason};
use edgewit_model::{self as model, Action, Cors, Fault, Hedge, OriginPattern, Route, RouteName};
use edgewit_upstream::Upstream;
use http::{HeaderValue, Method, Request};
use http_body_util::{BodyExt, Empty};
use hyper::ext::Protocol;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::support::{
    Backend, Connection, Gateway, Native, Ready, forward_to, http2, listener, read_head, respond,
    snapshot, talk, until, within,
};

const SWITCH: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
/// What nobody waits for in this test.
const LONG: Duration = Duration::from_secs(60);
/// Requests of one client.
const MOST: usize = 12;

/// Reads a head and never answers, or answers and goes on to read.
async fn saying(answer: &'static [u8]) -> Backend {
    Backend::new(move |mut stream, _| async move {
        while read_head(&mut stream).await.is_some() {
            let _ = stream.write_all(answer).await;
            if answer != BUSY {
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
        }
    })
    .await
}

fn upstream(
    name: &str,
    backends: &[&Backend],
    change: impl FnOnce(&mut model::Upstream),
) -> Arc<Upstream> {
    let endpoint = |backend: &&Backend| model::Endpoint {
        tls: false,
        host: backend.address.ip().to_string(),
        port: backend.address.port(),
        weight: 1,
    };
    let name = model::UpstreamName::new(name).unwrap();
    let mut config = model::Upstream::new(name, backends.iter().map(endpoint).collect());
    change(&mut config);
    Upstream::new(&config).unwrap()
}

fn at(path: &str, action: Action) -> Route {
    let mut route = Route::new(RouteName::new(&path[1..]).unwrap(), action);
    route.matchers[0].path = path.to_owned();
    route
}

/// A route to this upstream.
fn to(path: &str, upstream: &Arc<Upstream>, change: impl FnOnce(&mut Route)) -> Ready {
    let mut route = at(path, forward_to(&[upstream]));
    change(&mut route);
    (route, Vec::new(), vec![Arc::clone(upstream)])
}

fn trap() -> Arc<dyn Filter> {
    let on_request = Box::new(|_: &_| Err(Stop::new(StopReason::Fuel, "too long")));
    Native { on_request: Some(on_request), ..Native::default() }.into_filter()
}

/// What a client of HTTP/1.1 begins with before it goes.
const BEGINNINGS: [&str; 11] = [
    "GET /wait HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET /wait HTTP/1.1\r\nhost: a\r\n\r\n",
    "PUT /wait HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nbegun",
    "POST /wait HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nbegun\r\n",
    "GET /hedge HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET /again HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET /delay HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET /tunnel HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nabc",
    "OPTIONS /cors HTTP/1.1\r\nhost: a\r\norigin: http://b\r\naccess-control-request-method: GET\r\n\r\n",
    "GET /trap HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET /none HTTP/1.1\r\nhost: a\r\n\r\n",
];

async fn leave(address: SocketAddr, beginning: &str, after: Duration) {
    let Ok(mut stream) = TcpStream::connect(address).await else { return };
    let _ = stream.write_all(beginning.as_bytes()).await;
    let _ = timeout(after, stream.read_to_end(&mut Vec::new())).await;
}

/// Resets its streams one after the other, and then leaves with some that are open.
async fn reset(address: SocketAddr, after: Duration) {
    let mut sender = http2(address).await;
    let body = || Empty::new().map_err(|never| match never {}).boxed_unsync();
    for path in ["/wait", "/hedge", "/again", "/delay", "/cors", "/trap"] {
        let request = Request::get(format!("http://a{path}")).body(body()).unwrap();
        let _ = timeout(after, sender.send_request(request)).await;
    }
    let tunnel = Request::connect("http://a/tunnel").extension(Protocol::from_static("websocket"));
    let tunnel = timeout(after, sender.send_request(tunnel.body(body()).unwrap())).await;
    let waits = Request::get("http://a/wait").body(body()).unwrap();
    let _ = timeout(after, sender.send_request(waits)).await;
    drop(tunnel);
}

fn is_quiet(upstream: &Upstream) -> bool {
    let circuit = upstream.circuit();
    circuit.requests() + circuit.waiting() + circuit.retries() == 0
        && upstream.endpoints().iter().all(|endpoint| endpoint.counters().in_flight() == 0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_becomes_of_requests_nothing_stays_taken() {
    let (silent, other) = (saying(b"").await, saying(b"").await);
    let (busy, switching) = (saying(BUSY).await, saying(SWITCH).await);
    let wait = upstream("wait", &[&silent], |own| {
        own.circuit = model::Circuit {
            max_requests: 2,
            max_pending: 4,
            max_wait: LONG,
            max_retries: 2,
            ..model::Circuit::default()
        };
    });
    let hedge = upstream("hedge", &[&silent, &other], |_| {});
    let again = upstream("again", &[&busy], |_| {});
    let tunnel = upstream("tunnel", &[&switching], |_| {});
    let upstreams = [&wait, &hedge, &again, &tunnel].map(Arc::clone);
    let mut delayed = at("/delay", respond(200, "late"));
    delayed.fault = Some(Fault { delay: Some((LONG, 100)), abort: None });
    let mut asked = at("/cors", respond(200, "page"));
    asked.cors = Some(Cors {
        origins: vec![OriginPattern::Any],
        methods: None,
        headers: None,
        expose: None,
        credentials: false,
        max_age: Duration::ZERO,
    });
    asked.matchers[0].methods = vec![Method::GET];
    let routes = vec![
        to("/wait", &wait, |_| {}),
        to("/hedge", &hedge, |route| {
            route.retry.hedge = Some(Hedge { after: Duration::from_millis(1), most: 1 });
        }),
        to("/again", &again, |route| {
            route.retry.attempts = 5;
            route.retry.on.statuses = vec![503];
            route.retry.backoff = (LONG, LONG);
            route.timeout = 2 * LONG;
        }),
        to("/tunnel", &tunnel, |route| {
            route.upgrades = vec![HeaderValue::from_static("websocket")];
        }),
        (delayed, Vec::new(), Vec::new()),
        (asked, Vec::new(), Vec::new()),
        (at("/trap", respond(200, "never")), vec![trap()], Vec::new()),
    ];
    let mut listener = listener();
    listener.limits.requests_per_client = MOST;
    let gateway = Gateway::new(listener, routes);
    let address = gateway.address;

    for round in 0..20_u64 {
        let after = Duration::from_millis(round * 3);
        let leaving = BEGINNINGS.map(|beginning| tokio::spawn(leave(address, beginning, after)));
        let resetting = tokio::spawn(reset(address, after));
        for client in leaving {
            within(client).await.unwrap();
        }
        within(resetting).await.unwrap();
    }
    for upstream in &upstreams {
        let name = upstream.name();
        let (is_quiet, circuit) = (|| is_quiet(upstream), upstream.circuit());
        until(&format!("{name} is free again: {circuit:?}"), is_quiet).await;
    }
    until("no connection is left", || gateway.proxy.connections() == 0).await;
    for gauge in ["http_server_active_requests 0\n", "edgewit_tunnels 0\n"] {
        until(gauge, || gateway.metrics.text().contains(gauge)).await;
    }

    // Nobody holds what a request or a tunnel of an earlier configuration held.
    let old = Arc::downgrade(&gateway.proxy.snapshot());
    let again = vec![(at("/cors", respond(200, "page")), Vec::new(), Vec::new()), {
        let mut delayed = at("/delay", respond(200, "late"));
        delayed.fault = Some(Fault { delay: Some((LONG, 100)), abort: None });
        (delayed, Vec::new(), Vec::new())
    }];
    gateway.proxy.swap(snapshot(2, again, None, &gateway.metrics));
    until("the old configuration is gone", || old.strong_count() == 0).await;
    for upstream in &upstreams {
        assert!(Arc::strong_count(upstream) <= 3, "{upstream:?}: {}", Arc::strong_count(upstream));
    }

    // Exactly as many requests of one client have room as at first.
    let mut clients = Vec::new();
    for taken in 1..=MOST {
        let mut client = Connection::new(address).await;
        client.write("GET /delay HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let gauge = format!("http_server_active_requests {taken}\n");
        until(&gauge, || gateway.metrics.text().contains(&gauge)).await;
        clients.push(client);
    }
    let get = "GET /cors HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    assert!(talk(address, get).await.starts_with("HTTP/1.1 429 "));
    drop(clients);
    until("there is room", || gateway.metrics.text().contains("http_server_active_requests 0\n"))
        .await;
    sleep(Duration::ZERO).await;
    assert!(talk(address, get).await.starts_with("HTTP/1.1 200 "));
}
