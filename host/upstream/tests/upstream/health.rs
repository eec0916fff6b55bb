//! Endpoints that die, come back, hang and lie, over real sockets.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use edgewit_model::{self as model, Health, HealthKind, HttpHealth};
use edgewit_upstream::{Failure, ServerHealth, Upstream};
use http::uri::PathAndQuery;
use tokio::{net::TcpListener, task::spawn_local, time::sleep};

use crate::support::{Peer, Raw, Worker, config, get, worker};

/// An upstream that asks `/healthz` often.
fn checked(ports: &[u16], change: impl FnOnce(&mut Health)) -> model::Upstream {
    let http = HttpHealth::new(PathAndQuery::from_static("/healthz?deep=1"));
    let mut health = Health::new(HealthKind::Http(http));
    health.interval = Duration::from_millis(20);
    health.timeout = Duration::from_secs(5);
    change(&mut health);
    model::Upstream { health: Some(health), ..config(ports) }
}

/// Answers each request on each connection with what `answer` says; `None` hangs.
fn serve(raw: Raw, answer: impl Fn(&str) -> Option<String> + 'static) {
    let answer = std::rc::Rc::new(answer);
    spawn_local(async move {
        loop {
            let mut peer = raw.accept().await;
            let answer = answer.clone();
            spawn_local(async move {
                while let Some(request) = peer.request().await {
                    match answer(&request) {
                        Some(answer) => peer.say(answer).await,
                        None => std::future::pending().await,
                    }
                }
            });
        }
    });
}

fn status(line: &str) -> Option<String> {
    Some(format!("HTTP/1.1 {line}\r\ncontent-length: 2\r\n\r\nok"))
}

fn healthy(upstream: &Upstream) -> Vec<bool> {
    upstream.health().iter().map(ServerHealth::is_available).collect()
}

async fn until(upstream: &Upstream, expected: &[bool]) {
    while healthy(upstream) != expected {
        sleep(Duration::from_millis(2)).await;
    }
}

