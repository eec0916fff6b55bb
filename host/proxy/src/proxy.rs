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
    lane::Lane,
    listen::{Adopted, ListenError, Plan, Renewal, Socket, Sources},
    loads::Loads,
    refused::Refusals,
    retries::Retries,
    snapshot::Snapshot,
    tls::CertificateInfo,
    worker::{Command, Worker},
};

/// The running proxy. Dropping it stops it at once; [`Proxy::drain`] lets requests finish.
#[derive(Debug)]
pub struct Proxy {
    workers: Vec<Worker>,
    shared: Arc<Shared>,
    sockets: Mutex<Vec<Socket>>,
    /// Sockets that were opened by somebody else, until they are used.
    adopted: Mutex<Vec<Adopted>>,
    metrics: Arc<Metrics>,
}

/// What all workers see.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) snapshot: ArcSwap<Snapshot>,
    pub(crate) active: UpDown,
    pub(crate) retries: Retries,
    pub(crate) connections: Connections,
    pub(crate) tunnels: UpDown,
    pub(crate) refusals: Refusals,
    pub(crate) loads: Loads,
    pub(crate) lane: Arc<Lane>,
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
        let count = workers.map_or_else(default_workers, |n| n.max(1));
        let shared = Arc::new(Shared {
            snapshot: ArcSwap::new(snapshot),
            active: metrics.up_down(&families::SERVER_ACTIVE_REQUESTS, &[]),
            retries: Retries::new(metrics),
            connections: Connections::default(),
            tunnels: metrics.up_down(&families::TUNNELS, &[]),
            refusals: Refusals::new(metrics),
            loads: Loads::new(),
            lane: Arc::new(Lane::new(count)),
        });
        let start = |index| Worker::start(index, Arc::clone(&shared));
        let workers = (0..count).map(start).collect::<io::Result<_>>()?;
        let (sockets, adopted, metrics) = (Mutex::default(), Mutex::default(), Arc::clone(metrics));
        Ok(Self { workers, shared, sockets, adopted, metrics })
    }

    /// Takes over sockets that listen already. The next [`Proxy::apply`] that succeeds uses them for the listeners that want
    /// their name or address, instead of binding anew, and closes those that no listener wants.
    pub fn adopt(&self, sockets: Vec<Adopted>) {
        self.adopted.lock().unwrap_or_else(PoisonError::into_inner).extend(sockets);
    }

    /// Further handles of the sockets, to be handed to the process that comes after this one and adopted there. None while or
    /// after it drains.
    pub fn sockets(&self) -> io::Result<Vec<Adopted>> {
        let sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        sockets.iter().map(Socket::hand_over).collect()
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
        let mut adopted = self.adopted.lock().unwrap_or_else(PoisonError::into_inner);
        let metrics = &*self.metrics;
        let sources = Sources { sockets: &sockets, adopted: &adopted, metrics };
        let plan = Plan::new(listeners, &sources)?;
        let shares = plan.shares(self.workers.len())?;
        self.shared.snapshot.store(snapshot);
        let done = plan.commit(&mut sockets, metrics);
        close_unused(std::mem::take(&mut *adopted), &sockets);
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

    /// Has every worker call this while no request is being answered: for what each thread has to do by itself, such as giving
    /// back the memory that it has freed.
    pub fn call_if_idle(&self, call: fn()) {
        if self.shared.active.get() == 0 {
            self.workers.iter().for_each(|worker| worker.send(Command::Call(call)));
        }
    }

    /// Makes another snapshot the one that new requests see, and leaves the listeners alone.
    pub fn swap(&self, snapshot: Arc<Snapshot>) {
        self.shared.snapshot.store(snapshot);
    }

    /// Reads the certificates of all listeners again. Those that have changed and can be used are shown from now on; the
    /// others stay. No connection notices. Blocks while files are read.
    pub fn renew_certificates(&self) -> Vec<Renewal> {
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        sockets.iter_mut().filter_map(|socket| socket.renew(&self.metrics)).collect()
    }

    /// The certificates that listeners show.
    pub fn certificates(&self) -> Vec<CertificateInfo> {
        let sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        sockets.iter().flat_map(Socket::certificates).collect()
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

impl Drop for Proxy {
    /// All workers are told before one is waited for: each may have to wait for calls of filters.
    fn drop(&mut self) {
        self.workers.iter_mut().for_each(Worker::end);
    }
}

fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// Clients that connect to a socket nobody accepts from would wait for ever.
fn close_unused(adopted: Vec<Adopted>, sockets: &[Socket]) {
    for unused in adopted.iter().filter(|adopted| !sockets.iter().any(|s| s.took(adopted))) {
        let (name, address) = (unused.name.as_deref().unwrap_or_default(), unused.address());
        tracing::warn!(
            name,
            ?address,
            "closed a socket that was handed over: no listener wants it"
        );
    }
}

fn bound(sockets: &[Socket]) -> Vec<Bound> {
    sockets.iter().map(Socket::bound).collect()
}
