//! Endpoints that die under load, storms of retries, bounds that follow the upstream, second attempts (THREATS F5, F6).

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use edgewit_model::{self as model, Hedge, Retry, RetryOn, UpstreamName};
use edgewit_upstream::Upstream;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::Semaphore,
    task::JoinSet,
    time::sleep,
};

use crate::support::{
    Backend, Connection, Gateway, Origin, forward_to, listener, read_head, route, talk, until,
};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
const POST: &str =
    "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 3\r\n\r\nabc";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";

fn upstream(addresses: &[SocketAddr], change: impl FnOnce(&mut model::Upstream)) -> Arc<Upstream> {
    let endpoint = |address: &SocketAddr| model::Endpoint {
        tls: false,
        host: address.ip().to_string(),
        port: address.port(),
        weight: 1,
    };
    let endpoints = addresses.iter().map(endpoint).collect();
    let mut config = model::Upstream::new(UpstreamName::new("u").unwrap(), endpoints);
    config.timeouts.connect = crate::support::DEADLINE; // busy machines
    change(&mut config);
    Upstream::new(&config).unwrap()
}

fn gateway(upstream: Arc<Upstream>, retry: Retry) -> Gateway {
    let mut to = route(forward_to(&[&upstream]));
    to.retry = retry;
    Gateway::new(listener(), vec![(to, Vec::new(), vec![upstream])])
}

