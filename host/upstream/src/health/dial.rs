//! A connection of its own for one check.

use std::{future::Future, io, net::SocketAddr, pin::Pin};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{Ask, Unwell};
use crate::{
    connect::{ConnectError, first_of},
    resolve::Addresses,
};

/// A connection for one check. It is never one of a pool: a listener that accepts nobody any more is not well, however
/// well the connections are that it has.
pub(super) enum Dialed {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// What HTTP runs on.
pub(super) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// Futures with a name, since the compiler does not see through nested ones that they may change threads.
pub(super) type Dialing<'a> = Pin<Box<dyn Future<Output = Result<Dialed, Unwell>> + Send + 'a>>;
type Resolving<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;

fn resolve(addresses: &Addresses) -> Resolving<'_> {
    Box::pin(addresses.resolve())
}

async fn dial(ask: &Ask) -> Result<Dialed, Unwell> {
    let Ask { upstream, endpoint, deadline, .. } = ask;
    let resolved = resolve(endpoint.addresses()).await;
    let resolved = resolved
        .map_err(|source| ConnectError::Resolve { host: endpoint.host().to_owned(), source })?;
    let tcp = first_of(&resolved, *deadline, upstream.connect_timeout()).await?;
    let (Some(config), Some(name)) = (upstream.tls(), endpoint.server_name()) else {
        return Ok(Dialed::Plain(tcp));
    };
    let connector = TlsConnector::from(config);
    let tls = connector.connect(name.clone(), tcp).await.map_err(Unwell::Tls)?;
    Ok(Dialed::Tls(Box::new(tls)))
}

impl Dialed {
    /// Connects, with TLS if the endpoint has it.
    pub(super) fn dial(ask: &Ask) -> Dialing<'_> {
        Box::pin(dial(ask))
    }

    /// Whether it speaks HTTP/2: as agreed in the handshake, or as configured.
    pub(super) fn is_http2(&self, h2c: bool) -> bool {
        match self {
            Self::Plain(_) => h2c,
            Self::Tls(tls) => tls.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }

    pub(super) fn into_io(self) -> Box<dyn Io> {
        match self {
            Self::Plain(tcp) => Box::new(tcp),
            Self::Tls(tls) => tls,
        }
    }
}
