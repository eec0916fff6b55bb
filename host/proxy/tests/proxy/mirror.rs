//! Copies of requests for another upstream.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use edgewit_chain::Chain;
use edgewit_model::{ByteSize, Mirror, PathRewrite, Route, UpstreamName};
use edgewit_proxy::{LiveRoute, Proxy, Snapshot};
use edgewit_telemetry::Metrics;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{
    Backend, Connection, Gateway, forward_to, listener, read_head, route, talk, until, upstream,
    within,
};

/// Everything goes to one backend, and copies of bodies up to 1 KiB to the other.
fn mirroring(primary: &Backend, mirror: &Backend, change: impl FnOnce(&mut Route)) -> Gateway {
    let metrics = Metrics::new(2);
    let (own, copies) = (upstream("u", &[primary.address]), upstream("m", &[mirror.address]));
    let mut route = route(forward_to(&[&own]));
    let name = UpstreamName::new("m").unwrap();
    route.mirror = Some(Mirror { upstream: name, percent: 100, body: ByteSize(1024) });
    change(&mut route);
    let chain = Arc::new(Chain::new(Vec::new(), 0));
    let live = LiveRoute::with_mirror(route, chain, vec![(own, 1)], Some(copies), &metrics);
    let snapshot = Snapshot::new(1, vec![live], None, &metrics, None).unwrap();
    let proxy = Proxy::start(Some(2), &metrics, Arc::clone(&snapshot)).unwrap();
    let listener = listener();
    let listeners = BTreeMap::from([(listener.name.clone(), listener)]);
    let bound = proxy.apply(&listeners, snapshot).unwrap();
    Gateway { proxy, metrics, address: bound[0].address, listeners }
}

fn counted(gateway: &Gateway, result: &str, count: u32) -> impl FnMut() -> bool + use<> {
    let metrics = Arc::clone(&gateway.metrics);
    let line = format!("edgewit_mirrored_total{{route=\"r\",result=\"{result}\"}} {count}\n");
    move || metrics.text().contains(&line)
}

/// Remembers whole requests with `content-length` or chunks, and answers with 500 and some body.
async fn recording() -> (Backend, Arc<Mutex<Vec<String>>>) {
    let requests: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&requests);
    let backend = Backend::new(move |mut stream, _| {
        let seen = Arc::clone(&seen);
        async move {
            while let Some(mut head) = read_head(&mut stream).await {
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                let length: usize = length.map_or(0, |length| length.parse().unwrap());
                let mut body = vec![0; length];
                stream.read_exact(&mut body).await.unwrap();
                head.push_str(&String::from_utf8(body).unwrap());
                seen.lock().unwrap().push(head);
                let response = b"HTTP/1.1 500 No\r\ncontent-length: 5\r\n\r\nnever";
                stream.write_all(response).await.unwrap();
            }
        }
    });
    (backend.await, requests)
}

#[tokio::test]
async fn a_copy_is_the_very_request_and_its_response_is_dropped() {
    let primary = Backend::ok().await;
    let (mirror, copies) = recording().await;
    let gateway = mirroring(&primary, &mirror, |route| {
        let (from, to) = ("/a".to_owned(), "/b".to_owned());
        route.rewrite.path = Some(PathRewrite::Prefix { from, to });
    });
    let get = "GET /a/x?q HTTP/1.1\r\nhost: A.test\r\nx-own: 1\r\nconnection: close\r\n\r\n";
    let response = talk(gateway.address, get).await;
    assert!(response.starts_with("HTTP/1.1 200 OK") && response.ends_with("ok"), "{response}");
    until("the copy has its response", counted(&gateway, "ok", 1)).await;
    assert_eq!(*copies.lock().unwrap(), primary.heads());
    assert!(primary.heads()[0].starts_with("GET /b/x?q HTTP/1.1\r\n"));
}

