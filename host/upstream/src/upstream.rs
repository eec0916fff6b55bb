//! A service behind the edge, shared by all workers.

mod endpoint;

mod tls;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use edgewit_model as model;
use rustls::ClientConfig;

use crate::{
    balance::{self, Candidates, Policy},
    budget::Budget,
    discover,
    send::Tried,
};

pub use endpoint::{Counters, Endpoint, EndpointId};

pub(crate) use endpoint::InFlight;
pub use tls::TlsError;

/// A service behind the edge, shared by all workers.
///
/// Built once from its checked configuration; replaced, never changed, when that changes. Endpoints get new ids, so no
/// connection outlives the configuration it was made for by more than the idle timeout.
pub struct Upstream {
    name: model::UpstreamName,
    endpoints: Vec<Arc<Endpoint>>,
    policy: Box<dyn Policy>,
    /// Requests so far, which is what policies take turns by.
    turn: AtomicU64,
    budget: Budget,
    pool: model::Pool,
    timeouts: model::UpstreamTimeouts,
    tls: Option<Arc<ClientConfig>>,
    h2c: bool,
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
        let endpoints = discover::endpoints(config)?;
        if endpoints.is_empty() {
            return Err(UpstreamError::NoEndpoint(config.name.clone()));
        }
        let weights: Vec<u32> = endpoints.iter().map(|e| e.weight()).collect();
        Ok(Arc::new(Self {
            name: config.name.clone(),
            endpoints,
            policy: balance::policy(config.balance, &weights),
            turn: AtomicU64::new(0),
            budget: Budget::new(),
            pool: config.pool.clone(),
            timeouts: config.timeouts.clone(),
            tls,
            h2c: config.h2c,
        }))
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &model::UpstreamName {
        &self.name
    }

    /// Its endpoints, at least one.
    pub fn endpoints(&self) -> &[Arc<Endpoint>] {
        &self.endpoints
    }

    /// One of its endpoints.
    pub fn endpoint(&self, id: EndpointId) -> Option<&Arc<Endpoint>> {
        self.endpoints.iter().find(|e| e.id() == id)
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

    /// The endpoint for an attempt.
    pub(crate) fn choose(&self, tried: &Tried) -> Option<&Arc<Endpoint>> {
        if let [only] = self.endpoints.as_slice() {
            return Some(only);
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let view = View { endpoints: &self.endpoints, tried };
        self.policy.choose(&view, turn).and_then(|index| self.endpoints.get(index))
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
