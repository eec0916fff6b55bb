//! Retries, hedges, copies and cookies on one route.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use edgewit_chain::Chain;
use edgewit_model::{self as model, Affinity, ByteSize, Hedge, Mirror, UpstreamName};
use edgewit_proxy::{LiveRoute, Proxy, Snapshot};
use edgewit_telemetry::Metrics;
use edgewit_upstream::Upstream;
use tokio::{io::AsyncReadExt, time::timeout};

use crate::support::{
    Backend, Gateway, forward_to, listener, read_head, route, talk, until, upstream,
};

/// Reads requests and breaks off after a while.
async fn breaking(after: Duration) -> (Backend, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let backend = Backend::new(move |mut stream, _| {
        let counted = Arc::clone(&counted);
        async move {
            if read_head(&mut stream).await.is_some() {
                counted.fetch_add(1, SeqCst);
                let _ = timeout(after, stream.read_to_end(&mut Vec::new())).await;
            }
        }
    });
    (backend.await, asked)
}

fn gateway(backends: &[&Backend], copies: &Backend) -> Gateway {
    let endpoint = |backend: &&Backend| model::Endpoint {
        tls: false,
        host: backend.address.ip().to_string(),
        port: backend.address.port(),
        weight: 1,
    };
    let name = UpstreamName::new("u").unwrap();
    let mut config = model::Upstream::new(name, backends.iter().map(endpoint).collect());
    config.affinity = Some(Affinity { cookie: "sid".to_owned(), ttl: None, secret: None });
    let own = Upstream::new(&config).unwrap();
    let copies = upstream("m", &[copies.address]);
    let mut route = route(forward_to(&[&own]));
    route.retry.attempts = 3;
    route.retry.backoff = (Duration::ZERO, Duration::ZERO);
    route.retry.hedge = Some(Hedge { after: Duration::from_millis(20), most: 1 });
    let mirror = copies.name().clone();
    route.mirror = Some(Mirror { upstream: mirror, percent: 100, body: ByteSize(1024) });
    let metrics = Metrics::new(2);
    let chain = Arc::new(Chain::new(Vec::new(), 0));
    let live = LiveRoute::with_mirror(route, chain, vec![(own, 1)], Some(copies), &metrics);
    let snapshot = Snapshot::new(1, vec![live], None, &metrics, None).unwrap();
    let proxy = Proxy::start(Some(1), &metrics, Arc::clone(&snapshot)).unwrap();
    let listener = listener();
    let listeners = BTreeMap::from([(listener.name.clone(), listener)]);
    let bound = proxy.apply(&listeners, snapshot).unwrap();
    Gateway { proxy, metrics, address: bound[0].address, listeners }
}

fn cookie(response: &str) -> Option<&str> {
    let line = response.lines().find_map(|line| line.strip_prefix("set-cookie: "))?;
    line.split(';').next()
}

#[tokio::test]
async fn the_attempt_that_won_is_remembered_and_copies_are_made_once() {
    let (slow, asked) = breaking(Duration::from_secs(60)).await;
    let (fast, copies) = (Backend::ok().await, Backend::ok().await);
    let gateway = gateway(&[&slow, &fast], &copies);
    let get = |more: &str| format!("GET / HTTP/1.1\r\nhost: a\r\n{more}connection: close\r\n\r\n");
    let mut tags = Vec::new();
    for _ in 0..6 {
        let response = talk(gateway.address, get("")).await;
        assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
        tags.push(cookie(&response).expect("a cookie").to_owned());
    }
    assert!(asked.load(SeqCst) > 0 && tags.iter().all(|tag| *tag == tags[0]), "{tags:?}");
    let before = asked.load(SeqCst);
    for _ in 0..6 {
        let response = talk(gateway.address, get(&format!("cookie: {}\r\n", tags[0]))).await;
        assert!(response.starts_with("HTTP/1.1 200 ") && cookie(&response).is_none(), "{response}");
    }
    assert_eq!(asked.load(SeqCst), before, "who says where it was is taken there");
    until("all are copied", || copies.heads().len() >= 12).await;
    assert_eq!((copies.heads().len(), fast.heads().len()), (12, 12));
    assert!(copies.heads().iter().all(|head| !head.contains("sid=")), "our cookie stays with us");
}

#[tokio::test]
async fn what_may_not_be_done_twice_is_sent_once() {
    let (one, first) = breaking(Duration::from_millis(200)).await;
    let (two, second) = breaking(Duration::from_millis(200)).await;
    let copies = Backend::ok().await;
    let gateway = gateway(&[&one, &two], &copies);
    let post = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let response = talk(gateway.address, post).await;
    assert!(response.starts_with("HTTP/1.1 502 "), "{response}");
    assert!(response.contains("\r\nproxy-status: edgewit; error="), "{response}");
    assert!(cookie(&response).is_none(), "nobody answered: {response}");
    assert_eq!(first.load(SeqCst) + second.load(SeqCst), 1);
    until("it is copied", || !copies.heads().is_empty()).await;
    assert_eq!(copies.heads().len(), 1);
}
