//! A service behind the edge, shared by all workers.

mod endpoint;

mod set;

mod tls;

use std::{
    any::Any,
    fmt,
    sync::{
        Arc, OnceLock,
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
    circuit::Circuit,
    discover::{self, Found},
    health,
    safeguards::{Safeguards, ServerHealth, Sight},
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
    safeguards: Safeguards,
    attached: OnceLock<Arc<dyn Any + Send + Sync>>,
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
            safeguards: Safeguards::new(config),
            attached: OnceLock::new(),
        });
        discover::begin(&upstream, config)?;
        health::begin(&upstream, config.health.as_ref());
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

    /// How its servers are now.
    pub fn health(&self) -> Vec<ServerHealth> {
        let now = self.safeguards.now();
        self.set.load().iter().map(|endpoint| ServerHealth::of(endpoint, now)).collect()
    }

    /// Bounds on what is under way.
    pub fn circuit(&self) -> &Arc<Circuit> {
        self.safeguards.circuit()
    }

    /// Ejections of its servers so far, by reason.
    pub fn ejections(&self) -> [(&'static str, u64); 4] {
        self.safeguards.detector().ejections()
    }

    /// Keeps something as long as this upstream lives, unless something is kept already.
    pub fn attach(&self, make: impl FnOnce() -> Arc<dyn Any + Send + Sync>) {
        self.attached.get_or_init(make);
    }

    /// Whether an endpoint is available that was not tried.
    pub fn has_other(&self, tried: &Tried) -> bool {
        let now = self.safeguards.now();
        let is_other = |endpoint: &Arc<Endpoint>| {
            !tried.avoids(endpoint.id()) && endpoint.standing().is_available(now)
        };
        self.set.load().iter().any(is_other)
    }

    pub(crate) fn safeguards(&self) -> &Safeguards {
        &self.safeguards
    }

    /// The endpoint for an attempt. One that is not available is passed over, whatever was tried, unless too few are.
    pub(crate) fn choose(&self, tried: &Tried) -> Option<Arc<Endpoint>> {
        let set = self.set.load();
        let available = match self.safeguards.look(&set) {
            Sight::All => None,
            Sight::Available(now) => Some(now),
            Sight::Nobody => return None,
        };
        if let [only] = &***set {
            return Some(Arc::clone(only));
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let view = View { endpoints: &set, tried: Some(tried), available };
        let mut index = set.policy.choose(&view, turn)?;
        if available.is_some() && view.excluded(index) {
            index = set.policy.choose(&View { tried: None, ..view }, turn)?;
        }
        set.get(index).cloned()
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
    /// To avoid what was tried.
    tried: Option<&'a Tried>,
    /// To avoid what is not available at this instant.
    available: Option<u64>,
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
        let Some(endpoint) = self.endpoints.get(index) else { return true };
        self.tried.is_some_and(|tried| tried.avoids(endpoint.id()))
            || self.available.is_some_and(|now| !endpoint.standing().is_available(now))
    }
}