fn retry(attempts: u32, statuses: &[u16]) -> Retry {
    let on = RetryOn { statuses: statuses.to_vec(), ..Retry::default().on };
    Retry { attempts, on, ..Retry::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endpoints_are_killed_and_restarted_and_no_idempotent_request_fails() {
    const KEPT: &[&str] = &[
        "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        "PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc",
        "HEAD / HTTP/1.1\r\nhost: a\r\n\r\n",
    ];
    let mut origins = [Origin::start().await, Origin::start().await, Origin::start().await];
    let addresses: Vec<SocketAddr> = origins.iter().map(|origin| origin.address).collect();
    let gateway = gateway(upstream(&addresses, |_| {}), retry(4, &[]));
    let (address, done) = (gateway.address, Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..6)
        .map(|number| {
            let done = Arc::clone(&done);
            tokio::spawn(async move {
                let mut connection = Connection::new(address).await;
                loop {
                    let request = KEPT[number % KEPT.len()];
                    connection.write(request).await;
                    let head = connection.head().await;
                    assert!(head.starts_with("HTTP/1.1 200 "), "{request}{head}");
                    if !request.starts_with("HEAD") {
                        assert_eq!(connection.read(2).await, b"ok");
                    }
                    if done.fetch_add(1, Ordering::SeqCst) > 100_000 {
                        return; // far more than there will be
                    }
                }
            })
        })
        .collect();
    until("requests are answered", || done.load(Ordering::SeqCst) > 200).await;
    let mut killed = 0;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(5) {
        for origin in &mut origins {
            origin.kill().await;
            sleep(Duration::from_millis(150)).await;
            origin.restart().await;
            killed += 1;
            sleep(Duration::from_millis(350)).await;
        }
    }
    let answered = done.load(Ordering::SeqCst);
    for client in clients {
        assert!(!client.is_finished(), "a request failed: {:?}", client.await);
        client.abort();
    }
    assert!(killed >= 6 && answered > 500, "{killed} kills, {answered} requests");
    let text = gateway.metrics.text();
    assert!(text.contains("edgewit_retries_total{result=\"ok\""), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_retries_adds_a_fifth_and_a_few_at_most() {
    const REQUESTS: usize = 1_200;
    for failure in [BUSY, b"".as_slice()] {
        let attempts = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&attempts);
        let backend = Backend::new(move |mut stream, _| {
            let counted = Arc::clone(&counted);
            async move {
                while read_head(&mut stream).await.is_some() {
                    counted.fetch_add(1, Ordering::SeqCst);
                    if failure.is_empty() || stream.write_all(failure).await.is_err() {
                        return;
                    }
                }
            }
        })
        .await;
        let policy = Retry { backoff: (Duration::ZERO, Duration::ZERO), ..retry(10, &[503]) };
        let gateway = gateway(upstream(&[backend.address], |_| {}), policy);
        let address = gateway.address;
        let mut clients = JoinSet::new();
        for _ in 0..12 {
            clients.spawn(async move {
                for _ in 0..REQUESTS / 12 {
                    let response = talk(address, GET).await;
                    let refused = response.starts_with("HTTP/1.1 50");
                    assert!(refused, "{response}");
                }
            });
        }
        while let Some(client) = clients.join_next().await {
            client.unwrap();
        }
        let attempts = attempts.load(Ordering::SeqCst);
        // A kept connection that is closed is replaced once by itself; this backend closes each, so nothing is kept.
        let bound = REQUESTS + REQUESTS / 5 + 3 * 10 + 5;
        assert!(attempts > REQUESTS && attempts <= bound, "{attempts} of {bound}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_adaptive_bound_follows_a_step_in_the_upstreams_time() {
    const SLOTS: usize = 4;
    let (inside, deepest) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let takes = Arc::new(AtomicUsize::new(20));
    let slots = Arc::new(Semaphore::new(SLOTS));
    let (counted, most, time) = (inside, Arc::clone(&deepest), Arc::clone(&takes));
    let backend = Backend::new(move |mut stream, _| {
        let (inside, deepest) = (Arc::clone(&counted), Arc::clone(&most));
        let (slots, time) = (Arc::clone(&slots), Arc::clone(&time));
        async move {
            while read_head(&mut stream).await.is_some() {
                deepest.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                let slot = slots.acquire().await;
                sleep(Duration::from_millis(time.load(Ordering::SeqCst) as u64)).await;
                drop(slot);
                inside.fetch_sub(1, Ordering::SeqCst);
                if stream.write_all(OK).await.is_err() {
                    return;
                }
            }
        }
    })
    .await;
    let upstream = upstream(&[backend.address], |config| {
        let rules = model::Concurrency { min: 2, max: 900, ..Default::default() };
        config.concurrency = Some(rules);
    });
    let gateway = gateway(Arc::clone(&upstream), Retry::default());
    let address = gateway.address;
    let good = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    let begun = Instant::now();
    for number in 0..1_600_u32 {
        // 400 a second, where 200 can be done, and from half time on 50.
        let due = begun + Duration::from_micros(2_500) * number;
        sleep(due.saturating_duration_since(Instant::now())).await;
        if number == 800 {
            takes.store(80, Ordering::SeqCst);
        }
        let good = Arc::clone(&good);
        clients.spawn(async move {
            let response = talk(address, GET).await;
            if response.starts_with("HTTP/1.1 200 ") {
                good.fetch_add(1, Ordering::SeqCst);
            } else {
                assert!(response.starts_with("HTTP/1.1 503 "), "{response}");
            }
        });
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    let (good, deepest) = (good.load(Ordering::SeqCst), deepest.load(Ordering::SeqCst));
    // Without a bound 400 and then 700 more would have piled up.
    assert!(deepest <= 150, "{deepest} inside, where {SLOTS} are served");
    assert!(upstream.circuit().limit() <= 150, "{}", upstream.circuit().limit());
    assert!(good >= 200, "{good} of 500 were served");
}

/// Takes a request and says nothing; counts requests, and connections that were closed on it.
async fn silent() -> (Backend, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let (asked, closed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (a, c) = (Arc::clone(&asked), Arc::clone(&closed));
    let backend = Backend::new(move |mut stream, _| {
        let (asked, closed) = (Arc::clone(&a), Arc::clone(&c));
        async move {
            if read_head(&mut stream).await.is_some() {
                asked.fetch_add(1, Ordering::SeqCst);
                let _ = stream.read_to_end(&mut Vec::new()).await;
                closed.fetch_add(1, Ordering::SeqCst);
            }
        }
    })
    .await;
    (backend, asked, closed)
}

fn hedged(most: u32) -> Retry {
    let hedge = Some(Hedge { after: Duration::from_millis(30), most });
    Retry { hedge, ..Retry::default() }
}

#[tokio::test]
async fn a_second_attempt_elsewhere_wins_and_the_first_is_cancelled() {
    let (slow, asked, closed) = silent().await;
    let fast = Backend::ok().await;
    let gateway = gateway(upstream(&[slow.address, fast.address], |_| {}), hedged(1));
    for _ in 0..8 {
        let response = talk(gateway.address, GET).await;
        assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    }
    let asked = asked.load(Ordering::SeqCst);
    assert!(asked >= 2, "{asked}");
    until("the losers are cancelled", || closed.load(Ordering::SeqCst) == asked).await;
    assert_eq!(value(&gateway, "edgewit_hedges_total", "result=\"won\""), asked as u64);
    assert_eq!(value(&gateway, "edgewit_hedges_total", "result=\"lost\""), 0);
}

/// Speaks HTTP/2. With no answer to give it counts requests, and those that are cancelled.
async fn over_http2(answers: bool) -> (Backend, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let (asked, cancelled) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (a, c) = (Arc::clone(&asked), Arc::clone(&cancelled));
    let backend = Backend::new(move |stream, _| {
        let (asked, cancelled) = (Arc::clone(&a), Arc::clone(&c));
        async move {
            let Ok(mut connection) = h2::server::handshake(stream).await else { return };
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                let cancelled = Arc::clone(&cancelled);
                asked.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    if answers {
                        let mut body =
                            respond.send_response(http::Response::new(()), false).unwrap();
                        return body.send_data("ok".into(), true).unwrap();
                    }
                    let reset = std::future::poll_fn(|cx| respond.poll_reset(cx)).await;
                    assert_eq!(reset.unwrap(), h2::Reason::CANCEL);
                    cancelled.fetch_add(1, Ordering::SeqCst);
                });
            }
        }
    })
    .await;
    (backend, asked, cancelled)
}

#[tokio::test]
async fn over_http2_the_loser_is_one_stream_and_not_the_connection() {
    let (slow, asked, cancelled) = over_http2(false).await;
    let (fast, ..) = over_http2(true).await;
    let upstream = upstream(&[slow.address, fast.address], |config| config.h2c = true);
    let gateway = gateway(Arc::clone(&upstream), hedged(1));
    for _ in 0..8 {
        let response = talk(gateway.address, GET).await;
        assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    }
    let asked = asked.load(Ordering::SeqCst);
    assert!(asked >= 2, "{asked}");
    until("the losers are cancelled", || cancelled.load(Ordering::SeqCst) == asked).await;
    assert_eq!(value(&gateway, "edgewit_hedges_total", "result=\"won\""), asked as u64);
    let connects = upstream.endpoints()[0].counters().connects();
    assert!(connects <= 2, "{connects}: one for each worker");
}

/// The value of a series of the upstream `u` with this label.
fn value(gateway: &Gateway, name: &str, label: &str) -> u64 {
    let text = gateway.metrics.text();
    let is_it = |line: &&str| {
        line.starts_with(name) && line.contains("upstream=\"u\"") && line.contains(label)
    };
    let line = text.lines().find(is_it).unwrap_or_else(|| panic!("{name} {label}\n{text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn only_what_is_idempotent_is_hedged_and_only_elsewhere() {
    let (slow, asked, _closed) = silent().await;
    let fast = Backend::ok().await;
    let both = upstream(&[slow.address, fast.address], |_| {});
    let one = upstream(&[slow.address], |_| {});
    let forbidden = upstream(&[slow.address, slow.address], |config| {
        config.circuit.max_retries = 0;
    });
    for (upstream, request) in [(both, POST), (one, GET), (forbidden, GET)] {
        let before = asked.load(Ordering::SeqCst);
        let mut to = route(forward_to(&[&upstream]));
        to.retry = hedged(3);
        to.timeout = Duration::from_millis(400);
        let gateway = Gateway::new(listener(), vec![(to, Vec::new(), vec![upstream])]);
        loop {
            let response = talk(gateway.address, request).await;
            if response.starts_with("HTTP/1.1 504 ") {
                break;
            }
            assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
        }
        assert_eq!(asked.load(Ordering::SeqCst), before + 1, "{request}");
    }
}

#[tokio::test]
async fn a_first_attempt_that_answers_in_time_is_the_only_one() {
    let backend = Backend::ok().await;
    let other = Backend::ok().await;
    let hedge = Some(Hedge { after: Duration::from_secs(20), most: 1 });
    let retry = Retry { hedge, ..Retry::default() };
    let gateway = gateway(upstream(&[backend.address, other.address], |_| {}), retry);
    for _ in 0..4 {
        assert!(talk(gateway.address, GET).await.starts_with("HTTP/1.1 200 "));
    }
    assert_eq!(backend.heads().len() + other.heads().len(), 4);
}

#[tokio::test]
async fn a_bad_first_answer_waits_for_a_good_second() {
    let bad = Backend::new(|mut stream, _| async move {
        while read_head(&mut stream).await.is_some() {
            sleep(Duration::from_millis(300)).await;
            if stream.write_all(BUSY).await.is_err() {
                return;
            }
        }
    })
    .await;
    let good = Backend::new(|mut stream, _| async move {
        while read_head(&mut stream).await.is_some() {
            sleep(Duration::from_millis(600)).await;
            if stream.write_all(OK).await.is_err() {
                return;
            }
        }
    })
    .await;
    let gateway = gateway(upstream(&[bad.address, good.address], |_| {}), hedged(1));
    for _ in 0..4 {
        let response = talk(gateway.address, GET).await;
        assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    }
}

#[tokio::test]
async fn an_upstream_that_asks_for_time_gets_it_within_the_deadline() {
    for (after, status, attempts) in
        [("1", "200", 2), ("3600", "503", 1), ("Wed, 21 Oct 2099 07:28:00 GMT", "503", 1)]
    {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let busy =
            format!("HTTP/1.1 503 Busy\r\nretry-after: {after}\r\ncontent-length: 0\r\n\r\n");
        let backend = Backend::new(move |mut stream, _| {
            let (counted, busy) = (Arc::clone(&counted), busy.clone());
            async move {
                while read_head(&mut stream).await.is_some() {
                    let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
                    let answer = if first { busy.as_bytes() } else { OK };
                    if stream.write_all(answer).await.is_err() {
                        return;
                    }
                }
            }
        })
        .await;
        let gateway = gateway(upstream(&[backend.address], |_| {}), retry(3, &[503]));
        let begun = Instant::now();
        let response = talk(gateway.address, GET).await;
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{after}: {response}");
        assert_eq!(count.load(Ordering::SeqCst), attempts, "{after}");
        assert!(attempts == 1 || begun.elapsed() >= Duration::from_secs(1));
    }
}

#[tokio::test]
async fn how_servers_are_can_be_read() {
    let good = Backend::ok().await;
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let gateway = gateway(upstream(&[good.address, dead], |_| {}), retry(2, &[]));
    let healthy = |address: SocketAddr| {
        value(&gateway, "edgewit_upstream_server_healthy", &format!("server=\"{address}\""))
    };
    assert_eq!((healthy(good.address), healthy(dead)), (1, 1));
    for _ in 0..8 {
        assert!(talk(gateway.address, GET).await.starts_with("HTTP/1.1 200 "));
    }
    assert_eq!((healthy(good.address), healthy(dead)), (1, 0));
    let reason = "reason=\"consecutive-connects\"";
    assert_eq!(value(&gateway, "edgewit_upstream_ejections_total", reason), 1);
    assert_eq!(value(&gateway, "edgewit_circuit_open", ""), 0);
}
