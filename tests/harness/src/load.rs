//! Constant load: connections that ask without a pause.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tokio::task::JoinHandle;

use crate::{Ask, Connection, Protocol, Reply, block_on, spawn};

/// Connections that ask without a pause until they are stopped. Every response is judged.
pub struct Load {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

/// What came of a load.
#[derive(Debug)]
pub struct Loaded {
    /// Requests that were made.
    pub requests: u64,
    /// What was wrong with some of them; the first hundred.
    pub failed: Vec<String>,
}

struct Shared {
    stop: AtomicBool,
    requests: AtomicU64,
    failed: Mutex<Vec<String>>,
}

/// Says what is wrong with a response.
type Judge = dyn Fn(&Reply) -> Result<(), String> + Send + Sync;

impl Load {
    /// Begins. The request on a connection is the same each time.
    pub fn start(
        address: SocketAddr,
        protocol: Protocol,
        connections: usize,
        ask: Ask,
        judge: impl Fn(&Reply) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            requests: AtomicU64::new(0),
            failed: Mutex::new(Vec::new()),
        });
        let judge: Arc<Judge> = Arc::new(judge);
        let task = |_| {
            let (shared, judge, ask) = (Arc::clone(&shared), Arc::clone(&judge), ask.clone());
            spawn(async move { shared.run(address, protocol, &ask, &*judge).await })
        };
        let tasks = (0..connections).map(task).collect();
        Self { shared, tasks }
    }

    /// Requests so far.
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// Waits until as many further requests have been answered.
    pub fn let_pass(&self, requests: u64) {
        let target = self.requests() + requests;
        crate::until("requests of the load to pass", || (self.requests() >= target).then_some(()));
    }

    /// Lets the requests under way finish.
    pub fn stop(self) -> Loaded {
        self.shared.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            block_on(task).expect("a connection of the load does not panic");
        }
        let failed =
            std::mem::take(&mut *self.shared.failed.lock().unwrap_or_else(PoisonError::into_inner));
        Loaded { requests: self.shared.requests.load(Ordering::Relaxed), failed }
    }
}

impl Loaded {
    /// Was every response as it should be?
    #[track_caller]
    pub fn assert_clean(&self) {
        assert!(self.failed.is_empty(), "of {} requests failed: {:#?}", self.requests, self.failed);
        assert!(self.requests > 0, "nothing was asked");
    }
}

/// Whether a connection was closing, so that a request was not even begun.
fn is_unsent(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    let error = error.downcast_ref::<hyper::Error>();
    error.is_some_and(|error| error.is_canceled() || error.is_closed())
}

impl Shared {
    async fn run(&self, address: SocketAddr, protocol: Protocol, ask: &Ask, judge: &Judge) {
        let mut connection = None;
        while !self.stop.load(Ordering::Relaxed) {
            let open = match connection.take() {
                Some(open) => Ok(open),
                None => Connection::try_open(address, protocol).await,
            };
            let mut open = match open {
                Ok(open) => open,
                Err(error) => {
                    self.fail(format!("connect: {error}"));
                    continue;
                }
            };
            match open.try_send(ask.clone()).await {
                Ok(reply) => {
                    if let Err(wrong) = judge(&reply) {
                        self.fail(wrong);
                    }
                    let closes = reply.header("connection").eq_ignore_ascii_case("close");
                    connection = (!closes).then_some(open);
                }
                // It said that it takes no more, and nothing was sent: the next one is asked.
                Err(error) if is_unsent(&*error) => continue,
                Err(error) => self.fail(format!("send: {error:?}")),
            }
            self.requests.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn fail(&self, what: String) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if failed.len() < 100 {
            failed.push(what);
        }
    }
}
