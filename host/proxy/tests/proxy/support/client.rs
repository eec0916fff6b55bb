//! Clients: bytes as they are, and hyper.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, client::conn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::within;

pub(crate) type ClientBody = UnsyncBoxBody<Bytes, std::io::Error>;

/// Sends these bytes on a connection of their own and returns everything that comes back until it is closed.
pub(crate) async fn talk(address: SocketAddr, bytes: impl AsRef<[u8]>) -> String {
    within(async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes.as_ref()).await.unwrap();
        let mut out = Vec::new();
        let _ = stream.read_to_end(&mut out).await; // a reset is an end too
        String::from_utf8_lossy(&out).into_owned()
    })
    .await
}

/// A connection that is kept.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
}

impl Connection {
    pub(crate) async fn new(address: SocketAddr) -> Self {
        Self { stream: within(TcpStream::connect(address)).await.unwrap() }
    }

    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        within(self.stream.write_all(bytes.as_ref())).await.unwrap();
    }

    /// The next response head.
    pub(crate) async fn head(&mut self) -> String {
        within(super::read_head(&mut self.stream)).await.expect("a response head")
    }

    /// So many bytes.
    pub(crate) async fn read(&mut self, length: usize) -> Vec<u8> {
        let mut out = vec![0; length];
        within(self.stream.read_exact(&mut out)).await.unwrap();
        out
    }

    /// The next response with `content-length`.
    pub(crate) async fn response(&mut self) -> (String, String) {
        let head = self.head().await;
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.trim().parse().unwrap());
        let body = self.read(length).await;
        (head, String::from_utf8(body).unwrap())
    }

    /// Everything until the end, and whether the end was a clean one.
    pub(crate) async fn rest(&mut self) -> (Vec<u8>, bool) {
        let mut out = Vec::new();
        let ended = within(self.stream.read_to_end(&mut out)).await;
        (out, ended.is_ok())
    }
}

/// One request over HTTP/1.1 with hyper.
pub(crate) async fn send(
    address: SocketAddr,
    request: Request<Full<Bytes>>,
) -> (http::response::Parts, Bytes) {
    within(async {
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut sender, connection) = conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let response: Response<Incoming> = sender.send_request(request).await.unwrap();
        let (parts, body) = response.into_parts();
        (parts, body.collect().await.unwrap().to_bytes())
    })
    .await
}

/// A connection that speaks HTTP/2 with prior knowledge.
pub(crate) async fn http2(address: SocketAddr) -> conn::http2::SendRequest<ClientBody> {
    within(async {
        let stream = TcpStream::connect(address).await.unwrap();
        let io = TokioIo::new(stream);
        let (sender, connection) = conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        sender
    })
    .await
}
