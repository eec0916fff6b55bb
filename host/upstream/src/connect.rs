//! A connection to an endpoint, made within its time.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tokio_rustls::TlsConnector;

use crate::{
    circuit::Place,
    socket::Socket,
    upstream::{Endpoint, Upstream},
    wire::Stream,
};

/// Why there is no connection. Nothing of the request was sent.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The host name has no address.
    #[error("cannot resolve `{host}`")]
    Resolve {
        /// The host.
        host: String,
        /// What the name service said.
        #[source]
        source: io::Error,
    },
    /// No address accepted the connection; the error is that of the last one.
    #[error("cannot connect to `{address}`")]
    Connect {
        /// The last address tried.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The TLS handshake failed: the certificate is not trusted or carries another name, or the peer speaks no TLS. The
    /// request is never sent in clear text instead.
    #[error("no TLS session with `{host}`")]
    Tls {
        /// The host.
        host: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// HTTP could not be begun on the connection (RFC 9113 3.4).
    #[error("HTTP could not be begun on the connection")]
    Http(#[source] hyper::Error),
    /// The upstream said something else than HTTP/2, or closed the connection (RFC 9113 3.4).
    #[error("no HTTP/2 where it was expected")]
    NoHttp2,
    /// The upstream has as many connections as it may have (`circuit.max-connections`).
    #[error("the upstream has as many connections as it may have")]
    Limit,
    /// The time for a connection was over.
    #[error("no connection within {0:?}")]
    Timeout(Duration),
}

/// Which protocols may be spoken on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offer {
    /// Those of the upstream.
    Any,
    /// HTTP/1.1 alone, for it is the only one that can be left again.
    Http1,
}

/// A connection, and whether it speaks HTTP/2.
pub(crate) async fn connect(
    upstream: &Upstream,
    endpoint: &Endpoint,
    deadline: Instant,
    offer: Offer,
    place: Option<Place>,
) -> Result<(Stream, bool), ConnectError> {
    let made = timeout_at(deadline, make(upstream, endpoint, deadline, offer, place)).await;
    made.unwrap_or_else(|_| Err(ConnectError::Timeout(upstream.connect_timeout())))
}

async fn make(
    upstream: &Upstream,
    endpoint: &Endpoint,
    deadline: Instant,
    offer: Offer,
    place: Option<Place>,
) -> Result<(Stream, bool), ConnectError> {
    let host = || endpoint.host().to_owned();
    let addresses = endpoint.addresses().resolve().await;
    let addresses = addresses.map_err(|source| ConnectError::Resolve { host: host(), source })?;
    let tcp = first_of(&addresses, deadline, upstream.connect_timeout()).await?;
    let _ = tcp.set_nodelay(true); // only costs time if it fails
    let socket = Socket::new(tcp, place);
    let (Some(config), Some(name)) = (upstream.tls(), endpoint.server_name()) else {
        if endpoint.is_tls() {
            let source = io::Error::other("TLS is not set up"); // never in clear text instead
            return Err(ConnectError::Tls { host: host(), source });
        }
        return Ok((Stream::Plain(socket), upstream.h2c() && offer == Offer::Any));
    };
    let connector = TlsConnector::from(config);
    let tls = match offer {
        Offer::Any => connector.connect(name.clone(), socket).await,
        Offer::Http1 => {
            let connector = connector.with_alpn(vec![b"http/1.1".to_vec()]);
            connector.connect(name.clone(), socket).await
        }
    };
    let tls = tls.map_err(|source| ConnectError::Tls { host: host(), source })?;
    let http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
    Ok((Stream::Tls(Box::new(tls)), http2))
}

/// Tries the addresses in turn. Each gets an even share of the time that is left, so that one that swallows packets
/// does not keep the next from being tried.
pub(crate) async fn first_of(
    addresses: &[SocketAddr],
    deadline: Instant,
    limit: Duration,
) -> Result<TcpStream, ConnectError> {
    let mut last = ConnectError::Timeout(limit);
    for (index, address) in addresses.iter().enumerate() {
        let now = Instant::now();
        let to_try = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        let share = deadline.saturating_duration_since(now) / to_try;
        last = match timeout_at(now + share, TcpStream::connect(*address)).await {
            Ok(Ok(tcp)) => return Ok(tcp),
            Ok(Err(source)) => ConnectError::Connect { address: *address, source },
            Err(_) => ConnectError::Timeout(limit),
        };
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn the_next_address_is_tried_if_one_refuses() {
        let open = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses = [closed.local_addr().unwrap(), open.local_addr().unwrap()];
        drop(closed);
        let tcp = first_of(&addresses, Instant::now() + LIMIT, LIMIT).await.unwrap();
        assert_eq!(tcp.peer_addr().unwrap(), addresses[1]);
    }

    #[tokio::test]
    async fn the_last_refusal_is_reported() {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let error = first_of(&[closed], Instant::now() + LIMIT, LIMIT).await.unwrap_err();
        assert!(matches!(error, ConnectError::Connect { address, .. } if address == closed));
    }
}
