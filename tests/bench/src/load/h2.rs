//! Connections of HTTP/2 in TLS, each with several requests at the same time.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{net::TcpStream, task::JoinSet};
use tokio_rustls::TlsConnector;

use super::{CONCURRENCY, h1::gather, micros};
use crate::ask::{Answer, Ask, HOST};

type Sender = SendRequest<Empty<Bytes>>;

/// Connections; the requests at the same time are spread over them.
const CONNECTIONS: usize = 8;

/// Loads a server for a while, in a closed loop. Microseconds of each request.
pub(crate) async fn run(
    address: SocketAddr,
    tls: &Arc<ClientConfig>,
    ask: &Ask,
    turn: Duration,
) -> Result<Vec<u32>> {
    let end = Instant::now() + turn;
    let mut lines = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let sender = connect(address, tls).await?;
        for _ in 0..CONCURRENCY / CONNECTIONS {
            lines.spawn_local(line(sender.clone(), request(ask)?, end));
        }
    }
    gather(lines).await
}

async fn line(
    mut sender: Sender,
    request: Request<Empty<Bytes>>,
    end: Instant,
) -> Result<Vec<u32>> {
    let mut latencies = Vec::new();
    while Instant::now() < end {
        let begun = Instant::now();
        let response = exchange(&mut sender, request.clone()).await?;
        if response.status() != 200 {
            bail!("not 200: {:?}", response.into_parts().0);
        }
        latencies.push(micros(begun));
    }
    Ok(latencies)
}

/// One request on a connection of its own.
pub(crate) async fn once(
    address: SocketAddr,
    tls: &Arc<ClientConfig>,
    ask: &Ask,
) -> Result<Answer> {
    let mut sender = connect(address, tls).await?;
    let response = exchange(&mut sender, request(ask)?).await?;
    let mut head = format!("status: {}\n", response.status().as_u16());
    for (name, value) in response.headers() {
        head.push_str(&format!("{name}: {}\n", value.to_str()?));
    }
    Ok(Answer { head, body: response.into_body().to_vec() })
}

async fn exchange(sender: &mut Sender, request: Request<Empty<Bytes>>) -> Result<Response<Bytes>> {
    sender.ready().await?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
}

async fn connect(address: SocketAddr, tls: &Arc<ClientConfig>) -> Result<Sender> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let connector = TlsConnector::from(Arc::clone(tls));
    let stream = connector.connect(ServerName::try_from(HOST)?, stream).await?;
    if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        bail!("HTTP/2 was not agreed on");
    }
    let (sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.context("no HTTP/2")?;
    tokio::spawn(connection);
    Ok(sender)
}

fn request(ask: &Ask) -> Result<Request<Empty<Bytes>>> {
    let mut request = Request::get(format!("https://{HOST}{}", ask.path));
    for (name, value) in &ask.fields {
        request = request.header(*name, *value);
    }
    Ok(request.body(Empty::new())?)
}
