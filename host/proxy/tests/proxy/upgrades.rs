//! A10-A12, B12: leaving HTTP, where the route allows it and the upstream agrees.

mod http2;

mod policies;

use std::time::Duration;

use edgewit_model::Route;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderValue, StatusCode};
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, accept_async, client_async,
    tungstenite::{
        Message,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

use crate::support::{
    Backend, Connection, Gateway, Native, answer, forward_to, listener, read_head, route, talk,
    until, upstream, within,
};

const ASK: &str = "GET /chat HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const SWITCH: &str =
    "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: WebSocket\r\n\r\n";

fn websockets(route: &mut Route) {
    route.upgrades = vec![HeaderValue::from_static("websocket")];
}

/// A server of WebSockets that says everything twice, and closes when it is told to.
async fn echo() -> Backend {
    Backend::new(|stream, _| async move {
        let Ok(mut socket) = accept_async(stream).await else { return };
        while let Some(Ok(message)) = socket.next().await {
            match message {
                Message::Text(text) if text == "close" => {
                    let reason = CloseFrame { code: CloseCode::Away, reason: "told to".into() };
                    socket.close(Some(reason)).await.unwrap();
                }
                Message::Text(text) if text == "die" => return,
                Message::Text(_) | Message::Binary(_) => socket.send(message).await.unwrap(),
                _ => {} // the library answers pings and closes
            }
        }
    })
    .await
}

async fn connect(gateway: &Gateway) -> WebSocketStream<TcpStream> {
    let stream = within(TcpStream::connect(gateway.address)).await.unwrap();
    let (socket, response) = within(client_async("ws://a/chat", stream)).await.unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert!(response.headers().contains_key("x-request-id"));
    socket
}

async fn exchange<S>(socket: &mut WebSocketStream<S>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let large: Vec<u8> = (0..1 << 20).map(|n: u32| (n % 251) as u8).collect();
    for message in [
        Message::text("hello"),
        Message::binary(vec![0, 1, 255]),
        Message::binary(large),
        Message::text(""),
    ] {
        within(socket.send(message.clone())).await.unwrap();
        assert!(within(socket.next()).await.unwrap().unwrap() == message);
    }
    within(socket.send(Message::Ping("are you there".into()))).await.unwrap();
    let pong = within(socket.next()).await.unwrap().unwrap();
    assert_eq!(pong, Message::Pong("are you there".into()));
}

#[tokio::test]
async fn messages_pass_both_ways_and_either_side_closes() {
    let backend = echo().await;
    let gateway = Gateway::changed(&backend, websockets);
    let mut socket = connect(&gateway).await;
    exchange(&mut socket).await;
    within(socket.close(None)).await.unwrap();
    while let Some(message) = within(socket.next()).await {
        assert!(matches!(message, Ok(Message::Close(_))), "{message:?}");
    }
    drop(socket);

    let mut socket = connect(&gateway).await;
    within(socket.send(Message::text("close"))).await.unwrap();
    match within(socket.next()).await.unwrap().unwrap() {
        Message::Close(Some(frame)) => {
            assert_eq!((frame.code, frame.reason.as_str()), (CloseCode::Away, "told to"));
        }
        other => panic!("{other:?}"),
    }
    assert!(within(socket.next()).await.is_none());
    drop(socket);
    let metrics = || gateway.metrics.text();
    let megabytes = |sum: &str| {
        metrics().lines().any(|line| {
            let value = line.split(' ').next_back().and_then(|value| value.parse::<f64>().ok());
            line.starts_with(sum) && value.is_some_and(|value| value > 1_048_576.0)
        })
    };
    until("both have ended", || metrics().contains("http_server_active_requests 0")).await;
    assert!(metrics().contains("edgewit_tunnels 0"));
    assert!(megabytes("http_server_request_body_size_bytes_sum"), "{}", metrics());
    assert!(megabytes("http_server_response_body_size_bytes_sum"), "{}", metrics());
    assert!(metrics().contains("http_response_status_code=\"101\""), "{}", metrics());
}

#[tokio::test]
async fn an_upstream_that_dies_does_not_close_in_order() {
    let backend = echo().await;
    let gateway = Gateway::changed(&backend, websockets);
    let mut socket = connect(&gateway).await;
    within(socket.send(Message::text("die"))).await.unwrap();
    let end = within(socket.next()).await.unwrap();
    assert!(end.is_err(), "{end:?}");
}

#[tokio::test]
async fn a_route_that_allows_no_upgrade_answers_as_if_none_was_asked_for() {
    let backend = Backend::ok().await;
    let plain = Gateway::to(&backend);
    let allowing = Gateway::changed(&backend, websockets);
    let other = ASK.replace("upgrade: websocket", "upgrade: h2c\r\nhttp2-settings: AAMAAABk");
    let other = other.replace("connection: upgrade", "connection: upgrade, http2-settings");
    let no_name = ASK.replace("connection: upgrade\r\n", "");
    let posted = ASK.replace("GET", "POST");
    let sized = ASK.replace("host: a", "host: a\r\ncontent-length: 0");
    for (gateway, request) in [
        (&plain, ASK),
        (&allowing, &other),
        (&allowing, &no_name),
        (&allowing, &posted),
        (&plain, &sized),
    ] {
        let mut client = Connection::new(gateway.address).await;
        client.write(request).await;
        let (head, body) = client.response().await;
        assert!(head.starts_with("HTTP/1.1 200 ") && body == "ok", "{request}{head}");
        client.write(request).await;
        assert!(client.response().await.0.starts_with("HTTP/1.1 200 "), "the connection is kept");
    }
    for head in backend.heads() {
        for field in ["\r\nupgrade:", "\r\nconnection:", "\r\nhttp2-settings:"] {
            assert!(!head.contains(field), "{head}");
        }
    }
}

#[tokio::test]
async fn a11_nothing_is_tunnelled_before_the_upstream_agreed() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let backend = Backend::new(move |mut stream, _| {
        let tell = tell.clone();
        async move {
            read_head(&mut stream).await.unwrap();
            let early = timeout(Duration::from_millis(300), stream.read_u8()).await;
            assert!(early.is_err(), "a byte before the 101: {early:?}");
            stream.write_all(SWITCH.as_bytes()).await.unwrap();
            let mut bytes = [0; 5];
            stream.read_exact(&mut bytes).await.unwrap();
            let _ = tell.send(bytes);
        }
    })
    .await;
    let gateway = Gateway::changed(&backend, websockets);
    let mut client = Connection::new(gateway.address).await;
    client.write(format!("{ASK}early")).await;
    assert!(client.head().await.starts_with("HTTP/1.1 101 "));
    assert_eq!(within(told.recv()).await.as_ref(), Some(b"early"));
}