#[tokio::test]
async fn bodies_are_copied_up_to_the_bound() {
    let (primary, requests) = recording().await;
    let (mirror, copies) = recording().await;
    let gateway = mirroring(&primary, &mirror, |_| {});
    let post = |length: usize| {
        let body = "x".repeat(length);
        format!(
            "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        )
    };
    assert!(talk(gateway.address, post(1024)).await.starts_with("HTTP/1.1 500 "));
    until("the copy has its response", counted(&gateway, "ok", 1)).await;
    assert_eq!(*copies.lock().unwrap(), *requests.lock().unwrap());
    assert!(talk(gateway.address, post(1025)).await.starts_with("HTTP/1.1 500 "));
    until("the other is counted", counted(&gateway, "too-large", 1)).await;
    assert_eq!((requests.lock().unwrap().len(), copies.lock().unwrap().len()), (2, 1));
}

#[tokio::test]
async fn a_body_of_unknown_length_is_copied_when_it_has_ended() {
    let primary = Backend::new(|mut stream, _| async move {
        let _ = read_head(&mut stream).await;
        let mut body = Vec::new();
        while !body.ends_with(b"0\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => body.push(byte),
                Err(_) => return,
            }
        }
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    })
    .await;
    let (mirror, copies) = recording().await;
    let gateway = mirroring(&primary, &mirror, |_| {});
    let mut client = Connection::new(gateway.address).await;
    let head = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    client.write(format!("{head}3\r\nabc\r\n")).await;
    client.write("2\r\nde\r\n0\r\n\r\n").await;
    assert_eq!(client.response().await.1, "ok");
    until("the copy has its response", counted(&gateway, "ok", 1)).await;
    let copy = copies.lock().unwrap().remove(0);
    assert!(copy.ends_with("\r\n\r\nabcde") && copy.contains("content-length: 5"), "{copy}");
    // One that breaks off is no request.
    let mut client = Connection::new(gateway.address).await;
    client.write(format!("{head}3\r\nabc\r\n")).await;
    drop(client);
    until("the other is counted", counted(&gateway, "incomplete", 1)).await;
    // One that grows too long passes all the same.
    let mut client = Connection::new(gateway.address).await;
    let chunk = format!("400\r\n{}\r\n", "x".repeat(1024));
    client.write(format!("{head}{chunk}{chunk}0\r\n\r\n")).await;
    assert_eq!(client.response().await.1, "ok");
    until("the other is counted", counted(&gateway, "too-large", 1)).await;
    assert!(copies.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_mirror_that_hangs_or_is_down_harms_nobody() {
    let primary = Backend::ok().await;
    let silent = Backend::new(|mut stream, _| async move {
        let _ = read_head(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    let gateway = mirroring(&primary, &silent, |_| {});
    let mut client = Connection::new(gateway.address).await;
    for _ in 0..400 {
        client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(client.response().await.1, "ok");
    }
    // Of one connection, and so of one worker, 256 copies at most are on their way.
    until("the rest is dropped", counted(&gateway, "dropped", 144)).await;
    let down = Backend::new(|_, _| async {}).await;
    let gateway = mirroring(&primary, &down, |_| {});
    let mut client = Connection::new(gateway.address).await;
    for _ in 0..3 {
        client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(client.response().await.1, "ok");
    }
    until("each is counted", counted(&gateway, "failed", 3)).await;
}

#[tokio::test]
async fn a_body_is_whole_when_its_length_is_there() {
    // Over HTTP/2 the end of the stream may come later, or with trailers that never come.
    let (primary, _) = recording().await;
    let (mirror, copies) = recording().await;
    let gateway = mirroring(&primary, &mirror, |_| {});
    let stream = within(tokio::net::TcpStream::connect(gateway.address)).await.unwrap();
    let (mut sender, connection) = within(h2::client::handshake(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::post("http://a/").header("content-length", "3").body(()).unwrap();
    let (response, mut body) = sender.send_request(request, false).unwrap();
    body.send_data("abc".into(), false).unwrap();
    assert_eq!(within(response).await.unwrap().status(), 500);
    until("the copy has its response", counted(&gateway, "ok", 1)).await;
    assert!(copies.lock().unwrap()[0].ends_with("\r\n\r\nabc"));
    drop(body);
}

#[tokio::test]
async fn a_request_that_is_tried_again_is_copied_once() {
    let primary = Backend::new(|mut stream, number| async move {
        while read_head(&mut stream).await.is_some() {
            if number == 0 {
                return; // the first connection breaks
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        }
    })
    .await;
    let (mirror, copies) = recording().await;
    let gateway = mirroring(&primary, &mirror, |route| route.retry.attempts = 3);
    let put = "PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\nconnection: close\r\n\r\nabc";
    assert!(talk(gateway.address, put).await.ends_with("ok"));
    until("the copy has its response", counted(&gateway, "ok", 1)).await;
    let copies = copies.lock().unwrap().clone();
    assert!(copies.len() == 1 && copies[0].ends_with("abc"), "{copies:?}");
}

#[tokio::test]
async fn a_request_for_another_protocol_has_no_copy() {
    let primary = Backend::answering(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
    )
    .await;
    let (mirror, copies) = recording().await;
    let gateway = mirroring(&primary, &mirror, |route| {
        route.upgrades = vec![http::HeaderValue::from_static("websocket")];
    });
    let mut client = Connection::new(gateway.address).await;
    let ask = "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    client.write(ask).await;
    assert!(client.head().await.starts_with("HTTP/1.1 101 "));
    // What follows in another connection is copied, and a copy of the first would have been sent before.
    let get = "GET /after HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let _ = talk(gateway.address, get).await;
    until("the other is copied", || !copies.lock().unwrap().is_empty()).await;
    let copies = copies.lock().unwrap().clone();
    assert!(copies.len() == 1 && copies[0].starts_with("GET /after "), "{copies:?}");
}

#[tokio::test]
async fn only_a_sample_is_copied() {
    let primary = Backend::ok().await;
    let (mirror, copies) = recording().await;
    let none = mirroring(&primary, &mirror, |route| {
        if let Some(mirror) = &mut route.mirror {
            mirror.percent = 0;
        }
    });
    let mut client = Connection::new(none.address).await;
    for _ in 0..20 {
        client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(client.response().await.1, "ok");
    }
    drop(none);
    assert!(copies.lock().unwrap().is_empty());
}
