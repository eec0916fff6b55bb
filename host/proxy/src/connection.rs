//! One connection of a client, from its first byte to its last.

use std::{
    cell::OnceCell,
    io,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    sync::Arc,
};

use bytes::Bytes;
use edgewit_chain::Scheme;
use edgewit_model::Protocols;
use tokio::{
    io::AsyncReadExt,
    net::TcpStream,
    sync::{OwnedSemaphorePermit, watch},
    time::{sleep, timeout},
};

use crate::{
    clients::Load,
    http::{self, Budget, LAST_REQUEST},
    listen::{LiveListener, Settings},
    tls,
    wire::{Activity, Tcp, Wire},
    worker::Context,
};

/// A connection that was accepted.
pub(crate) struct Accepted {
    pub(crate) stream: TcpStream,
    pub(crate) peer: SocketAddr,
    pub(crate) listener: Arc<LiveListener>,
    /// Room for it; `None` for those that are accepted beyond the limit while a listener closes.
    pub(crate) permit: Option<OwnedSemaphorePermit>,
    /// Closed when the connection shall end.
    pub(crate) stop: watch::Receiver<()>,
}

/// What the requests of a connection share.
pub(crate) struct Connection {
    pub(crate) context: Rc<Context>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) scheme: Scheme,
    /// Address of the peer.
    pub(crate) peer: IpAddr,
    /// Address that the peer connected to.
    pub(crate) local: SocketAddr,
    /// Whether the peer may say for whom it speaks.
    pub(crate) is_trusted: bool,
    pub(crate) activity: Rc<Activity>,
    /// What its responses may keep in memory.
    pub(crate) budget: Rc<Budget>,
    /// Requests of its peer, once there was one.
    pub(crate) load: OnceCell<Arc<Load>>,
}

/// Serves a connection to its end. An error is the client's business or the network's, so nobody is told.
pub(crate) async fn serve(accepted: Accepted, context: Rc<Context>) {
    let Accepted { stream, peer, listener, permit: _permit, stop } = accepted;
    let _open = context.shared.connections.enter();
    let _ = stream.set_nodelay(true);
    let settings = listener.settings.load_full();
    let peer = peer.ip().to_canonical();
    let connection = Connection {
        scheme: settings.scheme(),
        peer,
        local: stream.local_addr().unwrap_or(listener.address),
        is_trusted: settings.config.trusted_proxies.iter().any(|net| net.contains(peer)),
        activity: Activity::new(),
        budget: Budget::new(settings.config.limits.connection_memory.as_usize()),
        load: OnceCell::new(),
        settings,
        context,
    };
    if let Err(error) = connection.begin(stream, stop).await {
        tracing::debug!(%peer, %error, "connection ended");
    }
}

impl Connection {
    async fn begin(self, stream: TcpStream, stop: watch::Receiver<()>) -> io::Result<()> {
        let limit = self.settings.config.limits.header_timeout;
        if let Some(tls) = &self.settings.tls {
            let stream = unless_stopped(&stop, tls.accept(stream, limit)).await?;
            let http2 = tls::chose_http2(&stream) || !self.settings.config.protocols.h1;
            return self.speak(stream, Bytes::new(), http2, stop).await;
        }
        let Protocols { h1, h2 } = self.settings.config.protocols;
        if !(h1 && h2) {
            return self.speak(stream, Bytes::new(), h2, stop).await;
        }
        let begun = async { timeout(limit, preface(stream)).await? };
        let (stream, front, http2) = unless_stopped(&stop, begun).await?;
        self.speak(stream, front, http2, stop).await
    }

    async fn speak<S: Tcp>(
        self,
        stream: S,
        front: Bytes,
        http2: bool,
        stop: watch::Receiver<()>,
    ) -> io::Result<()> {
        let connection = Rc::new(self);
        let wire = Wire::new(stream, front, http2, &connection);
        let served = match http2 {
            true => http::serve_http2(connection, wire, stop).await,
            false => http::serve_http1(connection, wire, stop).await,
        };
        served.map_err(io::Error::other)
    }
}

/// The bytes with which a client that speaks HTTP/2 begins (RFC 9113 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Reads as long as it could be the preface of HTTP/2, and says whether it is.
async fn preface(mut stream: TcpStream) -> io::Result<(TcpStream, Bytes, bool)> {
    let mut front = [0; PREFACE.len()];
    let mut length = 0;
    while let Some(room) = front.get_mut(length..).filter(|room| !room.is_empty()) {
        let read = stream.read(room).await?;
        length += read;
        let is_prefix = front.get(..length).is_some_and(|front| PREFACE.starts_with(front));
        if read == 0 || !is_prefix {
            break;
        }
    }
    let front = front.get(..length).unwrap_or_default();
    Ok((stream, Bytes::copy_from_slice(front), front == PREFACE))
}

/// Gives a client that connected just before `stop` some time to begin.
async fn unless_stopped<T>(
    stop: &watch::Receiver<()>,
    begun: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    let mut stop = stop.clone();
    let stopped = async {
        let _ = stop.changed().await;
        sleep(LAST_REQUEST).await;
    };
    tokio::select! {
        begun = begun => begun,
        () = stopped => Err(io::ErrorKind::ConnectionAborted.into()),
    }
}
