//! A client's connection.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header::HOST};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{body::Incoming, client::conn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use crate::{Ask, Certs, Reply, block_on, spawn};

/// What a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    H1,
    /// HTTP/2, without TLS by prior knowledge, with TLS by ALPN.
    H2,
}

/// A connection on which requests follow each other.
pub struct Connection {
    sender: Sender,
    authority: String,
    scheme: &'static str,
}

enum Sender {
    H1(conn::http1::SendRequest<OutBody>),
    H2(conn::http2::SendRequest<OutBody>),
}

/// A body that is sent.
pub type OutBody = BoxBody<Bytes, std::io::Error>;
/// Why there is no response.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

impl Connection {
    /// Opens a connection without TLS.
    #[track_caller]
    pub fn open(address: SocketAddr, protocol: Protocol) -> Self {
        block_on(Self::try_open(address, protocol)).expect("a connection can be opened")
    }

    /// Opens a connection without TLS.
    pub async fn try_open(address: SocketAddr, protocol: Protocol) -> Result<Self, Error> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let sender = Sender::handshake(stream, protocol).await?;
        Ok(Self { sender, authority: address.to_string(), scheme: "http" })
    }

    /// Opens a connection with TLS that trusts the authority of `certs` and offers one protocol by ALPN.
    pub async fn open_tls(
        address: SocketAddr,
        certs: &Certs,
        protocol: Protocol,
    ) -> Result<Self, Error> {
        Self::open_with(address, certs.client(), protocol).await
    }

    /// The same with a certificate of one's own.
    pub async fn open_tls_as(
        address: SocketAddr,
        certs: &Certs,
        own: &Certs,
        protocol: Protocol,
    ) -> Result<Self, Error> {
        Self::open_with(address, certs.client_as(own), protocol).await
    }

    async fn open_with(
        address: SocketAddr,
        mut config: ClientConfig,
        protocol: Protocol,
    ) -> Result<Self, Error> {
        config.alpn_protocols = match protocol {
            Protocol::H1 => vec![b"http/1.1".to_vec()],
            Protocol::H2 => vec![b"h2".to_vec()],
        };
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from(Certs::NAME)?;
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        let sender = Sender::handshake(stream, protocol).await?;
        Ok(Self {
            sender,
            authority: format!("{}:{}", Certs::NAME, address.port()),
            scheme: "https",
        })
    }

    /// Asks, and reads the whole response.
    #[track_caller]
    pub fn send(&mut self, ask: Ask) -> Reply {
        block_on(self.try_send(ask)).expect("a response comes")
    }

    /// Asks, and reads the whole response.
    pub async fn try_send(&mut self, ask: Ask) -> Result<Reply, Error> {
        let request = ask.0.map(|body| Full::new(body).map_err(|never| match never {}).boxed());
        let response = self.begin(request).await?;
        finish(response).await
    }

    /// Sends a request, and reads the head of the response.
    pub async fn begin(&mut self, request: Request<OutBody>) -> Result<Response<Incoming>, Error> {
        let (mut head, body) = request.into_parts();
        match &mut self.sender {
            Sender::H1(sender) => {
                if !head.headers.contains_key(HOST) {
                    head.headers.insert(HOST, HeaderValue::from_str(&self.authority)?);
                }
                sender.ready().await?;
                Ok(sender.send_request(Request::from_parts(head, body)).await?)
            }
            Sender::H2(sender) => {
                let path = head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
                let authority = match head.headers.remove(HOST) {
                    Some(host) => host.to_str()?.to_owned(),
                    None => self.authority.clone(),
                };
                let uri = Uri::builder().scheme(self.scheme).authority(authority);
                head.uri = uri.path_and_query(path).build()?;
                sender.ready().await?;
                Ok(sender.send_request(Request::from_parts(head, body)).await?)
            }
        }
    }
}

/// Reads the whole response.
pub async fn finish(response: Response<Incoming>) -> Result<Reply, Error> {
    let (head, body) = response.into_parts();
    let collected = body.collect().await?;
    let trailers = collected.trailers().cloned().unwrap_or_default();
    Ok(Reply {
        status: head.status.as_u16(),
        version: head.version,
        headers: head.headers,
        body: collected.to_bytes(),
        trailers,
    })
}

impl Sender {
    async fn handshake<S>(stream: S, protocol: Protocol) -> Result<Self, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let io = TokioIo::new(stream);
        match protocol {
            Protocol::H1 => {
                let (sender, connection) = conn::http1::handshake(io).await?;
                spawn(connection);
                Ok(Sender::H1(sender))
            }
            Protocol::H2 => {
                let (sender, connection) = conn::http2::handshake(TokioExecutor::new(), io).await?;
                spawn(connection);
                Ok(Sender::H2(sender))
            }
        }
    }
}
