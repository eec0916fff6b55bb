//! Connections that are kept, and which endpoint gets a request.

use std::time::Duration;

use edgewit_upstream::{Pools, Tried, send};
use tokio::{
    sync::mpsc,
    task::spawn_local,
    time::{self, Instant},
};

use crate::support::{Raw, Worker, config, get, post, worker};

/// Answers every request on every connection with these bytes; tells when a connection begins.
fn serve(raw: Raw, answer: &'static str) -> mpsc::UnboundedReceiver<()> {
    let (began, begins) = mpsc::unbounded_channel();
    spawn_local(async move {
        loop {
            let mut peer = raw.accept().await;
            let _ = began.send(());
            spawn_local(async move {
                while peer.request().await.is_some() {
                    peer.say(answer).await;
                }
            });
        }
    });
    begins
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn a_connection_serves_one_request_after_another() {
    let bodies = [
        OK,
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok",
    ];
    worker(async {
        for answer in bodies {
            let raw = Raw::bind().await;
            let client = Worker::new(&config(&[raw.port()]));
            serve(raw, answer);
            for _ in 0..50 {
                client.ask(get()).await.unwrap();
                client.ask(post("abc")).await.unwrap();
            }
            let endpoint = &client.upstream.endpoints()[0];
            assert_eq!(endpoint.counters().connects(), 1, "{answer:?}");
            assert_eq!(endpoint.counters().requests(), 100);
            assert_eq!(endpoint.counters().in_flight(), 0);
        }
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_the_upstream_ends_is_not_kept() {
    let answers = [
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
    ];
    worker(async {
        for answer in answers {
            let raw = Raw::bind().await;
            let client = Worker::new(&config(&[raw.port()]));
            serve(raw, answer);
            client.ask(get()).await.unwrap();
            assert_eq!(client.kept(), 0);
            client.all_closed().await;
        }
    })
    .await;
}

#[tokio::test]
async fn no_more_connections_are_kept_than_allowed() {
    worker(async {
        let raw = Raw::bind().await;
        let mut config = config(&[raw.port()]);
        config.pool.idle = 2;
        let client = Worker::new(&config);
        serve(raw, OK);
        let (a, b, c) = tokio::join!(client.send(get()), client.send(get()), client.send(get()));
        let endpoint = &client.upstream.endpoints()[0];
        assert_eq!(endpoint.counters().connections(), 3);
        for response in [a, b, c] {
            let body = response.unwrap().into_body();
            http_body_util::BodyExt::collect(body).await.unwrap();
        }
        assert_eq!(client.kept(), 2);
        while endpoint.counters().connections() > 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_time() {
    worker(async {
        let raw = Raw::bind().await;
        let client = Worker::new(&config(&[raw.port()]));
        serve(raw, OK);
        client.ask(get()).await.unwrap();
        assert_eq!(client.kept(), 1);
        let start = Instant::now();
        time::pause();
        while client.kept() > 0 {
            time::sleep(Duration::from_secs(1)).await;
        }
        let waited = start.elapsed();
        assert!((60..=61).contains(&waited.as_secs()), "{waited:?}");
        time::resume();
        client.all_closed().await;
    })
    .await;
}

#[tokio::test]
async fn an_old_connection_takes_no_further_request() {
    worker(async {
        let raw = Raw::bind().await;
        let mut config = config(&[raw.port()]);
        config.pool.max_age = Some(Duration::from_secs(40)); // below the time for idle ones
        let client = Worker::new(&config);
        serve(raw, OK);
        let endpoints = client.upstream.endpoints();
        let counters = endpoints[0].counters();
        client.ask(get()).await.unwrap();
        time::pause();
        time::advance(Duration::from_secs(30)).await; // up to a tenth sooner than configured
        time::resume();
        client.ask(get()).await.unwrap();
        assert_eq!((counters.connects(), client.kept()), (1, 1), "young enough");
        assert_eq!((counters.connections(), counters.idle_connections()), (1, 1));
        time::pause();
        time::advance(Duration::from_secs(11)).await;
        time::resume();
        client.ask(get()).await.unwrap();
        assert_eq!((counters.connects(), client.kept()), (2, 1), "another one");
        while counters.connections() > 1 {
            tokio::task::yield_now().await;
        }
        assert_eq!(counters.idle_connections(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_the_upstream_closes_is_forgotten() {
    worker(async {
        let raw = Raw::bind().await;
        let client = Worker::new(&config(&[raw.port()]));
        let upstream = spawn_local(async move {
            let mut peer = raw.accept().await;
            peer.request().await.unwrap();
            peer.say(OK).await;
            peer
        });
        client.ask(get()).await.unwrap();
        assert_eq!(client.kept(), 1);
        drop(upstream.await.unwrap());
        while client.kept() > 0 {
            tokio::task::yield_now().await;
        }
        client.all_closed().await;
    })
    .await;
}

#[tokio::test]
async fn dropping_the_pools_closes_what_is_idle() {
    worker(async {
        let raw = Raw::bind().await;
        let mut client = Worker::new(&config(&[raw.port()]));
        serve(raw, OK);
        client.ask(get()).await.unwrap();
        client.pools = Pools::new();
        client.all_closed().await;
    })
    .await;
}

#[tokio::test]
async fn endpoints_take_turns_and_elsewhere_avoids_those_already_tried() {
    worker(async {
        let raws = [Raw::bind().await, Raw::bind().await, Raw::bind().await];
        let client = Worker::new(&config(&raws.each_ref().map(Raw::port)));
        for raw in raws {
            serve(raw, OK);
        }
        for _ in 0..30 {
            client.ask(get()).await.unwrap();
        }
        for endpoint in client.upstream.endpoints().iter() {
            assert_eq!(endpoint.counters().requests(), 10);
        }
        let mut tried = Tried::new();
        tried.elsewhere = true;
        let mut seen = Vec::new();
        for attempt in 1..=3 {
            send(&client.upstream, &client.pools, get(), &mut tried).await.unwrap();
            seen.push(tried.last().unwrap());
            assert_eq!(tried.attempts(), attempt);
        }
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 3, "three attempts went to three endpoints");
        send(&client.upstream, &client.pools, get(), &mut tried).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_host_name_is_looked_up() {
    worker(async {
        let raw = Raw::bind().await;
        let mut config = config(&[raw.port()]);
        config.endpoints[0].host = "localhost".to_owned();
        let client = Worker::new(&config);
        serve(raw, OK);
        assert_eq!(client.ask(get()).await.unwrap(), (200, "ok".into()));
    })
    .await;
}
