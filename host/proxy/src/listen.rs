//! Sockets that accept connections, and how they change when the configuration does.

mod settings;

mod accept;

mod room;

mod clients;

mod refused;

mod renewal;

mod adopted;

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
use edgewit_model::{Listener, ListenerName};
use edgewit_telemetry::{Gauge, Metrics};
use socket2::{Domain, Protocol, Type};

use crate::proxy::Bound;

pub(crate) use accept::accept_all;
pub use adopted::Adopted;
use clients::Clients;
pub use error::ListenError;
pub(crate) use refused::{ConnectionRefusal, Refused};
pub use renewal::{Renewal, Renewed};
use room::Room;
pub(crate) use room::RoomPlace;
pub(crate) use settings::Settings;

/// A bound socket and what is accepted on it. Each worker has a clone of the socket; it is bound once, so that port 0 is
/// one port and no worker has a queue of its own that would be lost with it.
#[derive(Debug)]
pub(crate) struct Socket {
    socket: TcpListener,
    asked: SocketAddr,
    /// The name under which it was handed over.
    inherited: Option<String>,
    live: Arc<LiveListener>,
    looks: renewal::Looks,
    /// When its certificates expire.
    expiry: Vec<Gauge>,
}

/// A listener that lives on over changes of its settings.
#[derive(Debug)]
pub(crate) struct LiveListener {
    pub(crate) id: ListenerId,
    pub(crate) settings: ArcSwap<Settings>,
    pub(crate) room: Arc<Room>,
    pub(crate) clients: Arc<Clients>,
    pub(crate) address: SocketAddr,
}

/// Identity of a socket, unique in the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ListenerId(u64);

/// The listeners of one worker that are new, with its clones of their sockets.
pub(crate) type Share = Vec<(Arc<LiveListener>, TcpListener)>;

/// Connections that wait in the kernel until a worker takes them.
const BACKLOG: i32 = 1_024;

/// A change of all listeners that has been prepared: every file is read, every address is bound.
pub(crate) struct Plan {
    next: Vec<(Place, Arc<Settings>)>,
}

enum Place {
    /// Position among the sockets that are there.
    Kept(usize),
    New(Box<Socket>),
}

/// Where listeners can come from.
pub(crate) struct Sources<'a> {
    /// Those that serve.
    pub(crate) sockets: &'a [Socket],
    /// Those that somebody else has opened.
    pub(crate) adopted: &'a [Adopted],
    pub(crate) metrics: &'a Metrics,
}

impl Plan {
    /// Prepares; nothing that serves is touched.
    pub(crate) fn new(
        listeners: &BTreeMap<ListenerName, Listener>,
        sources: &Sources<'_>,
    ) -> Result<Self, ListenError> {
        let sockets = sources.sockets;
        let mut free: Vec<usize> = (0..sockets.len()).collect();
        let mut next = Vec::with_capacity(listeners.len());
        for config in listeners.values() {
            let kept = Self::matching(config, sockets, &free);
            free.retain(|index| Some(*index) != kept);
            let before = kept.and_then(|index| sockets.get(index));
            let before = before.map(|socket| socket.live.settings.load_full());
            let settings = Settings::new(config, before.as_deref(), sources.metrics)?;
            let settings = Arc::new(settings);
            let place = match kept {
                Some(index) => Place::Kept(index),
                None => Place::New(Box::new(Socket::open(&settings, sources.adopted)?)),
            };
            next.push((place, settings));
        }
        Ok(Self { next })
    }

    /// A socket is kept for its name and address, or, if a listener was only renamed, for its address.
    fn matching(config: &Listener, sockets: &[Socket], free: &[usize]) -> Option<usize> {
        let at = |index: &usize| sockets.get(*index).filter(|s| s.is_for(config));
        let same = |index: &&usize| {
            at(index).is_some_and(|s| s.live.settings.load().config.name == config.name)
        };
        let is_one = config.inherited.is_some() || config.listen.port() != 0;
        let renamed = |index: &&usize| is_one && at(index).is_some();
        free.iter().find(same).or_else(|| free.iter().find(renamed)).copied()
    }

    /// For each worker the new listeners with its share of their sockets.
    pub(crate) fn shares(&self, workers: usize) -> Result<Vec<Share>, ListenError> {
        let new = || {
            self.next.iter().filter_map(|(place, _)| match place {
                Place::New(socket) => Some(&**socket),
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
    pub(crate) fn commit(self, sockets: &mut Vec<Socket>, metrics: &Metrics) -> Vec<ListenerId> {
        let mut old: Vec<Option<Socket>> = sockets.drain(..).map(Some).collect();
        for (place, settings) in self.next {
            let socket = match place {
                Place::New(socket) => Some(*socket),
                Place::Kept(index) => old.get_mut(index).and_then(Option::take),
            };
            if let Some(mut socket) = socket {
                socket.asked = settings.config.listen;
                socket.live.change(settings);
                socket.tell_expiry(metrics);
                sockets.push(socket);
            }
        }
        old.into_iter().flatten().map(|socket| socket.live.id).collect()
    }
}

impl Socket {
    /// Takes the socket that was handed over for this listener, or binds one.
    fn open(settings: &Arc<Settings>, adopted: &[Adopted]) -> Result<Self, ListenError> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let config = &settings.config;
        let failed = |source| ListenError::Bind { address: config.listen, source };
        let handed = adopted.iter().find(|adopted| adopted.is_for(config));
        let socket = match (handed, &config.inherited) {
            (Some(handed), _) => handed.open().map_err(failed)?,
            (None, None) => bind(config.listen).map_err(failed)?,
            (None, Some(name)) => {
                let (listener, name) = (config.name.clone(), name.clone());
                return Err(ListenError::NotHandedOver { listener, name });
            }
        };
        let live = LiveListener {
            id: ListenerId(NEXT.fetch_add(1, Relaxed)),
            settings: ArcSwap::from(Arc::clone(settings)),
            room: Room::new(config.limits.connections),
            clients: Clients::new(),
            address: socket.local_addr().map_err(failed)?,
        };
        Ok(Self {
            socket,
            asked: config.listen,
            inherited: handed.and_then(|handed| handed.name.clone()),
            live: Arc::new(live),
            looks: renewal::Looks::default(),
            expiry: Vec::new(),
        })
    }

    fn is_for(&self, config: &Listener) -> bool {
        match &config.inherited {
            Some(_) => self.inherited == config.inherited,
            None => self.asked == config.listen || self.live.address == config.listen,
        }
    }

    /// Another handle of it for the process that comes after this one.
    pub(crate) fn hand_over(&self) -> std::io::Result<Adopted> {
        let listener = Some(self.live.settings.load().config.name.clone());
        let (name, socket) = (self.inherited.clone(), self.socket.try_clone()?);
        Ok(Adopted { name, listener, socket })
    }

    /// Has it the very socket that was handed over?
    pub(crate) fn took(&self, adopted: &Adopted) -> bool {
        adopted.address() == Some(self.live.address)
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

impl LiveListener {
    fn change(&self, settings: Arc<Settings>) {
        let places = |settings: &Settings| settings.config.limits.connections;
        self.room.resize(places(&self.settings.load()), places(&settings));
        self.settings.store(settings);
    }
}
