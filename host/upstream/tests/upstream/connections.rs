//! `circuit.max-connections`: how many connections an upstream gets.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use edgewit_upstream::{Failure, Pools, Reason, Tried, Upgrade, send};
use tokio::{
    task::{JoinSet, spawn_local},
    time::sleep,
};

use crate::support::{Raw, Worker, config, get, worker};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Connections that are open at an upstream, and the most there ever were.
#[derive(Clone, Default)]
struct Seen {
    open: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

/// Answers every request after a while.
fn serve(raw: Raw, takes: Duration) -> Seen {
    let seen = Seen::default();
    let counted = seen.clone();
    spawn_local(async move {
        loop {
            let mut peer = raw.accept().await;
            let seen = counted.clone();
            seen.most.fetch_max(seen.open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            spawn_local(async move {
                while peer.request().await.is_some() {
                    sleep(takes).await;
                    peer.say(OK).await;
                }
                seen.open.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
    seen
}

fn bounded(ports: &[u16], most: u32, wait: Duration) -> Worker {
    let mut config = config(ports);
    config.circuit.max_connections = Some(most);
    config.circuit.max_wait = wait;
    Worker::new(&config)
}

/// Sends so many requests at once, over these pools in turn; how many were answered and how many refused.
async fn burst(client: &Worker, pools: &[Pools], requests: usize) -> (usize, usize) {
    let mut tasks = JoinSet::new();
    for number in 0..requests {
        let (upstream, pools) = (client.upstream.clone(), pools[number % pools.len()].clone());
        tasks.spawn_local(async move {
            let answer = send(&upstream, &pools, get(), &mut Tried::new()).await;
            match answer {
                Ok(response) => {
                    http_body_util::BodyExt::collect(response.into_body()).await.unwrap();
                    true
                }
                Err(error) => {
                    assert_eq!(error.kind, Failure::Overloaded, "{error:?}");
                    assert_eq!(error.reason(), Reason::ConnectionLimit);
                    assert!(error.unsent.is_some());
                    false
                }
            }
        });
    }
    let answers = tasks.join_all().await;
    let good = answers.iter().filter(|answered| **answered).count();
    (good, answers.len() - good)
}

#[tokio::test]
async fn there_are_never_more_connections_than_the_bound() {
    worker(async {
        let raw = Raw::bind().await;
        let client = bounded(&[raw.port()], 2, Duration::from_secs(60));
        let seen = serve(raw, Duration::from_millis(5));
        let pools = [client.pools.clone()];
        assert_eq!(burst(&client, &pools, 20).await, (20, 0), "with patience all are served");
        assert_eq!(seen.most.load(Ordering::SeqCst), 2);
        assert_eq!(client.upstream.circuit().connections(), 2);
    })
    .await;
}

#[tokio::test]
async fn who_waits_too_long_is_refused() {
    worker(async {
        let raw = Raw::bind().await;
        let client = bounded(&[raw.port()], 2, Duration::from_millis(20));
        let seen = serve(raw, Duration::from_secs(1));
        let pools = [client.pools.clone()];
        assert_eq!(burst(&client, &pools, 20).await, (2, 18));
        assert_eq!(seen.most.load(Ordering::SeqCst), 2);
        assert_eq!(client.upstream.circuit().refused(), 18);
        assert!(client.upstream.circuit().is_open());
    })
    .await;
}

#[tokio::test]
async fn each_worker_may_have_one() {
    worker(async {
        let raw = Raw::bind().await;
        let client = bounded(&[raw.port()], 2, Duration::from_secs(60));
        let seen = serve(raw, Duration::from_millis(5));
        let pools = [Pools::new(), Pools::new(), Pools::new()];
        assert_eq!(burst(&client, &pools, 30).await, (30, 0));
        let most = seen.most.load(Ordering::SeqCst);
        assert!((3..=4).contains(&most), "{most}");
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_dies_makes_room() {
    worker(async {
        let raw = Raw::bind().await;
        let client = bounded(&[raw.port()], 1, Duration::from_secs(60));
        let upstream = spawn_local(async move {
            for _ in 0..10 {
                let mut peer = raw.accept().await;
                peer.request().await.unwrap();
                peer.say("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok")
                    .await;
            }
        });
        let pools = [client.pools.clone()];
        assert_eq!(burst(&client, &pools, 10).await, (10, 0));
        upstream.await.unwrap();
        client.all_closed().await;
        while client.upstream.circuit().connections() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_idle_connection_to_another_endpoint_makes_room() {
    worker(async {
        let (one, other) = (Raw::bind().await, Raw::bind().await);
        let client = bounded(&[one.port(), other.port()], 1, Duration::from_secs(60));
        let seen = [serve(one, Duration::ZERO), serve(other, Duration::ZERO)];
        for _ in 0..10 {
            assert_eq!(client.ask(get()).await.unwrap().0, 200);
            assert_eq!(client.upstream.circuit().connections(), 1);
        }
        assert!(seen.iter().all(|seen| seen.most.load(Ordering::SeqCst) > 0), "both were asked");
    })
    .await;
}

#[tokio::test]
async fn http2_connections_count_as_one_and_share_their_streams() {
    worker(async {
        for streams in [None, Some(3)] {
            let raw = Raw::bind().await;
            let mut config = config(&[raw.port()]);
            config.h2c = true;
            config.circuit.max_connections = Some(2);
            config.circuit.max_wait = Duration::from_secs(60);
            let client = Worker::new(&config);
            let seen = Seen::default();
            let counted = seen.clone();
            spawn_local(async move {
                loop {
                    let (tcp, _) = raw.listener().accept().await.unwrap();
                    counted.most.fetch_add(1, Ordering::SeqCst);
                    spawn_local(async move {
                        let mut builder = h2::server::Builder::new();
                        if let Some(streams) = streams {
                            builder.max_concurrent_streams(streams);
                        }
                        let mut server = builder.handshake::<_, bytes::Bytes>(tcp).await.unwrap();
                        while let Some(Ok((_, mut answer))) = server.accept().await {
                            spawn_local(async move {
                                sleep(Duration::from_millis(5)).await;
                                answer.send_response(http::Response::new(()), true).unwrap();
                            });
                        }
                    });
                }
            });
            let pools = [client.pools.clone()];
            assert_eq!(burst(&client, &pools, 40).await, (40, 0), "{streams:?}");
            let expected = if streams.is_some() { 2 } else { 1 };
            assert_eq!(seen.most.load(Ordering::SeqCst), expected);
            assert_eq!(client.upstream.circuit().connections() as usize, expected);
        }
    })
    .await;
}

#[tokio::test]
async fn a_tunnel_is_a_connection() {
    worker(async {
        let raw = Raw::bind().await;
        let client = bounded(&[raw.port()], 1, Duration::from_millis(20));
        spawn_local(async move {
            let mut peer = raw.accept().await;
            peer.request().await.unwrap();
            peer.say(
                "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n",
            )
            .await;
            peer.rest().await;
        });
        let mut request = get();
        request.extensions_mut().insert(Upgrade(http::HeaderValue::from_static("echo")));
        let response = client.send(request).await.unwrap();
        let tunnel = response.into_body().into_tunnel().unwrap();
        let error = client.send(get()).await.unwrap_err();
        assert_eq!(error.reason(), Reason::ConnectionLimit);
        drop(tunnel);
        assert_eq!(client.upstream.circuit().connections(), 0);
    })
    .await;
}
