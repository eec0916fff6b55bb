//! WebSockets on streams of HTTP/2 (RFC 8441).

use std::time::Duration;

use bytes::Bytes;
use edgewit_chain::RequestVerdict;
use futures_util::{SinkExt, StreamExt};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::ext::Protocol;
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};

use super::{SWITCH, echo, exchange, websockets};
use crate::support::{
    Backend, Gateway, Native, answer, forward_to, http2, listener, read_head, respond, route,
    until, upstream, within,
};

#[tokio::test]
async fn websockets_of_http2_become_those_of_http1() {
    let backend = echo().await;
    let gateway = Gateway::changed(&backend, websockets);
    let mut sender = http2(gateway.address).await;
    let body = || Empty::new().map_err(|e| match e {}).boxed_unsync();
    // After the first answer the client knows the settings.
    within(sender.send_request(Request::get("http://a/").body(body()).unwrap())).await.unwrap();
    let request = Request::connect("http://a/chat")
        .extension(Protocol::from_static("websocket"))
        .header("sec-websocket-version", "13");
    let response = within(sender.send_request(request.body(body()).unwrap())).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert!(!response.headers().contains_key("sec-websocket-accept"));
    let stream = TokioIo::new(within(hyper::upgrade::on(response)).await.unwrap());
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
    exchange(&mut socket).await;
    within(socket.send(Message::text("die"))).await.unwrap();
    assert!(within(socket.next()).await.unwrap().is_err());
    drop(socket);
    until("it has ended", || gateway.metrics.text().contains("edgewit_tunnels 0")).await;
}

/// A WebSocket's stream, as frames.
async fn open(gateway: &Gateway) -> (Response<h2::RecvStream>, h2::SendStream<Bytes>) {
    let stream = within(TcpStream::connect(gateway.address)).await.unwrap();
    let (client, connection) = within(h2::client::handshake(stream)).await.unwrap();
    tokio::spawn(connection);
    until("the settings have come", || client.is_extended_connect_protocol_enabled()).await;
    let request = Request::connect("http://a/chat");
    let request = request.extension(h2::ext::Protocol::from_static("websocket")).body(()).unwrap();
    let mut client = within(client.ready()).await.unwrap();
    let (response, stream) = client.send_request(request, false).unwrap();
    (within(response).await.unwrap(), stream)
}

#[tokio::test]
async fn a_stream_whose_upstream_breaks_is_reset() {
    let backend = Backend::new(|mut stream, _| async move {
        read_head(&mut stream).await.unwrap();
        stream.write_all(SWITCH.as_bytes()).await.unwrap();
        stream.read_u8().await.unwrap();
        SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    })
    .await;
    let gateway = Gateway::changed(&backend, websockets);
    let (response, mut stream) = open(&gateway).await;
    assert_eq!(response.status(), StatusCode::OK);
    stream.send_data(Bytes::from_static(b"x"), false).unwrap();
    let end = within(response.into_body().data()).await;
    assert!(matches!(&end, Some(Err(error)) if error.is_reset()), "{end:?}");
}

#[tokio::test]
async fn a_stream_of_http2_opens_only_what_the_upstream_opened() {
    for (answer, expected) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", 502),
        ("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno", 403),
        ("HTTP/1.1 101 Switching Protocols\r\nupgrade: irc\r\n\r\n", 502),
    ] {
        let backend = Backend::answering(answer).await;
        for (allowed, expected) in [(true, expected), (false, 405)] {
            let gateway = Gateway::changed(&backend, |route| {
                if allowed {
                    websockets(route);
                }
            });
            let mut sender = http2(gateway.address).await;
            let body = || Empty::<Bytes>::new().map_err(|e| match e {}).boxed_unsync();
            let warm = Request::get("http://a/").body(body()).unwrap();
            let _ = within(sender.send_request(warm)).await.unwrap();
            let request = Request::connect("http://a/chat")
                .extension(Protocol::from_static("websocket"))
                .body(body());
            let response = within(sender.send_request(request.unwrap())).await.unwrap();
            assert_eq!(response.status(), expected, "{answer} {allowed}");
        }
    }
}

#[tokio::test]
async fn a_stream_whose_client_takes_nothing_is_cut() {
    let backend = Backend::new(|mut stream, _| async move {
        read_head(&mut stream).await.unwrap();
        stream.write_all(SWITCH.as_bytes()).await.unwrap();
        while stream.write_all(&[b'x'; 65_536]).await.is_ok() {}
    })
    .await;
    let upstream = upstream("u", &[backend.address]);
    let mut to = route(forward_to(&[&upstream]));
    websockets(&mut to);
    let mut listener = listener();
    listener.limits.stall_timeout = Duration::from_millis(200);
    let gateway = Gateway::new(listener, vec![(to, Vec::new(), vec![upstream])]);
    let (response, _sending) = open(&gateway).await;
    assert_eq!(response.status(), StatusCode::OK);
    until("it is cut", || gateway.metrics.text().contains("edgewit_tunnels 0")).await;
    let mut body = response.into_body();
    let error = loop {
        match within(body.data()).await.expect("no orderly end") {
            Ok(data) => body.flow_control().release_capacity(data.len()).unwrap(),
            Err(error) => break error,
        }
    };
    assert!(error.is_reset(), "{error:?}");
}

/// RFC 8441 5: a success would open the stream, and there is nothing behind it.
#[tokio::test]
async fn an_answer_of_ours_opens_no_stream() {
    let filter = || Native {
        on_request: Some(Box::new(|_| Ok(RequestVerdict::Answer(answer(200, "hello"))))),
        ..Native::default()
    };
    let of_routes = [respond(200, "hello"), respond(403, "no")];
    let answered = of_routes.map(|action| (route(action), Vec::new(), Vec::new())).into_iter();
    let filtered = (route(respond(403, "no")), vec![filter().into_filter()], Vec::new());
    for ((mut to, filters, upstreams), expected) in answered.chain([filtered]).zip([502, 403, 502])
    {
        websockets(&mut to);
        let gateway = Gateway::new(listener(), vec![(to, filters, upstreams)]);
        let (response, _stream) = open(&gateway).await;
        assert_eq!(response.status(), expected);
        let mut body = response.into_body();
        let mut read = Vec::new();
        while let Some(data) = within(body.data()).await {
            read.extend_from_slice(&data.expect("an orderly end"));
        }
        assert!(!read.is_empty(), "the answer says why");
    }
}
