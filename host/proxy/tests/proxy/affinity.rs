//! Clients that stay with their endpoint.

use std::{sync::Arc, time::Duration};

use edgewit_model as model;
use edgewit_upstream::Upstream;
use http::HeaderName;

use crate::support::{Backend, Gateway, forward_to, listener, route, talk};

fn upstream(backends: &[&Backend], change: impl FnOnce(&mut model::Upstream)) -> Arc<Upstream> {
    let endpoint = |backend: &&Backend| model::Endpoint {
        tls: false,
        host: backend.address.ip().to_string(),
        port: backend.address.port(),
        weight: 1,
    };
    let name = model::UpstreamName::new("carts").unwrap();
    let mut config = model::Upstream::new(name, backends.iter().map(endpoint).collect());
    config.timeouts.connect = Duration::from_secs(10);
    change(&mut config);
    Upstream::new(&config).unwrap()
}

fn gateway(upstream: &Arc<Upstream>) -> Gateway {
    let mut route = route(forward_to(&[upstream]));
    route.retry.attempts = 2;
    Gateway::new(listener(), vec![(route, Vec::new(), vec![upstream.clone()])])
}

async fn ask(gateway: &Gateway, fields: &str) -> String {
    let request =
        format!("GET /cart?id=7 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{fields}\r\n");
    let response = talk(gateway.address, request).await;
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    response
}

/// `name=value` of the cookie that a response sets.
fn cookie(response: &str) -> Option<String> {
    let line = response.lines().find_map(|line| line.strip_prefix("set-cookie: "))?;
    assert!(line.ends_with("; Path=/; Max-Age=60; HttpOnly; SameSite=Lax"), "{line}");
    line.split(';').next().map(str::to_owned)
}

#[tokio::test]
async fn a_client_stays_with_the_endpoint_that_answered_first() {
    let backends = [Backend::ok().await, Backend::ok().await, Backend::ok().await];
    let upstream = upstream(&backends.each_ref()[..], |config| {
        let ttl = Some(Duration::from_secs(60));
        let cookie = "cart".to_owned();
        config.affinity = Some(model::Affinity { cookie, ttl, secret: None });
    });
    let gateway = gateway(&upstream);
    let ours = cookie(&ask(&gateway, "").await).expect("the first answer sets the cookie");
    let counts = || backends.each_ref().map(|backend| backend.heads().len());
    let home = counts().iter().position(|count| *count == 1).unwrap();
    for _ in 0..6 {
        let response = ask(&gateway, &format!("cookie: a=b; {ours}; c=d\r\n")).await;
        assert_eq!(cookie(&response), None, "it knows already");
    }
    assert_eq!(counts()[home], 7);
    let last = backends[home].heads().pop().unwrap();
    assert!(last.contains("\r\ncookie: a=b; c=d\r\n"), "the cookie is ours: {last}");

    // Others are spread, whatever they send.
    for value in ["", "cookie: cart=\r\n", "cookie: cart=10.0.0.1:80\r\n", "cookie: x=y\r\n"] {
        assert!(cookie(&ask(&gateway, value).await).is_some(), "{value}");
    }
    assert!(counts().iter().all(|count| *count > 0), "{:?}", counts());
}

#[tokio::test]
async fn a_client_whose_endpoint_is_gone_gets_another() {
    let (one, other) = (Backend::ok().await, Backend::ok().await);
    let affinity = |config: &mut model::Upstream| {
        let ttl = Some(Duration::from_secs(60));
        let secret = Some(model::Secret("0123456789abcdef".to_owned()));
        config.affinity = Some(model::Affinity { cookie: "cart".to_owned(), ttl, secret });
    };
    let first = gateway(&upstream(&[&one, &other], affinity));
    let ours = cookie(&ask(&first, "").await).unwrap();
    let (home, away) = if one.heads().is_empty() { (&other, &one) } else { (&one, &other) };
    // Another gateway with the same secret knows the cookie; one that lacks the endpoint renews it.
    let twin = gateway(&upstream(&[away, home], affinity));
    assert_eq!(cookie(&ask(&twin, &format!("cookie: {ours}\r\n")).await), None);
    assert_eq!(home.heads().len(), 2);
    let without = gateway(&upstream(&[away], affinity));
    let renewed = cookie(&ask(&without, &format!("cookie: {ours}\r\n")).await);
    assert!(renewed.is_some_and(|renewed| renewed != ours));
}

#[tokio::test]
async fn requests_that_are_alike_go_to_the_same_endpoint() {
    let backends = [Backend::ok().await, Backend::ok().await, Backend::ok().await];
    let header = || model::HashOn::Header(HeaderName::from_static("x-user"));
    for balance in [model::Balance::RingHash, model::Balance::Maglev] {
        for (hash_on, same) in [
            (header(), "x-user: ann\r\n"),
            (model::HashOn::Cookie("sid".to_owned()), "cookie: a=b; sid=ann\r\n"),
            (model::HashOn::Query("id".to_owned()), ""),
            (model::HashOn::Client, ""),
            (model::HashOn::Path, ""),
        ] {
            let upstream = upstream(&backends.each_ref()[..], |config| {
                config.balance = balance;
                config.hash_on = Some(hash_on.clone());
            });
            let gateway = gateway(&upstream);
            let counts = || backends.each_ref().map(|backend| backend.heads().len());
            let before = counts();
            for _ in 0..6 {
                ask(&gateway, same).await;
            }
            let after = counts();
            let grown = after.iter().zip(before).filter(|(after, before)| **after > *before);
            assert_eq!(grown.count(), 1, "{balance:?} {hash_on:?}");
        }
        let upstream = upstream(&backends.each_ref()[..], |config| {
            config.balance = balance;
            config.hash_on = Some(header());
        });
        let gateway = gateway(&upstream);
        for user in 0..40 {
            ask(&gateway, &format!("x-user: {user}\r\n")).await;
        }
        let connections: Vec<u64> =
            upstream.endpoints().iter().map(|e| e.counters().requests()).collect();
        assert!(connections.iter().all(|count| *count > 0), "{balance:?} {connections:?}");
    }
}

#[tokio::test]
async fn what_an_upstream_counts_is_exported() {
    let backend = Backend::ok().await;
    let upstream = upstream(&[&backend], |_| {});
    let gateway = gateway(&upstream);
    ask(&gateway, "").await;
    let labels = format!(
        "server_address=\"127.0.0.1\",server_port=\"{}\",edgewit_upstream=\"carts\"",
        backend.address.port()
    );
    let line = |state: &str, count: u32| {
        format!(
            "http_client_open_connections{{{labels},http_connection_state=\"{state}\"}} {count}\n"
        )
    };
    let text = gateway.metrics.text();
    assert!(text.contains("edgewit_upstream_endpoints{upstream=\"carts\"} 1\n"), "{text}");
    assert!(!text.contains("edgewit_discovery"), "{text}");
    assert!(text.contains(&line("active", 0)) && text.contains(&line("idle", 1)), "{text}");
}
