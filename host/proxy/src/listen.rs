//! Sockets that accept connections, and how they change when the configuration does.

mod accept;

mod error;

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use arc_swap::ArcSwap;
use edgewit_chain::Scheme;
use edgewit_model::{Listener, ListenerName};
use socket2::{Domain, Protocol, Type};
use tokio::sync::Semaphore;

use crate::{proxy::Bound, tls::TlsServer};

pub(crate) use accept::accept_all;
pub use error::ListenError;

/// A bound socket and what is accepted on it. Each worker has a clone of the socket; it is bound once, so that port 0 is
/// one port and no worker has a queue of its own that would be lost with it.
#[derive(Debug)]
pub(crate) struct Socket {
    socket: TcpListener,
    asked: SocketAddr,
    live: Arc<LiveListener>,
}

/// A listener that lives on over changes of its settings.
#[derive(Debug)]
pub(crate) struct LiveListener {
    pub(crate) id: ListenerId,
    pub(crate) settings: ArcSwap<Settings>,
    /// One for each connection.
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) address: SocketAddr,
}

/// A socket that was open before.
#[derive(Debug)]
pub struct Adopted {
    /// What it is called.
    pub name: Option<String>,
    /// It listens.
    pub socket: TcpListener,
}

/// Identity of a socket, unique in the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ListenerId(u64);

/// The listeners of one worker that are new, with its clones of their sockets.
pub(crate) type Share = Vec<(Arc<LiveListener>, TcpListener)>;

/// What holds for connections from now on. A connection keeps the settings it began with.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) config: Listener,
    pub(crate) tls: Option<Arc<TlsServer>>,
}

/// Connections that wait in the kernel until a worker takes them.
const BACKLOG: i32 = 1_024;

/// A change of all listeners that has been prepared: every file is read, every address is bound.
pub(crate) struct Plan {
    next: Vec<(Place, Arc<Settings>)>,
}

enum Place {
    /// Position among the sockets that are there.
    Kept(usize),
    New(Socket),
}

impl Plan {
    /// Prepares; nothing that serves is touched.
    pub(crate) fn new(
        listeners: &BTreeMap<ListenerName, Listener>,
        sockets: &[Socket],
        adopted: &mut Vec<Adopted>,
    ) -> Result<Self, ListenError> {
        let mut free: Vec<usize> = (0..sockets.len()).collect();
        let mut next = Vec::with_capacity(listeners.len());
        for config in listeners.values() {
            let kept = Self::matching(config, sockets, &free);
            free.retain(|index| Some(*index) != kept);
            let before = kept.and_then(|index| sockets.get(index));
            let settings = Arc::new(Settings::new(config, before)?);
            let place = match kept {
                Some(index) => Place::Kept(index),
                None => Place::New(Socket::open(config, &settings, adopted)?),
            };
            next.push((place, settings));
        }
        Ok(Self { next })
    }

    /// A socket is kept for its name and address, or, if a listener was only renamed, for its address.
    fn matching(config: &Listener, sockets: &[Socket], free: &[usize]) -> Option<usize> {
        let at = |index: &usize| sockets.get(*index).filter(|s| s.is_at(config.listen));
        let same = |index: &&usize| {
            at(index).is_some_and(|s| s.live.settings.load().config.name == config.name)
        };
        let renamed = |index: &&usize| config.listen.port() != 0 && at(index).is_some();
        free.iter().find(same).or_else(|| free.iter().find(renamed)).copied()
    }

    /// For each worker the new listeners with its share of their sockets.
    pub(crate) fn shares(&self, workers: usize) -> Result<Vec<Share>, ListenError> {
        let new = || {
            self.next.iter().filter_map(|(place, _)| match place {
                Place::New(socket) => Some(socket),
                Place::Kept(_) => None,
            })
        };
        let share = |socket: &Socket| {
            let clone = socket.socket.try_clone();
            let clone = clone.map_err(|source| ListenError::Bind { address: socket.asked, source });
            Ok((Arc::clone(&socket.live), clone?))
        };
        (0..workers).map(|_| new().map(share).collect()).collect()
    }

