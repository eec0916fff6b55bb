//! What a handshake has brought, and which requests may follow it.

use std::{io, net::IpAddr, sync::Arc, time::SystemTime};

use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{TlsServer, certificates::time, client_auth::identity};

/// What a handshake has brought.
#[derive(Debug, Default)]
pub(crate) struct Session {
    /// The host that the client named (SNI), in lower case.
    name: Option<Box<str>>,
    /// Whom the client's certificate names.
    client: Option<Arc<str>>,
}

impl Session {
    /// A session that was resumed has the client's certificate of the handshake it goes back to, which may have expired since.
    pub(super) fn of(stream: &TlsStream<TcpStream>) -> io::Result<Self> {
        let connection = stream.get_ref().1;
        let client = match connection.peer_certificates().and_then(<[_]>::first) {
            Some(leaf) => {
                let invalid = |what| io::Error::new(io::ErrorKind::InvalidData, what);
                let (_, leaf) = X509Certificate::from_der(leaf)
                    .map_err(|_| invalid("the client's certificate cannot be read"))?;
                if time(leaf.validity().not_after) < SystemTime::now() {
                    return Err(invalid("the client's certificate has expired"));
                }
                identity(&leaf)
            }
            None => None,
        };
        Ok(Self { name: connection.server_name().map(Into::into), client })
    }

    /// Whom the client's certificate names.
    pub(crate) fn client(&self) -> Option<&Arc<str>> {
        self.client.as_ref()
    }
}

impl TlsServer {
    /// May a connection carry requests for this host (RFC 9110 15.5.20)?
    ///
    /// The host that was named in the handshake may be asked for. So may any other that the certificate shown for it speaks
    /// for, because clients that speak HTTP/2 send requests for it on the same connection (RFC 9113 9.1.1). A client that named
    /// none has said nothing that could disagree: there is no way to name an address.
    ///
    /// Where clients show certificates, a connection is for one host only: the one it named, or an address if it named none.
    pub(crate) fn may_carry(&self, session: &Session, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        match (&session.name, self.asks_clients()) {
            (Some(name), _) if **name == *host => true,
            (Some(name), false) => self.certificates.cover(name, host),
            (Some(_), true) => false,
            (None, false) => true,
            (None, true) => is_address(host),
        }
    }
}

fn is_address(host: &str) -> bool {
    let plain = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    plain.unwrap_or(host).parse::<IpAddr>().is_ok()
}
