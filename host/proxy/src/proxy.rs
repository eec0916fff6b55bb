//! The running proxy: its workers, its listeners, the snapshot they serve.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    num::NonZero,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use edgewit_chain::Scheme;
use edgewit_model::{Listener, ListenerName};
use edgewit_telemetry::{Metrics, UpDown, families};
use tokio::time::{Instant, sleep};

use crate::{
    clients::Clients,
    listen::{ListenError, Plan, Socket},
    refused::Refusals,
    retries::Retries,
    snapshot::Snapshot,
    worker::{Command, Worker},
};

/// The running proxy. Dropping it stops it at once; [`Proxy::drain`] lets requests finish.
#[derive(Debug)]
pub struct Proxy {
    workers: Vec<Worker>,
    shared: Arc<Shared>,
    sockets: Mutex<Vec<Socket>>,
}

/// What all workers see.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) snapshot: ArcSwap<Snapshot>,
    pub(crate) active: UpDown,
    pub(crate) retries: Retries,
    pub(crate) connections: Connections,
    pub(crate) refusals: Refusals,
    pub(crate) clients: Clients,
}

/// Open connections of all listeners and workers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connections(Arc<()>);

impl Connections {
    /// One more, as long as the result is held.
    pub(crate) fn enter(&self) -> Self {
        self.clone()
    }

    fn open(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }
}

/// An address on which connections are accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// The listener.
    pub listener: ListenerName,
    /// The address, with the port that was taken.
    pub address: SocketAddr,
    /// What clients speak.
    pub scheme: Scheme,
}

/// How often a drain looks whether it is done.
const DRAIN_POLL: Duration = Duration::from_millis(10);

impl Proxy {
    /// Starts the workers; they accept nothing until [`Proxy::apply`]. `workers`: how many, `None`: one for each core.
    pub fn start(
        workers: Option<usize>,
        metrics: &Arc<Metrics>,
        snapshot: Arc<Snapshot>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            snapshot: ArcSwap::new(snapshot),
            active: metrics.up_down(&families::SERVER_ACTIVE_REQUESTS, &[]),
            retries: Retries::new(metrics),
            connections: Connections::default(),
            refusals: Refusals::new(metrics),
            clients: Clients::new(),
        });
        let count = workers.map_or_else(default_workers, |n| n.max(1));
        let start = |index| Worker::start(index, Arc::clone(&shared));
        let workers = (0..count).map(start).collect::<io::Result<_>>()?;
        Ok(Self { workers, shared, sockets: Mutex::default() })
    }

    /// Makes listeners and snapshot the ones that serve: all of it, or nothing on an error. Listeners that did not change
    /// their address keep their socket and their connections; new limits and certificates apply to new connections.
    /// Connections of listeners that are gone finish what they do. Blocks while files are read.
    pub fn apply(
        &self,
        listeners: &BTreeMap<ListenerName, Listener>,
        snapshot: Arc<Snapshot>,
    ) -> Result<Vec<Bound>, ListenError> {
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        let plan = Plan::new(listeners, &sockets)?;
        let shares = plan.shares(self.workers.len())?;
        self.shared.snapshot.store(snapshot);
        let done = plan.commit(&mut sockets);
        for (worker, listeners) in self.workers.iter().zip(shares) {
            for (listener, socket) in listeners {
                worker.send(Command::Accept(listener, socket));
            }
            for gone in &done {
                worker.send(Command::Close(*gone));
            }
        }
        Ok(bound(&sockets))
    }

    /// Makes another snapshot the one that new requests see, and leaves the listeners alone.
    pub fn swap(&self, snapshot: Arc<Snapshot>) {
        self.shared.snapshot.store(snapshot);
    }

    /// The snapshot that new requests see.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.shared.snapshot.load_full()
    }

    /// Where connections are accepted.
    pub fn bound(&self) -> Vec<Bound> {
        bound(&self.sockets.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Worker threads.
    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// Open connections.
    pub fn connections(&self) -> usize {
        self.shared.connections.open()
    }

    /// Accepts connections for `delay` more, then no more; lets requests finish for at most `timeout`. Returns the number of
    /// connections that were still open then; dropping the proxy cuts them.
    pub async fn drain(&self, delay: Duration, timeout: Duration) -> usize {
        sleep(delay).await;
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner).clear();
        for worker in &self.workers {
            worker.send(Command::Drain);
        }
        let deadline = Instant::now() + timeout;
        loop {
            let open = self.workers.iter().map(Worker::busy).sum::<usize>().max(self.connections());
            if open == 0 || Instant::now() >= deadline {
                return open;
            }
            sleep(DRAIN_POLL).await;
        }
    }
}

fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

fn bound(sockets: &[Socket]) -> Vec<Bound> {
    sockets.iter().map(Socket::bound).collect()
}