    /// Puts the change into effect and returns the listeners that are gone.
    pub(crate) fn commit(self, sockets: &mut Vec<Socket>) -> Vec<ListenerId> {
        let mut old: Vec<Option<Socket>> = sockets.drain(..).map(Some).collect();
        for (place, settings) in self.next {
            let socket = match place {
                Place::New(socket) => Some(socket),
                Place::Kept(index) => old.get_mut(index).and_then(Option::take),
            };
            if let Some(mut socket) = socket {
                socket.asked = settings.config.listen;
                socket.live.change(settings);
                sockets.push(socket);
            }
        }
        old.into_iter().flatten().map(|socket| socket.live.id).collect()
    }
}

impl Socket {
    fn open(
        config: &Listener,
        settings: &Arc<Settings>,
        adopted: &mut Vec<Adopted>,
    ) -> Result<Self, ListenError> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let failed = |source| ListenError::Bind { address: config.listen, source };
        let is_for = |adopted: &Adopted| {
            let asked = config.listen;
            let same = |a: SocketAddr| {
                a == asked
                    || (asked.port() == 0
                        && a.ip() == asked.ip()
                        && adopted.name.as_deref() == Some(config.name.as_str()))
            };
            adopted.socket.local_addr().is_ok_and(same)
        };
        let socket = match adopted.iter().position(is_for) {
            Some(index) => adopted.swap_remove(index).socket,
            None => bind(config.listen).map_err(failed)?,
        };
        let live = LiveListener {
            id: ListenerId(NEXT.fetch_add(1, Relaxed)),
            settings: ArcSwap::from(Arc::clone(settings)),
            permits: Arc::new(Semaphore::new(permits(config))),
            address: socket.local_addr().map_err(failed)?,
        };
        Ok(Self { socket, asked: config.listen, live: Arc::new(live) })
    }

    pub(crate) fn hand_over(&self) -> std::io::Result<Adopted> {
        let name = Some(self.live.settings.load().config.name.to_string());
        Ok(Adopted { name, socket: self.socket.try_clone()? })
    }

    fn is_at(&self, address: SocketAddr) -> bool {
        self.asked == address || self.live.address == address
    }

    pub(crate) fn bound(&self) -> Bound {
        let settings = self.live.settings.load();
        Bound {
            listener: settings.config.name.clone(),
            address: self.live.address,
            scheme: settings.scheme(),
        }
    }
}

fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let domain = Domain::for_address(address);
    let socket = socket2::Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?; // connections of a process before may still be closing
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn permits(config: &Listener) -> usize {
    config.limits.connections.clamp(1, Semaphore::MAX_PERMITS)
}

impl LiveListener {
    fn change(&self, settings: Arc<Settings>) {
        let (before, after) = (permits(&self.settings.load().config), permits(&settings.config));
        self.settings.store(settings);
        if after > before {
            self.permits.add_permits(after - before);
        } else {
            // Connections above a lower limit stay; it is reached as they close.
            let _ = self.permits.forget_permits(before - after);
        }
    }
}

impl Settings {
    fn new(config: &Listener, before: Option<&Socket>) -> Result<Self, ListenError> {
        let tls = match &config.tls {
            Some(tls) => {
                let settings = before.map(|socket| socket.live.settings.load_full());
                let before = settings.as_ref().and_then(|s| s.tls.as_ref());
                let server = TlsServer::new(tls, config.protocols, before);
                let failed = |source| ListenError::Tls { listener: config.name.clone(), source };
                Some(server.map_err(failed)?)
            }
            None => None,
        };
        Ok(Self { config: config.clone(), tls })
    }

    pub(crate) fn scheme(&self) -> Scheme {
        if self.tls.is_some() { Scheme::Https } else { Scheme::Http }
    }
}
