//! B1-B11: whatever an upstream does, no client takes it for a clean answer. Each statement holds for clients of HTTP/1.1
//! and of HTTP/2.

mod heads;

mod bodies;

mod fields;

mod waits;

mod reuse;

mod http2;

mod tls;

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use edgewit_model::{self as model, UpstreamName};
use edgewit_upstream::Upstream;
use http::{HeaderMap, Method, Request, Response, StatusCode, response::Parts};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use socket2::SockRef;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::support::{Backend, Gateway, forward_to, listener, read_head, route, within};

/// What a client got.
#[derive(Debug)]
struct Got {
    /// `None`: not even a head.
    head: Option<Parts>,
    /// `None`: the body was cut.
    body: Option<(Bytes, HeaderMap)>,
}

impl Got {
    fn status(&self) -> Option<StatusCode> {
        self.head.as_ref().map(|head| head.status)
    }

    fn is_whole(&self) -> bool {
        self.head.is_some() && self.body.is_some()
    }

    fn field(&self, name: &str) -> &str {
        let value = self.head.as_ref().and_then(|head| head.headers.get(name));
        value.map_or("", |value| value.to_str().unwrap())
    }

    fn text(&self) -> &[u8] {
        self.body.as_ref().map_or(b"", |(body, _)| body)
    }
}

/// What clients of both protocols get for this request, each over a connection of its own.
async fn both(gateway: &Gateway, method: Method, body: &'static [u8]) -> [(&'static str, Got); 2] {
    let request = |uri: &str| {
        let request = Request::builder().method(method.clone()).uri(uri).header("te", "trailers");
        let request = if uri == "/" { request.header("host", "a") } else { request };
        request.body(Full::new(Bytes::from_static(body))).unwrap()
    };
    let address = gateway.address;
    let (one, two) = (request("/"), request("http://a/"));
    [("HTTP/1.1", http1(address, one).await), ("HTTP/2", http2(address, two).await)]
}

/// What one client gets.
async fn one(gateway: &Gateway, is_http2: bool) -> Got {
    let uri = if is_http2 { "http://a/" } else { "/" };
    let request = Request::get(uri);
    let request = if is_http2 { request } else { request.header("host", "a") };
    let request = request.body(Full::default()).unwrap();
    match is_http2 {
        true => http2(gateway.address, request).await,
        false => http1(gateway.address, request).await,
    }
}

async fn http1(address: SocketAddr, request: Request<Full<Bytes>>) -> Got {
    let stream = TokioIo::new(within(TcpStream::connect(address)).await.unwrap());
    let (mut sender, connection) = within(conn::http1::handshake(stream)).await.unwrap();
    tokio::spawn(connection);
    got(within(sender.send_request(request)).await).await
}

async fn http2(address: SocketAddr, request: Request<Full<Bytes>>) -> Got {
    let stream = TokioIo::new(within(TcpStream::connect(address)).await.unwrap());
    let handshake = conn::http2::handshake(TokioExecutor::new(), stream);
    let (mut sender, connection) = within(handshake).await.unwrap();
    tokio::spawn(connection);
    got(within(sender.send_request(request)).await).await
}

async fn got(response: hyper::Result<Response<Incoming>>) -> Got {
    let Ok(response) = response else { return Got { head: None, body: None } };
    let (head, mut body) = response.into_parts();
    let (mut all, mut trailers) = (Vec::new(), HeaderMap::new());
    loop {
        // hyper takes a reset with `NO_ERROR` for an end; the stream itself says whether it was one.
        let is_end = body.is_end_stream();
        match within(body.frame()).await {
            None if head.version == http::Version::HTTP_2 && !is_end => {
                return Got { head: Some(head), body: None };
            }
            None => break,
            Some(Err(_)) => return Got { head: Some(head), body: None },
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => all.extend_from_slice(&data),
                Err(frame) => trailers = frame.into_trailers().unwrap(),
            },
        }
    }
    Got { head: Some(head), body: Some((all.into(), trailers)) }
}

/// How an upstream ends a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Close,
    Reset,
    /// Not at all.
    Hold,
}

/// An upstream that answers every connection's first request with these bytes, or every one if it holds its connections.
async fn saying(bytes: impl Into<Vec<u8>>, end: End) -> Backend {
    let bytes: Arc<[u8]> = bytes.into().into();
    Backend::new(move |mut stream, _| {
        let bytes = Arc::clone(&bytes);
        async move {
            if read_head(&mut stream).await.is_none() {
                return;
            }
            let _ = stream.write_all(&bytes).await; // the gateway may have had enough
            while end == End::Hold && read_head(&mut stream).await.is_some() {
                let _ = stream.write_all(&bytes).await;
            }
            match end {
                End::Close => {}
                End::Reset => {
                    // What was said before must have been read, else the reset takes it back.
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
                }
                End::Hold => std::future::pending().await,
            }
        }
    })
    .await
}

/// A gateway to an upstream at this address, changed like this.
fn to(address: SocketAddr, change: impl FnOnce(&mut model::Upstream)) -> (Gateway, Arc<Upstream>) {
    routed(address, change, |_| {})
}

fn routed(
    address: SocketAddr,
    change: impl FnOnce(&mut model::Upstream),
    change_route: impl FnOnce(&mut model::Route),
) -> (Gateway, Arc<Upstream>) {
    let host = address.ip().to_string();
    let endpoint = model::Endpoint { tls: false, host, port: address.port(), weight: 1 };
    let mut config = model::Upstream::new(UpstreamName::new("u").unwrap(), vec![endpoint]);
    config.timeouts.connect = crate::support::DEADLINE; // busy machines
    change(&mut config);
    let upstream = Upstream::new(&config).unwrap();
    let mut to = route(forward_to(&[&upstream]));
    change_route(&mut to);
    (Gateway::new(listener(), vec![(to, Vec::new(), vec![upstream.clone()])]), upstream)
}
