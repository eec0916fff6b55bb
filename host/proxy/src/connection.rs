//! One connection of a client, from its first byte to its last.

use std::{
    cell::{Cell, OnceCell},
    io,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    sync::Arc,
};

use ::http::HeaderValue;
use bytes::Bytes;
use edgewit_chain::Scheme;
use edgewit_model::{Authority, Protocols};
use tokio::{
    io::AsyncReadExt,
    net::TcpStream,
    sync::watch,
    time::{sleep, timeout},
};

use crate::{
    guard::LastAuthority,
    http::{self, Budget, LAST_REQUEST},
    listen::{ConnectionRefusal, LiveListener, RoomPlace, Settings},
    loads::Load,
    proxied,
    proxy::Connections,
    relay::Relay,
    tls::{self, Session},
    wire::{Activity, Tcp, Wire},
    worker::Context,
};

/// A connection that was accepted.
pub(crate) struct Accepted {
    pub(crate) stream: TcpStream,
    pub(crate) peer: SocketAddr,
    pub(crate) listener: Arc<LiveListener>,
    /// Room for it.
    pub(crate) place: RoomPlace,
    /// Closed when the connection shall end.
    pub(crate) stop: watch::Receiver<()>,
    /// Counts it from the moment it was accepted: a drain must not miss one whose task has not begun.
    pub(crate) open: Connections,
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
    /// The address as a field says it; one for all requests.
    peer_field: HeaderValue,
    /// What the TLS handshake has brought.
    session: OnceCell<Session>,
    /// What takes the connection over when its protocol was changed.
    pub(crate) switched: Cell<Option<Box<Relay>>>,
    /// What its responses may keep in memory.
    pub(crate) budget: Rc<Budget>,
    /// Requests of its peer, once there was one.
    pub(crate) load: OnceCell<Arc<Load>>,
    pub(crate) last_authority: LastAuthority,
}

/// Who is at the other end of a connection.
struct Peer {
    address: IpAddr,
    is_trusted: bool,
}

/// Serves a connection to its end. An error is the client's business or the network's, so nobody is told.
pub(crate) async fn serve(accepted: Accepted, context: Rc<Context>) {
    let Accepted { mut stream, peer, listener, place: _room, stop, open: _open } = accepted;
    let _ = stream.set_nodelay(true);
    let settings = listener.settings.load_full();
    let Peer { address: peer, is_trusted } =
        match find_peer(&mut stream, peer, &settings, &stop).await {
            Ok(peer) => peer,
            Err(refusal) => {
                refusal.into_iter().for_each(|refusal| settings.refused.count(refusal));
                return;
            }
        };
    // A peer that is trusted speaks for many clients.
    let share = if is_trusted { usize::MAX } else { settings.config.limits.connections_per_client };
    let Some(_place) = listener.clients.enter(peer, share) else {
        return settings.refused.count(ConnectionRefusal::Client);
    };
    let connection = Rc::new(Connection {
        scheme: settings.scheme(),
        peer,
        peer_field: address_field(peer),
        local: stream.local_addr().unwrap_or(listener.address),
        is_trusted,
        activity: Activity::new(),
        session: OnceCell::new(),
        switched: Cell::new(None),
        budget: Budget::new(settings.config.limits.connection_memory.as_usize()),
        load: OnceCell::new(),
        last_authority: LastAuthority::default(),
        settings,
        context,
    });
    if let Err(error) = connection.begin(stream, stop).await {
        tracing::debug!(%peer, %error, "connection ended");
    }
}

/// Finds out who is at the other end: the peer of the socket, or whom it speaks for by the PROXY protocol. On an error the
/// connection ends, and if a reason is given it counts as refused.
///
/// With the PROXY protocol it is the address in the header that is trusted or not. Behind a balancer that does not say for
/// whom it speaks there may be anybody, so what comes from there is not trusted, though the balancer itself is.
async fn find_peer(
    stream: &mut TcpStream,
    peer: SocketAddr,
    settings: &Settings,
    stop: &watch::Receiver<()>,
) -> Result<Peer, Option<ConnectionRefusal>> {
    let address = peer.ip().to_canonical();
    let is_trusted = settings.is_trusted(address);
    if !settings.config.proxy_protocol {
        return Ok(Peer { address, is_trusted });
    }
    if !is_trusted {
        return Err(Some(ConnectionRefusal::Untrusted));
    }
    let limit = settings.config.limits.header_timeout;
    let read = async { timeout(limit, proxied::read(stream)).await? };
    match unless_stopped(stop, read).await {
        Ok(Some(client)) => Ok(Peer { address: client, is_trusted: settings.is_trusted(client) }),
        Ok(None) => Ok(Peer { address, is_trusted: false }),
        Err(error) => {
            tracing::debug!(%peer, %error, "no header of the PROXY protocol");
            Err(is_wrong(&error).then_some(ConnectionRefusal::ProxyHeader))
        }
    }
}

/// Whether a peer did something wrong, rather than going away.
fn is_wrong(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::TimedOut)
}

impl Connection {
    async fn begin(self: Rc<Self>, stream: TcpStream, stop: watch::Receiver<()>) -> io::Result<()> {
        let limit = self.settings.config.limits.header_timeout;
        if let Some(tls) = &self.settings.tls {
            let limit = self.settings.config.limits.handshake_timeout;
            // Boxed, with all that follows: a connection without TLS has no room for it.
            let accepted = Box::pin(unless_stopped(&stop, tls.accept(stream, limit))).await;
            let (stream, session) = accepted.inspect_err(|error| {
                if is_wrong(error) {
                    self.settings.refused.count(ConnectionRefusal::Handshake);
                }
            })?;
            let _ = self.session.set(session);
            let http2 = tls::chose_http2(&stream) || !self.settings.config.protocols.h1;
            return Box::pin(self.speak(stream, Bytes::new(), http2, stop)).await;
        }
        let Protocols { h1, h2 } = self.settings.config.protocols;
        if !(h1 && h2) {
            return self.speak(stream, Bytes::new(), h2, stop).await;
        }
        let begun = async { timeout(limit, preface(stream)).await? };
        let (stream, front, http2) = unless_stopped(&stop, begun).await?;
        self.speak(stream, front, http2, stop).await
    }

    fn speak<S: Tcp>(
        self: Rc<Self>,
        stream: S,
        front: Bytes,
        http2: bool,
        stop: watch::Receiver<()>,
    ) -> impl Future<Output = io::Result<()>> {
        let wire = Wire::new(stream, front, http2, &self);
        async move {
            let served = match http2 {
                true => Box::pin(http::serve_http2(self, wire, stop)).await, // boxed, because it is larger
                false => http::serve_http1(self, wire, stop).await,
            };
            served.map_err(io::Error::other)
        }
    }

    /// The address of the peer, as a field says it.
    pub(crate) fn peer_field(&self) -> &HeaderValue {
        &self.peer_field
    }

    /// May requests for this host come on this connection (RFC 9110 15.5.20)?
    pub(crate) fn may_carry(&self, authority: &Authority) -> bool {
        let tls = self.settings.tls.as_ref();
        tls.is_none_or(|tls| {
            self.session.get().is_some_and(|session| tls.may_carry(session, authority.host()))
        })
    }

    /// Whom the client's certificate names.
    pub(crate) fn client_identity(&self) -> Option<&Arc<str>> {
        self.session.get()?.client()
    }
}

fn address_field(address: IpAddr) -> HeaderValue {
    HeaderValue::try_from(address.to_string()).unwrap_or(HeaderValue::from_static("unknown"))
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
