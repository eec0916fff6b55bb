//! G9: endpoints that are discovered, and a name service that fails.

mod name_server;

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use edgewit_model as model;
use edgewit_upstream::{Endpoint, Failure, Pools, Tried, Upstream, send};
use hickory_resolver::proto::rr::{
    Name, RData, RecordType,
    rdata::{A, AAAA, SRV},
};
use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep},
};

use crate::support::{Raw, get, worker};
use name_server::{NameServer, Reply};

/// Nothing that is waited for takes this long.
const DEADLINE: Duration = Duration::from_secs(40);

fn config(question: model::DnsQuestion, server: &NameServer) -> model::Upstream {
    let name = model::UpstreamName::new("orders").unwrap();
    let mut config = model::Upstream::new(name, Vec::new());
    let resolvers = vec![server.address];
    let dns = model::DnsDiscovery { question, tls: false, resolvers };
    config.discovery = Some(model::Discovery::Dns(dns));
    config.timeouts.connect = Duration::from_secs(10);
    config
}

fn host(port: u16) -> model::DnsQuestion {
    model::DnsQuestion::Addresses { name: "orders.test.".to_owned(), port }
}

/// Built as the server does: on a thread that may block.
async fn build(config: model::Upstream) -> Arc<Upstream> {
    spawn_blocking(move || Upstream::new(&config).unwrap()).await.unwrap()
}

fn addresses(last: &[u8]) -> Reply {
    let a = |last: &u8| RData::A(A(Ipv4Addr::new(127, 0, 0, *last)));
    Reply::Records(last.iter().map(a).collect(), 1)
}

fn shown(upstream: &Upstream) -> String {
    let show = |e: &Arc<Endpoint>| format!("{}:{}*{}", e.host(), e.port(), e.weight());
    upstream.endpoints().iter().map(show).collect::<Vec<_>>().join(" ")
}

/// Waits until something holds.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < DEADLINE, "{what}");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn endpoints_follow_the_name_service() {
    worker(async {
        let server = NameServer::bind().await;
        server.says("orders.test.", RecordType::A, addresses(&[1]));
        let upstream = build(config(host(80), &server)).await;
        until("the first answer", || shown(&upstream) == "127.0.0.1:80*1").await;
        let first = upstream.endpoints()[0].clone();

        server.says("orders.test.", RecordType::A, addresses(&[2, 1]));
        let both = "127.0.0.1:80*1 127.0.0.2:80*1";
        until("the answer is asked for again", || shown(&upstream) == both).await;
        assert!(Arc::ptr_eq(&first, &upstream.endpoints()[0]), "who stays is the same");

        let v6 = Reply::Records(vec![RData::AAAA(AAAA("::1".parse().unwrap()))], 1);
        server.says("orders.test.", RecordType::AAAA, v6);
        // Where there is no IPv6 at all, its addresses are of no use.
        let has_v6 = std::net::UdpSocket::bind("[::1]:0").is_ok();
        let three = "127.0.0.1:80*1 127.0.0.2:80*1 ::1:80*1";
        let asked = upstream.news().good() + 2;
        until("the other family", || {
            upstream.news().good() >= asked && shown(&upstream) == if has_v6 { three } else { both }
        })
        .await;

        server.says("orders.test.", RecordType::AAAA, Reply::None);
        server.says("orders.test.", RecordType::A, addresses(&[2]));
        until("addresses go", || shown(&upstream) == "127.0.0.2:80*1").await;
    })
    .await;
}

#[tokio::test]
async fn the_last_good_answer_stays_whatever_happens() {
    for failure in [Reply::Error, Reply::NoName, Reply::None, Reply::Garbage] {
        worker(async {
            let server = NameServer::bind().await;
            server.says("orders.test.", RecordType::A, addresses(&[1, 2]));
            let upstream = build(config(host(80), &server)).await;
            let both = "127.0.0.1:80*1 127.0.0.2:80*1";
            until("the first answer", || shown(&upstream) == both).await;
            server.says("orders.test.", RecordType::A, failure.clone());
            server.says("orders.test.", RecordType::AAAA, failure.clone());
            until("the failure is noticed", || upstream.news().is_old()).await;
            assert_eq!(shown(&upstream), both, "{failure:?}");
            assert!(upstream.news().bad() > 0);
            server.says("orders.test.", RecordType::A, addresses(&[3]));
            server.says("orders.test.", RecordType::AAAA, Reply::None);
            until("it recovers", || shown(&upstream) == "127.0.0.3:80*1").await;
            assert!(!upstream.news().is_old());
        })
        .await;
    }
}

