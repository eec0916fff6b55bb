//! Endpoints that come and go while there is work to do: discovery, slow start, circuit and retries together.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use edgewit_model::{self as model, Retry, UpstreamName};
use edgewit_upstream::Upstream;
use tokio::{task::spawn_blocking, time::sleep};

use crate::support::{
    Backend, Connection, Gateway, Origin, forward_to, listener, route, talk, until,
};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

/// Names these endpoints, with one rename so that nobody reads half a list.
fn write(path: &Path, endpoints: &[SocketAddr]) {
    let servers: Vec<_> = endpoints.iter().map(|address| format!("\"http://{address}\"")).collect();
    let next = path.with_extension("next");
    std::fs::write(&next, format!("{{\"servers\": [{}]}}", servers.join(", "))).unwrap();
    std::fs::rename(next, path).unwrap();
}

/// A gateway to the endpoints in this file.
async fn gateway(
    path: &Path,
    change: impl FnOnce(&mut model::Upstream),
) -> (Gateway, Arc<Upstream>) {
    let mut config = model::Upstream::new(UpstreamName::new("u").unwrap(), Vec::new());
    config.discovery = Some(model::Discovery::File(path.to_owned()));
    config.timeouts.connect = crate::support::DEADLINE;
    change(&mut config);
    let upstream = spawn_blocking(move || Upstream::new(&config).unwrap()).await.unwrap();
    let mut to = route(forward_to(&[&upstream]));
    to.retry = Retry { attempts: 4, ..Retry::default() };
    let made = Gateway::new(listener(), vec![(to, Vec::new(), vec![Arc::clone(&upstream)])]);
    (made, upstream)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endpoints_die_and_change_under_load_and_no_idempotent_request_fails() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("servers.json");
    let mut origins = [
        Origin::start().await,
        Origin::start().await,
        Origin::start().await,
        Origin::start().await,
    ];
    let addresses = origins.each_ref().map(|origin| origin.address);
    write(&path, &addresses);
    let (gateway, upstream) = gateway(&path, |config| {
        config.slow_start = Some(Duration::from_secs(2));
        config.circuit.max_requests = 16;
        config.circuit.max_pending = 16;
        config.circuit.max_wait = Duration::from_secs(10);
        config.circuit.max_connections = Some(12);
    })
    .await;
    let (address, done) = (gateway.address, Arc::new(AtomicUsize::new(0)));
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..6)
        .map(|_| {
            let (done, stop) = (Arc::clone(&done), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut connection = Connection::new(address).await;
                while !stop.load(Ordering::SeqCst) {
                    connection.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
                    let (head, body) = connection.response().await;
                    assert!(head.starts_with("HTTP/1.1 200 ") && body == "ok", "{head}");
                    done.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    until("requests are answered", || done.load(Ordering::SeqCst) > 100).await;
    let looks = upstream.news().good();
    let begun = Instant::now();
    let mut round = 0;
    while begun.elapsed() < Duration::from_secs(5) || upstream.news().good() < looks + 4 {
        assert!(begun.elapsed() < Duration::from_secs(60), "the file is not looked at");
        // There is always one that is down, and another one that is not in the list.
        let (down, missing) = (round % 4, (round + 2) % 4);
        origins[down].kill().await;
        let listed: Vec<_> = (0..4).filter(|at| *at != missing).map(|at| addresses[at]).collect();
        write(&path, &listed);
        sleep(Duration::from_millis(100)).await;
        origins[down].restart().await;
        round += 1;
    }
    stop.store(true, Ordering::SeqCst);
    for client in clients {
        client.await.unwrap();
    }
    assert!(done.load(Ordering::SeqCst) > 300, "{done:?}");
}

#[tokio::test]
async fn the_series_of_endpoints_that_are_gone_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("servers.json");
    let (stays, goes) = (Backend::ok().await, Backend::ok().await);
    write(&path, &[stays.address, goes.address]);
    let (gateway, upstream) = gateway(&path, |_| {}).await;
    for _ in 0..8 {
        assert!(talk(gateway.address, GET).await.starts_with("HTTP/1.1 200 "));
    }
    let series = |name: &str, address: SocketAddr| {
        let port = format!("server_port=\"{}\"", address.port());
        let server = format!("server=\"{address}\"");
        let text = gateway.metrics.text();
        let of = |line: &&str| {
            line.starts_with(name) && (line.contains(&port) || line.contains(&server))
        };
        text.lines().filter(of).count()
    };
    const NAMES: [&str; 3] = [
        "http_client_request_duration_seconds_count{",
        "http_client_open_connections{",
        "edgewit_upstream_server_healthy{",
    ];
    for name in NAMES {
        assert!(series(name, stays.address) > 0 && series(name, goes.address) > 0, "{name}");
    }
    write(&path, &[stays.address]);
    until("the endpoint is gone", || upstream.endpoints().len() == 1).await;
    for name in NAMES {
        // Nobody has asked the other one since.
        assert!(series(name, stays.address) > 0, "{name}");
        assert_eq!(series(name, goes.address), 0, "{name}");
    }
}
