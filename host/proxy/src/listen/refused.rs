//! Connections that end before their first request can be read.

use edgewit_model::ListenerName;
use edgewit_telemetry::{Counter, Metrics, families};

/// Why a connection was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectionRefusal {
    /// Its client has as many as it may.
    Client,
    /// The listener wants the PROXY protocol, and the peer is not one that may speak it.
    Untrusted,
    /// It did not begin with a header of the PROXY protocol.
    ProxyHeader,
    /// The TLS handshake failed or took too long.
    Handshake,
}

/// How many connections of a listener were refused.
#[derive(Debug)]
pub(crate) struct Refused {
    client: Counter,
    untrusted: Counter,
    proxy_header: Counter,
    handshake: Counter,
}

impl Refused {
    pub(super) fn new(metrics: &Metrics, listener: &ListenerName) -> Self {
        let counter = |reason| {
            let labels = [("listener", listener.as_str()), ("reason", reason)];
            metrics.counter(&families::CONNECTIONS_REFUSED, &labels)
        };
        Self {
            client: counter("connections-per-client"),
            untrusted: counter("untrusted-peer"),
            proxy_header: counter("proxy-header"),
            handshake: counter("handshake"),
        }
    }

    pub(crate) fn count(&self, refusal: ConnectionRefusal) {
        match refusal {
            ConnectionRefusal::Client => &self.client,
            ConnectionRefusal::Untrusted => &self.untrusted,
            ConnectionRefusal::ProxyHeader => &self.proxy_header,
            ConnectionRefusal::Handshake => &self.handshake,
        }
        .increment();
    }
}