#[tokio::test]
async fn an_upstream_that_is_built_anew_begins_with_the_last_good_answer() {
    worker(async {
        let server = NameServer::bind().await;
        server.says("orders.test.", RecordType::A, addresses(&[1, 2]));
        let first = build(config(host(80), &server)).await;
        until("the first answer", || first.endpoints().len() == 2).await;
        server.says("orders.test.", RecordType::A, Reply::Silence);
        server.says("orders.test.", RecordType::AAAA, Reply::Silence);
        let mut changed = config(host(80), &server);
        changed.balance = model::Balance::LeastRequest;
        let again = build(changed).await;
        assert_eq!(again.endpoints().len(), 2);
        assert!(build(config(host(81), &server)).await.endpoints().is_empty(), "another question");
    })
    .await;
}

#[tokio::test]
async fn many_upstreams_do_not_wait_one_after_another() {
    worker(async {
        let server = NameServer::bind().await;
        server.says("orders.test.", RecordType::A, Reply::Silence);
        server.says("orders.test.", RecordType::AAAA, Reply::Silence);
        let begun = std::time::Instant::now();
        for port in 1..=40 {
            build(config(host(port), &server)).await;
        }
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(30), "{took:?}"); // 80 s if each waited
    })
    .await;
}

#[tokio::test]
async fn a_start_does_not_wait_for_a_dead_name_service() {
    worker(async {
        let server = NameServer::bind().await;
        server.says("orders.test.", RecordType::A, Reply::Silence);
        server.says("orders.test.", RecordType::AAAA, Reply::Silence);
        let origin = Raw::bind().await;
        let upstream = build(config(host(origin.port()), &server)).await;
        assert!(upstream.endpoints().is_empty());
        let pools = Pools::new();
        let error = send(&upstream, &pools, get(), &mut Tried::new()).await.unwrap_err();
        assert_eq!(error.kind, Failure::Unavailable);

        server.says("orders.test.", RecordType::A, addresses(&[1]));
        server.says("orders.test.", RecordType::AAAA, Reply::None);
        until("it is there at last", || upstream.endpoints().len() == 1).await;
        let answer = async {
            let mut peer = origin.accept().await;
            peer.request().await.unwrap();
            peer.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        };
        let mut tried = Tried::new();
        let (response, ()) = tokio::join!(send(&upstream, &pools, get(), &mut tried), answer);
        assert_eq!(response.unwrap().status(), 200);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn after_an_hour_without_news_endpoints_are_given_up() {
    let server = NameServer::bind().await;
    server.says("orders.test.", RecordType::A, addresses(&[1]));
    let upstream = build(config(host(80), &server)).await;
    until("the first answer", || shown(&upstream) == "127.0.0.1:80*1").await;
    server.says("orders.test.", RecordType::A, Reply::Error);
    server.says("orders.test.", RecordType::AAAA, Reply::Error);
    let begun = Instant::now();
    // The clock stands still until nobody has anything else to do, then it jumps to the next timer.
    while !upstream.endpoints().is_empty() && begun.elapsed() < Duration::from_secs(5_000) {
        sleep(Duration::from_secs(10)).await;
    }
    let kept = begun.elapsed().as_secs();
    assert!((3_590..3_700).contains(&kept), "kept for {kept} s");
    assert!(upstream.endpoints().is_empty());
}

#[tokio::test]
async fn services_bring_their_ports_and_shares() {
    worker(async {
        let server = NameServer::bind().await;
        let (heavy, light) = (Raw::bind().await, Raw::bind().await);
        let service = |priority, weight, port, host: &str| {
            RData::SRV(SRV::new(priority, weight, port, Name::from_ascii(host).unwrap()))
        };
        let records = vec![
            service(20, 1, 9, "backup.test."),
            service(10, 30, heavy.port(), "heavy.test."),
            service(10, 10, light.port(), "light.test."),
        ];
        server.says("_http._tcp.orders.test.", RecordType::SRV, Reply::Records(records, 1));
        server.says("heavy.test.", RecordType::A, addresses(&[1]));
        server.says("light.test.", RecordType::A, addresses(&[1]));
        let name = "_http._tcp.orders.test.".to_owned();
        let upstream = build(config(model::DnsQuestion::Services { name }, &server)).await;
        let expected = format!("127.0.0.1:{}*3 127.0.0.1:{}*1", heavy.port(), light.port());
        until("the services", || shown(&upstream) == expected).await;

        let pools = Pools::new();
        let origin = |raw: Raw| async move {
            let mut heads = Vec::new();
            let mut peer = raw.accept().await;
            while let Some(head) = peer.request().await {
                heads.push(head);
                peer.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
            }
            heads
        };
        let origins = tokio::task::spawn_local(async move {
            tokio::join!(origin(heavy), origin(light)) //
        });
        for _ in 0..40 {
            let mut request = get();
            request.headers_mut().remove("host");
            let response = send(&upstream, &pools, request, &mut Tried::new()).await.unwrap();
            drop(http_body_util::BodyExt::collect(response.into_body()).await.unwrap());
        }
        let port = upstream.endpoints()[0].port();
        drop((pools, upstream));
        let (heavy, light) = origins.await.unwrap();
        assert_eq!((heavy.len(), light.len()), (30, 10), "weights are shares");
        assert!(heavy[0].contains(&format!("\r\nhost: heavy.test:{port}\r\n")), "{}", heavy[0]);

        assert!(server.asked_for("heavy.test.") && !server.asked_for("backup.test."));
    })
    .await;
}

#[tokio::test]
async fn nobody_is_asked_once_the_upstream_is_gone() {
    worker(async {
        let server = NameServer::bind().await;
        server.says("orders.test.", RecordType::A, addresses(&[1]));
        let upstream = build(config(host(80), &server)).await;
        until("the first answer", || !upstream.endpoints().is_empty()).await;
        drop(upstream);
        sleep(Duration::from_millis(200)).await; // a question may be under way
        let asked = server.questions();
        sleep(Duration::from_secs(2)).await; // two times to live
        assert_eq!(server.questions(), asked);
    })
    .await;
}

#[tokio::test]
async fn a_request_outlives_the_endpoint_it_went_to() {
    worker(async {
        let (old, new) = (Raw::bind().await, Raw::bind().await);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("servers.json");
        let write = |raw: &Raw| {
            let list = format!("{{\"servers\": [\"http://127.0.0.1:{}\"]}}", raw.port());
            std::fs::write(&path, list).unwrap();
        };
        write(&old);
        let name = model::UpstreamName::new("orders").unwrap();
        let mut config = model::Upstream::new(name, Vec::new());
        config.discovery = Some(model::Discovery::File(path.clone()));
        config.timeouts.connect = Duration::from_secs(10);
        let upstream = build(config).await;
        let pools = Pools::new();
        let (running, running_pools) = (upstream.clone(), pools.clone());
        let slow = tokio::task::spawn_local(async move {
            send(&running, &running_pools, get(), &mut Tried::new()).await.unwrap()
        });
        let mut peer = old.accept().await;
        peer.request().await.unwrap();
        let gone = upstream.endpoints()[0].clone();

        write(&new);
        until("the new endpoint", || upstream.endpoints()[0].port() == new.port()).await;
        peer.say("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nold").await;
        let response = slow.await.unwrap();
        let next = async {
            let mut peer = new.accept().await;
            peer.request().await.unwrap();
            peer.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        };
        let mut tried = Tried::new();
        let (sent, ()) = tokio::join!(send(&upstream, &pools, get(), &mut tried), next);
        assert_eq!(sent.unwrap().status(), 200);
        let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap();
        assert_eq!(body.to_bytes(), "old", "what was under way came to its end");
        assert_eq!((gone.counters().requests(), gone.counters().in_flight()), (1, 0));
    })
    .await;
}

#[tokio::test]
async fn a_file_is_read_when_its_content_changes() {
    worker(async {
        let dir = tempfile::tempdir().unwrap();
        let version = |name: &str, content: &str| {
            std::fs::create_dir(dir.path().join(name)).unwrap();
            std::fs::write(dir.path().join(name).join("servers.json"), content).unwrap();
        };
        // A link to a folder that is turned elsewhere: how Kubernetes replaces a mounted file.
        let turn = |name: &str| {
            let link = dir.path().join("..next");
            std::os::unix::fs::symlink(name, &link).unwrap();
            std::fs::rename(&link, dir.path().join("..data")).unwrap();
        };
        version("v1", r#"{"servers": ["http://127.0.0.1:81"]}"#);
        version("v2", r#"{"servers": ["http://127.0.0.1:81", "http://127.0.0.1:82"]}"#);
        version("v3", r#"{"servers": "#);
        turn("v1");
        let name = model::UpstreamName::new("orders").unwrap();
        let mut config = model::Upstream::new(name, Vec::new());
        config.discovery = Some(model::Discovery::File(dir.path().join("..data/servers.json")));
        let upstream = build(config).await;
        assert_eq!(shown(&upstream), "127.0.0.1:81*1");
        let first = upstream.endpoints()[0].clone();
        turn("v2");
        let both = "127.0.0.1:81*1 127.0.0.1:82*1";
        until("the new content", || shown(&upstream) == both).await;
        assert!(Arc::ptr_eq(&first, &upstream.endpoints()[0]));
        turn("v3");
        until("the bad content is noticed", || upstream.news().bad() == 1).await;
        assert_eq!(shown(&upstream), both);
        turn("v1");
        until("the good content", || shown(&upstream) == "127.0.0.1:81*1").await;
        assert!(!upstream.news().is_old());
    })
    .await;
}
