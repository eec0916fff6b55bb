//! Why a listener cannot be had.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
};

use edgewit_model::ListenerName;

use crate::tls::TlsError;

/// Why a listener cannot be had. The operator's fault; nothing that serves was touched.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address is not free, or not ours.
    #[error("could not listen on {address}")]
    Bind {
        /// As it is in the configuration.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Nobody has handed over a socket of this name.
    #[error("listener `{listener}` wants the socket `fd:{name}`, and nobody has handed one over")]
    NotHandedOver {
        /// Which listener.
        listener: ListenerName,
        /// Name of the socket.
        name: String,
    },
    /// Certificate or key cannot be used.
    #[error("TLS of listener `{listener}` cannot be set up")]
    Tls {
        /// Which listener.
        listener: ListenerName,
        /// Why.
        #[source]
        source: Box<TlsError>,
    },
}

impl ListenError {
    /// What the operator can do.
    pub fn hint(&self) -> Option<String> {
        let (address, source) = match self {
            ListenError::Bind { address, source } => (address, source),
            ListenError::NotHandedOver { name, .. } => {
                return Some(format!(
                    "sockets come with the start of the process: `FileDescriptorName={name}` in a systemd socket unit, and a restart"
                ));
            }
            ListenError::Tls { .. } => return None,
        };
        let port = address.port();
        match source.kind() {
            ErrorKind::PermissionDenied => Some(format!(
                "setcap cap_net_bind_service=+ep, or systemd AmbientCapabilities, or listen on {}",
                8_000_u16.saturating_add(port)
            )),
            ErrorKind::AddrInUse => Some(format!(
                "another process, or another listener of this one, listens there; see `ss -ltnp 'sport = :{port}'`"
            )),
            ErrorKind::AddrNotAvailable => {
                Some("this machine has no such address; 0.0.0.0 and [::] stand for all".to_owned())
            }
            _ => None,
        }
    }
}
