//! A service behind the edge, shared by all workers.

mod endpoint;

mod set;

mod view;

mod latency;

mod affinity;

mod tls;

use std::{
    any::Any,
    collections::hash_map::RandomState,
    fmt,
    hash::{BuildHasher, Hasher},
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
    balance::{self, Ask, Candidates, mix},
    budget::Budget,
    circuit::Circuit,
    discover::{self, Found, News},
    health,
    safeguards::{Safeguards, ServerHealth, Sight},
    send::Tried,
};

pub use endpoint::{Counters, Endpoint, EndpointId};

pub(crate) use endpoint::InFlight;
pub use set::EndpointSet;
pub use tls::TlsError;

pub(crate) use latency::Millis;
use set::Recipe;
use view::{View, Wanted};

/// A service behind the edge, shared by all workers.
///
/// Built once from its checked configuration; replaced, never changed, when that changes. Endpoints get new ids, so no
/// connection outlives the configuration it was made for by more than the idle timeout. Which endpoints there are may
/// change while it lives: one that stays keeps its identity, one that goes is not chosen any more.
pub struct Upstream {
    name: model::UpstreamName,
    recipe: Recipe,
    set: ArcSwap<EndpointSet>,
    /// Makes two upstreams, or two processes, draw differently.
    seed: u64,
    wants_latency: bool,
    slow_start: Option<Duration>,
    hash_on: Option<model::HashOn>,
    affinity: Option<model::Affinity>,
    /// Requests so far, which is what policies take turns by.
    turn: AtomicU64,
    budget: Budget,
    pool: model::Pool,
    timeouts: model::UpstreamTimeouts,
    tls: Option<ArcSwap<ClientConfig>>,
    h2c: bool,
    is_discovered: bool,
    news: News,
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
    /// An endpoint was found with `https`, but the system has no authorities and the configuration names none.
    #[error("upstream {0:?} has no certificate authorities to trust; name a file with `tls.ca`")]
    NoTls(model::UpstreamName),
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
    /// Builds an upstream from its checked configuration. Reads its files of certificates, or the system's authorities,
    /// if an endpoint may speak TLS, and waits up to two seconds for the name service if that knows the endpoints; blocks
    /// while it does. Looks for endpoints and certificates go on on the runtime that this thread belongs to, if any, for
    /// as long as the upstream lives: so call it where blocking is allowed, from `spawn_blocking`.
    pub fn new(config: &model::Upstream) -> Result<Arc<Self>, UpstreamError> {
        let tls_error = |source| UpstreamError::Tls { name: config.name.clone(), source };
        let tls = tls::needed(config).map_err(tls_error)?;
        let recipe = Recipe::new(config);
        let upstream = Arc::new(Self {
            name: config.name.clone(),
            set: ArcSwap::from_pointee(EndpointSet::new(&recipe, Vec::new())),
            recipe,
            seed: RandomState::new().build_hasher().finish(),
            wants_latency: balance::variant(config.balance).wants_latency,
            slow_start: config.slow_start,
            hash_on: config.hash_on.clone().filter(|_| config.balance.is_hash()),
            affinity: config.affinity.clone(),
            turn: AtomicU64::new(0),
            budget: Budget::new(),
            pool: config.pool.clone(),
            timeouts: config.timeouts.clone(),
            tls: tls.map(ArcSwap::new),
            h2c: config.h2c,
            is_discovered: config.discovery.is_some(),
            news: News::default(),
            background: Background::default(),
            safeguards: Safeguards::new(config),
            attached: OnceLock::new(),
        });
        discover::begin(&upstream, config)?;
        health::begin(&upstream, config.health.as_ref());
        tls::renew::begin(&upstream, &config.tls);
        Ok(upstream)
    }

    /// These are its endpoints from now on. `true`: something changed. If one of them cannot be used, nothing changes.
    pub(crate) fn found(&self, found: &[Found]) -> Result<bool, UpstreamError> {
        if self.tls.is_none() && found.iter().any(|found| found.endpoint.tls) {
            return Err(UpstreamError::NoTls(self.name.clone()));
        }
        let next = self.set.load().after(found, &self.recipe)?;
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

    pub(crate) fn tls(&self) -> Option<Arc<ClientConfig>> {
        self.tls.as_ref().map(ArcSwap::load_full)
    }

    /// New connections are made with this.
    fn renew_tls(&self, made: Arc<ClientConfig>) {
        if let Some(tls) = &self.tls {
            tls.store(made);
        }
    }

    pub(crate) fn h2c(&self) -> bool {
        self.h2c
    }

    /// Whether its endpoints are discovered, so that there may be none now.
    pub fn is_discovered(&self) -> bool {
        self.is_discovered
    }

    /// What became of the looks for its endpoints, if they are discovered.
    pub fn news(&self) -> &News {
        &self.news
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

    /// Keeps something as long as this upstream lives, unless something is kept already; gives what is kept.
    pub fn attach(
        &self,
        make: impl FnOnce() -> Arc<dyn Any + Send + Sync>,
    ) -> Arc<dyn Any + Send + Sync> {
        Arc::clone(self.attached.get_or_init(make))
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

    /// The endpoint for an attempt. One that is not available is passed over, unless too few are, or another attempt has
    /// nothing left but one that was tried: an ejected endpoint may be well again, that one has just failed.
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
        let random = mix(self.seed ^ turn);
        let timed = self.wants_latency || self.slow_start.is_some();
        let now = if timed { Millis::now() } else { Millis::default() };
        let slow_start = self.slow_start;
        let wanted = available.map_or(Wanted::Any, Wanted::Available);
        let all = View { set: &set, tried: Some(tried), wanted, now, slow_start, random };
        let cold = View { slow_start: None, ..all };
        let preferred = tried.prefer.and_then(|tag| set.tagged(tag));
        if let Some(index) = preferred.filter(|index| !cold.excluded(*index)) {
            return set.get(index).cloned();
        }
        let ask = Ask { turn, random, hash: tried.hash };
        let choose =
            |view: &View<'_>| set.policy.choose(view, &ask).filter(|index| !view.excluded(*index));
        // Better one that is new than one that is ejected, better that than one that was tried, and better even that than
        // one that is known to be ill.
        let ejected = View { wanted: wanted.or_ejected(), ..cold };
        let again = View { tried: None, ..cold };
        let chosen = choose(&all)
            .or_else(|| choose(&cold))
            .or_else(|| choose(&ejected))
            .or_else(|| choose(&again));
        chosen.and_then(|index| set.get(index)).cloned()
    }

    /// What of a request should decide where it goes: the caller puts its [`hash_of`](crate::hash_of) into
    /// [`Tried::hash`].
    pub fn hash_on(&self) -> Option<&model::HashOn> {
        self.hash_on.as_ref()
    }

    /// Whether clients stay with the endpoint that answered first, and how they say which one that was: the caller puts
    /// its tag into [`Tried::prefer`].
    pub fn affinity(&self) -> Option<&model::Affinity> {
        self.affinity.as_ref()
    }

    /// The word by which a client finds this endpoint again; `None` without affinity, or if the endpoint is gone.
    pub fn affinity_tag(&self, endpoint: EndpointId) -> Option<u64> {
        self.affinity.as_ref()?;
        self.set.load().tag(endpoint)
    }

    /// Whether attempts should be measured for the balancer.
    pub(crate) fn wants_latency(&self) -> bool {
        self.wants_latency
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
