//! A service behind the edge, shared by all workers.

mod endpoint;

mod set;

mod tls;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use edgewit_model as model;
use rustls::ClientConfig;

use crate::{
    background::Background,
    balance::Candidates,
    budget::Budget,
    discover::{self, Found},
    send::Tried,
};

pub use endpoint::{Counters, Endpoint, EndpointId};

pub(crate) use endpoint::InFlight;
pub use set::EndpointSet;
pub use tls::TlsError;

/// A service behind the edge, shared by all workers.
///
/// Built once from its checked configuration; replaced, never changed, when that changes. Endpoints get new ids, so no
/// connection outlives the configuration it was made for by more than the idle timeout. Which endpoints there are may
/// change while it lives: one that stays keeps its identity, one that goes is not chosen any more.
pub struct Upstream {
    name: model::UpstreamName,
    balance: model::Balance,
    set: ArcSwap<EndpointSet>,
    /// Requests so far, which is what policies take turns by.
    turn: AtomicU64,
    budget: Budget,
    pool: model::Pool,
    timeouts: model::UpstreamTimeouts,
    tls_config: model::UpstreamTls,
    tls: Option<Arc<ClientConfig>>,
    h2c: bool,
    background: Background,
}

/// Why an upstream cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// Its list of endpoints is empty.
    #[error("upstream {0:?} has no endpoint")]
    NoEndpoint(model::UpstreamName),
    /// A host is neither an address nor a name that can stand in a URL.
    #[error("`{host}` is no host")]
    Host {
        /// What the configuration says.
        host: String,
    },
    /// TLS cannot be set up.
    #[error("TLS towards upstream {name:?} cannot be set up")]
    Tls {
        /// Which upstream.
        name: model::UpstreamName,
        /// Why.
        #[source]
        source: TlsError,
    },
}

impl Upstream {
    /// Builds an upstream from its checked configuration. Reads its file of certificate authorities, or the system's,
    /// if an endpoint speaks TLS; blocks while it does.
    pub fn new(config: &model::Upstream) -> Result<Arc<Self>, UpstreamError> {
        let tls_error = |source| UpstreamError::Tls { name: config.name.clone(), source };
        let tls = match config.endpoints.iter().any(|e| e.tls) {
            true => Some(tls::client_config(&config.tls).map_err(tls_error)?),
            false => None,
        };
        let upstream = Arc::new(Self {
            name: config.name.clone(),
            balance: config.balance,
            set: ArcSwap::from_pointee(EndpointSet::new(config.balance, Vec::new())),
            turn: AtomicU64::new(0),
            budget: Budget::new(),
            pool: config.pool.clone(),
            timeouts: config.timeouts.clone(),
            tls_config: config.tls.clone(),
            tls,
            h2c: config.h2c,
            background: Background::default(),
        });
        discover::begin(&upstream, config)?;
        Ok(upstream)
    }

    /// These are its endpoints from now on. `true`: something changed. If one of them cannot be used, nothing changes.
    pub(crate) fn found(&self, found: &[Found]) -> Result<bool, UpstreamError> {
        let next = self.set.load().after(found, self.balance, &self.tls_config)?;
        let changed = next.map(|next| self.set.store(Arc::new(next)));
        Ok(changed.is_some())
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &model::UpstreamName {
        &self.name
    }

    /// Its endpoints now.
    pub fn endpoints(&self) -> Arc<EndpointSet> {
        self.set.load_full()
    }

    /// What retries towards it may cost.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Bounds on waiting for it.
    pub fn timeouts(&self) -> &model::UpstreamTimeouts {
        &self.timeouts
    }

    /// Connections that are kept for each worker and endpoint.
    pub fn pool(&self) -> &model::Pool {
        &self.pool
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        self.timeouts.connect
    }

    pub(crate) fn tls(&self) -> Option<&Arc<ClientConfig>> {
        self.tls.as_ref()
    }

    pub(crate) fn h2c(&self) -> bool {
        self.h2c
    }

    pub(crate) fn background(&self) -> &Background {
        &self.background
    }

    /// The endpoint for an attempt.
    pub(crate) fn choose(&self, tried: &Tried) -> Option<Arc<Endpoint>> {
        let set = self.set.load();
        if let [only] = &***set {
            return Some(Arc::clone(only));
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let view = View { endpoints: &set, tried };
        set.policy.choose(&view, turn).and_then(|index| set.get(index)).cloned()
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What a policy sees of the endpoints.
struct View<'a> {
    endpoints: &'a [Arc<Endpoint>],
    tried: &'a Tried,
}

impl Candidates for View<'_> {
    fn count(&self) -> usize {
        self.endpoints.len()
    }

    fn weight(&self, index: usize) -> u32 {
        self.endpoints.get(index).map_or(0, |e| e.weight())
    }

    fn load(&self, index: usize) -> u64 {
        self.endpoints.get(index).map_or(0, |e| e.counters().in_flight())
    }

    fn excluded(&self, index: usize) -> bool {
        self.endpoints.get(index).is_none_or(|e| self.tried.avoids(e.id()))
    }
}
