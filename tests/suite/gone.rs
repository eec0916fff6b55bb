//! Clients that go away at any moment of an exchange with filters.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use edgewit_harness::{Gateway, Origin, Setup, post, until_or_tell};

use crate::common::{all, assert_status, plugin, route, upstream, with};
use crate::guest;

/// Exchanges that are left.
const CLIENTS: usize = 1_000;
/// As many at a time.
const THREADS: usize = 4;

/// Leaves an exchange at the moment that `n` stands for.
fn leave(gateway: &Gateway, n: usize) -> std::io::Result<()> {
    let head = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4000\r\n\r\n";
    let body = [b'x'; 4_000];
    let mut client = TcpStream::connect(gateway.address())?;
    // In the head, after it, at each part of the body, when all is sent, in the response.
    let sent = match n % 10 {
        0 => 20,
        part @ 1..=7 => head.len() + (part - 1) * 600,
        _ => head.len() + body.len(),
    };
    let whole = [head.as_slice(), &body].concat();
    client.write_all(&whole[..sent])?;
    if n % 10 == 9 {
        client.set_read_timeout(Some(Duration::from_secs(10)))?;
        let _ = client.read(&mut [0; 16])?;
    }
    // While a filter runs, while the origin is waited for, while its response comes.
    thread::sleep(Duration::from_micros((n as u64 * 997) % 20_000));
    if n.is_multiple_of(3) {
        client.shutdown(Shutdown::Write)?; // and the rest by dropping it, which is a reset if there is something to read
    }
    Ok(())
}

#[test]
fn clients_that_go_away_at_any_moment_leave_nothing_behind() {
    let origin = Origin::slow(Duration::from_millis(8));
    let filters = ["\"state\"".to_owned(), with("burn", "rounds = 100_000")].join(", ");
    let toml = all([
        upstream("origin", &origin),
        route("all", "/", &filters),
        plugin("state", "isolation = \"request\""),
    ]);
    let gateway = Setup::new(toml).guest(guest::STATE).guest(guest::BURN).start();
    assert_status(&gateway.send(post("/", "body")), 200);
    let alive = || gateway.metrics().sum("edgewit_instances", &[("state", "alive")]);
    let files = gateway.open_files();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let gateway = &gateway;
            scope.spawn(move || {
                for n in (thread..CLIENTS).step_by(THREADS) {
                    leave(gateway, n).unwrap_or_else(|error| panic!("client {n}: {error}"));
                }
            });
        }
    });
    assert_status(&gateway.send(post("/", "body")), 200);
    let what = || format!("{} instances, {} files", alive(), gateway.open_files());
    until_or_tell(what, || (alive() == 0.0 && gateway.open_files() <= files + 8).then_some(()));
    let panics = gateway.log.with(&["panick"]);
    assert!(panics.is_empty(), "{panics:#?}");
    assert!(gateway.log.with(&["filter stopped"]).is_empty(), "nobody is stopped for that");
}

/// Times that a client goes away at each of the places where a request waits; together ten thousand.
const TIMES: usize = 1_000;
/// How long it may take until a request has come to its place.
const COMES: Duration = Duration::from_millis(4);

/// A server that answers each connection with this, and keeps it until the other side closes.
fn server(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut buffer = [0; 4_096];
                let _ = stream.read(&mut buffer).and_then(|_| stream.write_all(answer));
                while stream.read(&mut buffer).is_ok_and(|read| read > 0) {}
            });
        }
    });
    address
}

/// Where a request waits: what the client sends, and whether the head of an answer comes first.
const PLACES: [(&str, &[u8], bool); 10] = [
    ("the rest of its head", b"GET /silent HTTP/1.1\r\nho", false),
    (
        "the rest of a body that a filter wants whole",
        b"POST /whole HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nhalf",
        false,
    ),
    (
        "the rest of a body that streams",
        b"POST /silent HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nhalf",
        false,
    ),
    ("an injected delay", b"GET /delay HTTP/1.1\r\nhost: a\r\n\r\n", false),
    ("leave of the circuit", b"GET /queue HTTP/1.1\r\nhost: a\r\n\r\n", false),
    ("a TLS handshake with the upstream", b"GET /tls HTTP/1.1\r\nhost: a\r\n\r\n", false),
    ("the head of the response", b"GET /silent HTTP/1.1\r\nhost: a\r\n\r\n", false),
    ("the pause before another attempt", b"GET /retry HTTP/1.1\r\nhost: a\r\n\r\n", false),
    ("a response that a filter holds back", b"GET /held HTTP/1.1\r\nhost: a\r\n\r\n", false),
    ("the rest of the response", b"GET /half HTTP/1.1\r\nhost: a\r\n\r\n", true),
];