#[tokio::test]
async fn a11_behind_an_upgrade_that_was_refused_comes_the_next_request() {
    let backend = Backend::new(|mut stream, number| async move {
        while let Some(head) = read_head(&mut stream).await {
            let status = if head.starts_with("GET /chat ") { "403 No" } else { "200 OK" };
            let response = format!("HTTP/1.1 {status}\r\ncontent-length: 1\r\n\r\n{number}");
            stream.write_all(response.as_bytes()).await.unwrap();
        }
    })
    .await;
    let gateway = Gateway::changed(&backend, websockets);
    let mut client = Connection::new(gateway.address).await;
    client.write(format!("{ASK}GET /next HTTP/1.1\r\nhost: a\r\n\r\n")).await;
    assert!(client.response().await.0.starts_with("HTTP/1.1 403 "));
    let (head, body) = client.response().await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(body, "0", "and the upstream's connection is kept");
}

#[tokio::test]
async fn a_filter_that_refuses_keeps_the_upstream_out_of_it() {
    let backend = echo().await;
    let upstream = upstream("u", &[backend.address]);
    let mut to = route(forward_to(&[&upstream]));
    websockets(&mut to);
    let filter = Native {
        on_request: Some(Box::new(|_| {
            Ok(edgewit_chain::RequestVerdict::Answer(answer(401, "who are you?")))
        })),
        ..Native::default()
    };
    let gateway =
        Gateway::new(listener(), vec![(to, vec![filter.into_filter()], vec![upstream.clone()])]);
    let mut client = Connection::new(gateway.address).await;
    client.write(ASK).await;
    assert!(client.response().await.0.starts_with("HTTP/1.1 401 "));
    assert_eq!(upstream.endpoints()[0].counters().requests(), 0);
}

#[tokio::test]
async fn b12_a_101_to_another_protocol_or_unasked_is_a_502() {
    let ask = ASK.replace("connection: upgrade", "connection: upgrade, close");
    let plain = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    for (request, response, expected) in [
        (ask.as_str(), "HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\n\r\n", "502"),
        (&ask, "HTTP/1.1 101 Switching Protocols\r\n\r\n", "502"),
        (&ask, "HTTP/1.1 101 A\r\nupgrade: websocket\r\ncontent-length: 5\r\n\r\nhello", "502"),
        (&ask, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", "200"),
        (&ask, "HTTP/1.1 426 Upgrade Required\r\ncontent-length: 0\r\n\r\n", "426"),
        (plain, SWITCH, "502"),
    ] {
        let backend = Backend::answering(response).await;
        let gateway = Gateway::changed(&backend, websockets);
        let got = talk(gateway.address, request).await;
        assert!(got.starts_with(&format!("HTTP/1.1 {expected} ")), "{response}{got}");
        if expected == "502" && request != plain {
            assert!(got.contains("proxy-status: edgewit; error="), "{got}");
        }
        assert!(!got.contains("HTTP/1.1 101"), "{got}");
    }
}

#[tokio::test]
async fn one_side_may_end_before_the_other() {
    let backend = Backend::new(|mut stream, _| async move {
        read_head(&mut stream).await.unwrap();
        stream.write_all(SWITCH.as_bytes()).await.unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        all.reverse();
        stream.write_all(&all).await.unwrap();
    })
    .await;
    let gateway = Gateway::changed(&backend, websockets);
    let mut client = Connection::new(gateway.address).await;
    client.write(ASK).await;
    client.head().await;
    client.write("abc").await;
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.rest().await, (b"cba".to_vec(), true));
}