/// Waits for so many further checks.
async fn checks(count: &AtomicUsize, more: usize) {
    let begin = count.load(Ordering::SeqCst);
    while count.load(Ordering::SeqCst) < begin + more {
        sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn an_endpoint_that_dies_is_passed_over_until_it_is_back() {
    worker(async {
        let (good, bad) = (Raw::bind().await, Raw::bind().await);
        let (good_port, bad_port) = (good.port(), bad.port());
        serve(good, |_| status("200 OK"));
        let serving = tokio::task::LocalSet::new();
        let client = Worker::new(&checked(&[good_port, bad_port], |_| {}));
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = asked.clone();
        let alive = serving.run_until(async {
            serve(bad, move |_| {
                counted.fetch_add(1, Ordering::SeqCst);
                status("200 OK")
            });
            checks(&asked, 5).await;
            assert_eq!(healthy(&client.upstream), [true, true]);
        });
        alive.await;
        drop(serving); // its listener and its connections with it
        until(&client.upstream, &[true, false]).await;
        for _ in 0..20 {
            assert_eq!(client.ask(get()).await.unwrap().0, 200);
        }
        let listener = TcpListener::bind(("127.0.0.1", bad_port)).await.unwrap();
        serve(Raw::from(listener), |_| status("200 OK"));
        until(&client.upstream, &[true, true]).await;
    })
    .await;
}

#[tokio::test]
async fn what_is_no_good_answer_is_unhealthy() {
    let long = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\nconnection: close\r\n\r\nshort";
    for (answer, expected) in [
        (status("200 OK"), true),
        (status("204 No Content").map(|s| s.replace("content-length: 2\r\n\r\nok", "\r\n")), true),
        (status("302 Found"), false),
        (status("404 Not Found"), false),
        (status("503 Service Unavailable"), false),
        (Some("garbage\r\n\r\n".to_owned()), false),
        (None, false),                 // hangs
        (Some(long.to_owned()), true), // the connection stays open: the rest may come in time, see below
    ] {
        let shown = format!("{answer:?}");
        worker(async {
            let (raw, other) = (Raw::bind().await, Raw::bind().await);
            let ports = [raw.port(), other.port()];
            let asked = Arc::new(AtomicUsize::new(0));
            let counted = asked.clone();
            let broken = answer.as_deref() == Some(long);
            serve(raw, move |request| {
                assert!(request.starts_with("GET /healthz?deep=1 HTTP/1.1\r\n"), "{request}");
                assert!(request.contains("user-agent: edgewit-health\r\n"), "{request}");
                counted.fetch_add(1, Ordering::SeqCst);
                answer.clone()
            });
            serve(other, |_| status("200 OK"));
            let client = Worker::new(&checked(&ports, |health| {
                health.timeout = Duration::from_millis(700);
            }));
            // A body that does not come to its end in time is no answer either.
            let expected = expected && !broken;
            match expected {
                true => checks(&asked, 4).await,
                false => until(&client.upstream, &[false, true]).await,
            }
            assert_eq!(healthy(&client.upstream), [expected, true], "{shown}");
        })
        .await;
    }
}

#[tokio::test]
async fn a_flapping_endpoint_stays_what_it_was() {
    worker(async {
        let raw = Raw::bind().await;
        let port = raw.port();
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = asked.clone();
        serve(raw, move |_| match counted.fetch_add(1, Ordering::SeqCst) % 3 {
            0 => status("200 OK"), // never three failures in a row
            _ => status("500 Internal Server Error"),
        });
        let client = Worker::new(&checked(&[port], |_| {}));
        while asked.load(Ordering::SeqCst) < 20 {
            assert_eq!(healthy(&client.upstream), [true]);
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn statuses_and_host_are_configurable() {
    worker(async {
        let raw = Raw::bind().await;
        let port = raw.port();
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = asked.clone();
        serve(raw, move |request| {
            assert!(request.contains("host: orders.internal\r\n"), "{request}");
            counted.fetch_add(1, Ordering::SeqCst);
            status("401 Unauthorized")
        });
        let client = Worker::new(&checked(&[port], |health| {
            let mut http = HttpHealth::new(PathAndQuery::from_static("/"));
            http.host = Some("orders.internal".parse().unwrap());
            http.statuses = vec![200..=299, 401..=401];
            health.kind = HealthKind::Http(http);
        }));
        checks(&asked, 5).await;
        assert_eq!(healthy(&client.upstream), [true]);
    })
    .await;
}

#[tokio::test]
async fn for_tcp_a_connection_is_enough() {
    worker(async {
        let raw = Raw::bind().await;
        let dead = Raw::bind().await.port();
        let client = Worker::new(&checked(&[raw.port(), dead], |health| {
            health.kind = HealthKind::Tcp;
        }));
        until(&client.upstream, &[true, false]).await;
        for _ in 0..5 {
            drop(raw.accept().await);
        }
        assert_eq!(healthy(&client.upstream), [true, false]);
    })
    .await;
}

#[tokio::test]
async fn checks_speak_http2_where_the_endpoint_does() {
    worker(async {
        let raw = Raw::bind().await;
        let port = raw.port();
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = asked.clone();
        spawn_local(async move {
            loop {
                let (tcp, _) = raw.listener().accept().await.unwrap();
                let counted = counted.clone();
                spawn_local(async move {
                    let mut connection = h2::server::handshake(tcp).await.unwrap();
                    while let Some(Ok((request, mut respond))) = connection.accept().await {
                        assert_eq!(request.uri().path(), "/healthz");
                        let answer = http::Response::new(());
                        let _ = respond.send_response(answer, true);
                        counted.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        let config = model::Upstream { h2c: true, ..checked(&[port], |_| {}) };
        let client = Worker::new(&config);
        checks(&asked, 5).await;
        assert_eq!(healthy(&client.upstream), [true]);
    })
    .await;
}

#[tokio::test]
async fn when_nobody_is_healthy_all_are_asked_unless_that_is_forbidden() {
    worker(async {
        let raw = Raw::bind().await;
        let port = raw.port();
        serve(raw, |request| match request.starts_with("GET /healthz") {
            true => status("500 Internal Server Error"),
            false => status("200 OK"),
        });
        let open = Worker::new(&checked(&[port], |_| {}));
        let closed = checked(&[port], |_| {});
        let closed = Worker::new(&model::Upstream { panic_percent: 0, ..closed });
        until(&open.upstream, &[false]).await;
        until(&closed.upstream, &[false]).await;
        assert_eq!(open.ask(get()).await.unwrap().0, 200);
        assert_eq!(closed.ask(get()).await.unwrap_err().kind, Failure::Unavailable);
    })
    .await;
}

#[tokio::test]
async fn an_endpoint_that_accepts_nobody_is_ejected_and_comes_back() {
    worker(async {
        let (good, dead) = (Raw::bind().await, Raw::bind().await.port());
        let mut config = config(&[good.port(), dead]);
        serve(good, |_| status("200 OK"));
        config.outlier.eject = Duration::from_millis(400);
        let client = Worker::new(&config);
        let mut failed = 0;
        while client.upstream.ejections()[0].1 == 0 {
            failed += usize::from(client.ask(get()).await.is_err());
        }
        assert_eq!(failed, 3, "as many as it takes by default");
        assert_eq!(healthy(&client.upstream), [true, false]);
        let left = client.upstream.health()[1].ejected_for.unwrap();
        assert!(left <= Duration::from_millis(400), "{left:?}");
        while client.upstream.health()[1].ejected_for.is_some() {
            if client.ask(get()).await.is_err() {
                break; // the ejection ended in between
            }
            sleep(Duration::from_millis(5)).await;
        }
        let listener = TcpListener::bind(("127.0.0.1", dead)).await.unwrap();
        let seen = Arc::new(AtomicUsize::new(0));
        let counted = seen.clone();
        serve(Raw::from(listener), move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            status("200 OK")
        });
        while seen.load(Ordering::SeqCst) == 0 {
            let _ = client.ask(get()).await;
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn server_errors_eject_where_configured_and_never_the_last() {
    worker(async {
        let raws = [Raw::bind().await, Raw::bind().await];
        let ports: Vec<u16> = raws.iter().map(Raw::port).collect();
        for raw in raws {
            serve(raw, |_| status("500 Internal Server Error"));
        }
        let outlier =
            model::Outlier { consecutive_5xx: 4, max_ejected_percent: 100, ..Default::default() };
        let client = Worker::new(&model::Upstream { outlier, ..config(&ports) });
        for _ in 0..40 {
            assert_eq!(client.ask(get()).await.unwrap().0, 500);
        }
        let available = healthy(&client.upstream).into_iter().filter(|free| *free).count();
        assert_eq!(available, 1);
        assert_eq!(client.upstream.ejections()[2], ("consecutive-5xx", 1));
    })
    .await;
}

#[tokio::test]
async fn without_configuration_errors_of_the_server_eject_nobody() {
    worker(async {
        let raws = [Raw::bind().await, Raw::bind().await];
        let ports: Vec<u16> = raws.iter().map(Raw::port).collect();
        for raw in raws {
            spawn_local(async move {
                loop {
                    let mut peer: Peer = raw.accept().await;
                    spawn_local(async move { drop(peer.request().await) }); // closes without a word
                }
            });
        }
        let client = Worker::new(&config(&ports));
        for _ in 0..20 {
            assert!(client.ask(get()).await.is_err());
        }
        assert_eq!(healthy(&client.upstream), [true, true]);
    })
    .await;
}

#[tokio::test]
async fn beyond_its_bound_an_upstream_is_not_asked() {
    worker(async {
        let raw = Raw::bind().await;
        let mut config = config(&[raw.port()]);
        config.circuit.max_requests = 2;
        config.circuit.max_pending = 0;
        let client = std::rc::Rc::new(Worker::new(&config));
        let ask = || {
            let client = client.clone();
            spawn_local(async move { client.ask(get()).await.map(|(status, _)| status) })
        };
        let mut busy = vec![ask(), ask()];
        let mut peers = vec![raw.accept().await, raw.accept().await];
        let refused = client.ask(get()).await.unwrap_err();
        assert_eq!(refused.kind, Failure::Overloaded);
        assert!(refused.unsent.is_some(), "nothing was sent");
        assert!(client.upstream.circuit().is_open());
        let served: BTreeSet<_> = {
            for peer in &mut peers {
                peer.request().await;
                peer.say(status("200 OK").unwrap()).await;
            }
            let mut served = BTreeSet::new();
            for task in busy.drain(..) {
                served.insert(task.await.unwrap().unwrap());
            }
            served
        };
        assert_eq!(served, BTreeSet::from([200]));
        assert_eq!(client.upstream.circuit().requests(), 0, "leave ends with the response");
        let counters = client.upstream.endpoints()[0].counters().requests();
        assert_eq!(counters, 2);
    })
    .await;
}

#[tokio::test]
async fn leave_lasts_to_the_end_of_the_body() {
    worker(async {
        let raw = Raw::bind().await;
        let client = Worker::new(&config(&[raw.port()]));
        let asked = client.send(get());
        let served = async {
            let mut peer = raw.accept().await;
            peer.request().await;
            peer.say("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab").await;
            peer
        };
        let (response, _peer) = tokio::join!(asked, served);
        let response = response.unwrap();
        assert_eq!(client.upstream.circuit().requests(), 1);
        drop(response);
        assert_eq!(client.upstream.circuit().requests(), 0);
    })
    .await;
}