/// Sends what brings a request to this place.
fn go(gateway: &Gateway, (_, sends, is_answered): (&str, &[u8], bool)) -> io::Result<TcpStream> {
    let mut client = TcpStream::connect(gateway.address())?;
    client.write_all(sends)?;
    if is_answered {
        client.set_read_timeout(Some(Duration::from_secs(60)))?;
        let _ = client.read(&mut [0; 4_096])?;
    }
    Ok(client)
}

fn places() -> Gateway {
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf";
    let busy = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
    let (silent, half, busy) = (server(b""), server(half), server(busy));
    let upstream = |name: &str, address: &str, more: &str| {
        format!("[upstreams.{name}]\nservers = [\"{address}\"]\n{more}")
    };
    let route = |name: &str, upstream: &str, more: &str| {
        format!("[routes.{name}]\nmatch = \"/{name}\"\nupstream = \"{upstream}\"\n{more}")
    };
    let whole = |direction: &str| {
        let config =
            format!("direction = \"{direction}\", mode = \"buffer\", size = 9, act = \"upper\"");
        format!("filters = [{}]\n", with("body", &config))
    };
    let toml = all([
        upstream("silent", &format!("http://{silent}"), ""),
        upstream("half", &format!("http://{half}"), ""),
        upstream("busy", &format!("http://{busy}"), ""),
        upstream("tls", &format!("https://{silent}"), "timeouts = { connect = \"60s\" }\n"),
        upstream(
            "full",
            &format!("http://{silent}"),
            "circuit = { max-requests = 1, max-pending = 1_000, max-wait = \"20s\" }\n\
             timeouts = { first-byte = \"300s\" }\n",
        ),
        route("silent", "silent", ""),
        route("whole", "silent", &whole("request")),
        route("delay", "silent", "fault = { delay = { time = \"60s\", share = \"100%\" } }\n"),
        route("queue", "full", "timeout = \"300s\"\n"),
        route("tls", "tls", ""),
        route(
            "retry",
            "busy",
            "retry = { attempts = 9, on = [\"503\"], backoff = \"20s..20s\", budget = \"100%\" }\n",
        ),
        route("held", "half", &whole("response")),
        route("half", "half", ""),
    ]);
    Setup::new(toml).guest(guest::BODY).start()
}

#[test]
fn clients_that_go_away_wherever_a_request_waits_leave_nothing_behind() {
    let gateway = places();
    // Who has the one place of the circuit, so that all others wait for it.
    let _first = go(&gateway, PLACES[4]).unwrap();
    thread::sleep(Duration::from_millis(300));
    let waiting: Vec<_> = PLACES.map(|place| (place.0, go(&gateway, place).unwrap())).into();
    thread::sleep(Duration::from_millis(500));
    for (place, mut client) in waiting {
        client.set_nonblocking(true).unwrap();
        let read = client.read(&mut [0; 16]).map_err(|error| error.kind());
        assert_eq!(read, Err(io::ErrorKind::WouldBlock), "it waits for {place}");
    }
    let active = || gateway.metrics().sum("http_server_active_requests", &[]);
    until_or_tell(|| format!("{} active", active()), || (active() == 1.0).then_some(()));
    let (files, memory) = (gateway.open_files(), gateway.memory());
    thread::scope(|scope| {
        for thread in 0..THREADS * 2 {
            let gateway = &gateway;
            scope.spawn(move || {
                for n in (thread..TIMES * PLACES.len()).step_by(THREADS * 2) {
                    let place = PLACES[n % PLACES.len()];
                    let client = go(gateway, place).unwrap_or_else(|e| panic!("{}: {e}", place.0));
                    thread::sleep(COMES);
                    drop(client);
                }
            });
        }
    });
    let alive = || gateway.metrics().sum("edgewit_instances", &[("state", "alive")]);
    let what =
        || format!("{} active, {} instances, {} files", active(), alive(), gateway.open_files());
    until_or_tell(what, || {
        let is_quiet = active() == 1.0 && alive() == 0.0 && gateway.open_files() <= files + 8;
        is_quiet.then_some(())
    });
    let panics = gateway.log.with(&["panick"]);
    assert!(panics.is_empty(), "{panics:#?}");
    let grown = gateway.memory().saturating_sub(memory);
    assert!(grown < 32 << 20, "it has grown by {grown} bytes");
}