#[tokio::test]
async fn a_client_that_breaks_does_not_end_in_order_either() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let backend = Backend::new(move |mut stream, _| {
        let tell = tell.clone();
        async move {
            read_head(&mut stream).await.unwrap();
            stream.write_all(SWITCH.as_bytes()).await.unwrap();
            let _ = tell.send(stream.read_u8().await.map_err(|error| error.kind()));
            let _ = tell.send(stream.read_u8().await.map_err(|error| error.kind()));
        }
    })
    .await;
    let gateway = Gateway::changed(&backend, websockets);
    let mut client = Connection::new(gateway.address).await;
    client.write(ASK).await;
    client.head().await;
    client.write("x").await;
    assert_eq!(within(told.recv()).await, Some(Ok(b'x')));
    SockRef::from(&client.stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    assert_eq!(within(told.recv()).await, Some(Err(std::io::ErrorKind::ConnectionReset)));
}

#[tokio::test]
async fn an_endpoint_that_is_down_is_passed_over() {
    let backend = echo().await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let upstream = upstream("u", &[closed, backend.address]);
    let mut to = route(forward_to(&[&upstream]));
    websockets(&mut to);
    to.retry.attempts = 2;
    let gateway = Gateway::new(listener(), vec![(to, Vec::new(), vec![upstream])]);
    for _ in 0..4 {
        let mut socket = connect(&gateway).await;
        within(socket.send(Message::text("hello"))).await.unwrap();
        let echoed = within(socket.next()).await.unwrap().unwrap();
        assert_eq!(echoed, Message::text("hello"));
    }
}

#[tokio::test]
async fn a_tunnel_that_carries_nothing_is_cut() {
    let backend = echo().await;
    let gateway = Gateway::changed(&backend, |route| {
        websockets(route);
        route.tunnel_idle = Duration::from_millis(200);
    });
    let mut socket = connect(&gateway).await;
    let end = within(socket.next()).await.unwrap();
    assert!(end.is_err(), "{end:?}");
    until("it was cut", || gateway.metrics.text().contains("edgewit_tunnels 0")).await;
}

#[tokio::test]
async fn a_drain_waits_for_tunnels_and_then_cuts_them() {
    let backend = echo().await;
    let gateway = Gateway::changed(&backend, websockets);
    let mut socket = connect(&gateway).await;
    assert!(gateway.metrics.text().contains("edgewit_tunnels 1"));
    assert!(gateway.metrics.text().contains("http_server_active_requests 1"));
    assert_eq!(gateway.proxy.drain(Duration::ZERO, Duration::from_millis(300)).await, 1);
    exchange(&mut socket).await; // it still works
    drop(gateway);
    let end = within(socket.next()).await;
    assert!(!matches!(end, Some(Ok(_))), "{end:?}");
}

#[tokio::test]
async fn a_tunnel_holds_no_more_than_it_moves() {
    // An upstream that says much to a client that does not read stands still.
    let (sent, mut progress) = mpsc::unbounded_channel();
    let backend = Backend::new(move |mut stream, _| {
        let sent = sent.clone();
        async move {
            read_head(&mut stream).await.unwrap();
            stream.write_all(SWITCH.as_bytes()).await.unwrap();
            while stream.write_all(&[b'x'; 65_536]).await.is_ok() {
                let _ = sent.send(());
            }
        }
    })
    .await;
    let gateway = Gateway::changed(&backend, websockets);
    let mut client = Connection::new(gateway.address).await;
    client.write(ASK).await;
    client.head().await;
    let mut chunks = 0;
    while timeout(Duration::from_millis(500), progress.recv()).await.is_ok() {
        chunks += 1;
        assert!(chunks < 1_000, "64 MB went nowhere");
    }
    client.read(chunks * 65_536 / 2).await;
    assert!(within(progress.recv()).await.is_some());
}
