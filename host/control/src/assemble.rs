//! From a checked configuration and its filters to the snapshot that serves. What did not change is shared with the one
//! before.

use std::{collections::BTreeMap, sync::Arc};

use edgewit_chain::{Breaker, Chain, Filter, Link};
use edgewit_config::{Diagnostic, Entry, Origin, code};
use edgewit_model as model;
use edgewit_model::{
    Action, Config, FilterUse, Plugin, PluginName, Route, RouteName, UpstreamName,
};
use edgewit_proxy::{FilterObserver, LiveRoute, RouteError, Snapshot};
use edgewit_telemetry::{AccessLog, Metrics};
use edgewit_upstream::{Upstream, UpstreamError};

use crate::Digest;

/// What serves, and what it was made of.
pub(crate) struct World {
    pub(crate) config: Config,
    pub(crate) snapshot: Arc<Snapshot>,
    upstreams: BTreeMap<UpstreamName, LiveUpstream>,
    access_log: Option<(model::AccessLog, Arc<AccessLog>)>,
}

/// An upstream with everything that decides about it.
#[derive(Clone)]
struct LiveUpstream {
    config: model::Upstream,
    /// Certificates and keys are read once, so another content is another upstream.
    files: Vec<Option<Digest>>,
    upstream: Arc<Upstream>,
}

/// A configuration cannot go live.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AssembleError {
    #[error("`{name}` cannot be used")]
    Upstream { name: UpstreamName, source: Box<UpstreamError> },
    #[error("the access log cannot be opened")]
    AccessLog(#[source] std::io::Error),
    #[error(transparent)]
    Route(#[from] RouteError),
    #[error("`{0}` was not loaded")]
    Filter(PluginName),
}

/// Where filters come from: what stands at a place in a chain; `None`: it was not loaded.
pub(crate) type FindFilter<'a> = dyn Fn(&Plugin, &FilterUse, &RouteName) -> Option<Fitting> + 'a;

/// What stands at a place in a chain.
pub(crate) enum Fitting {
    /// The filter that was made of the plugin for this place.
    Filter(Arc<dyn Filter>, Option<Arc<Breaker>>),
    /// Nothing: the operator has taken the plugin out of all chains.
    Disabled,
}

/// Puts a generation together. Blocks while it reads files.
pub(crate) fn assemble(
    generation: u64,
    config: Config,
    find: &FindFilter<'_>,
    metrics: &Arc<Metrics>,
    before: Option<&World>,
) -> Result<World, AssembleError> {
    let mut upstreams = BTreeMap::new();
    for (name, upstream) in &config.upstreams {
        let known = before.and_then(|world| world.upstreams.get(name));
        upstreams.insert(name.clone(), LiveUpstream::new(upstream, known)?);
    }
    let access_log = access_log(&config, metrics, before)?;
    let parts = Parts { config: &config, find, metrics, upstreams: &upstreams };
    // Both are in the order of their names.
    let known = before.map_or(&[][..], |world| world.snapshot.routes());
    let mut known = known.iter().peekable();
    let routes = config.routes.values().map(|route| {
        while known.next_if(|live| live.route().name < route.name).is_some() {}
        parts.route(route, known.next_if(|live| live.route().name == route.name))
    });
    let routes = routes.collect::<Result<_, _>>()?;
    let log = access_log.as_ref().map(|(_, log)| Arc::clone(log));
    let known = before.map(|world| &*world.snapshot);
    let snapshot = Snapshot::new(generation, routes, log, metrics, known)?;
    Ok(World { config, snapshot, upstreams, access_log })
}

struct Parts<'a> {
    config: &'a Config,
    find: &'a FindFilter<'a>,
    metrics: &'a Arc<Metrics>,
    upstreams: &'a BTreeMap<UpstreamName, LiveUpstream>,
}

impl Parts<'_> {
    fn route(
        &self,
        route: &Arc<Route>,
        known: Option<&Arc<LiveRoute>>,
    ) -> Result<Arc<LiveRoute>, AssembleError> {
        let chain = self.chain(route, known.map(|live| live.chain()))?;
        let upstreams = self.upstreams(route);
        let mirror = self.mirror(route);
        if let Some(known) = known
            && (Arc::ptr_eq(known.route(), route) || known.route() == route)
            && Arc::ptr_eq(known.chain(), &chain)
            && same(known, &upstreams)
            && known.mirror().map(Arc::as_ptr) == mirror.as_ref().map(Arc::as_ptr)
        {
            return Ok(Arc::clone(known));
        }
        Ok(LiveRoute::with_mirror(Arc::clone(route), chain, upstreams, mirror, self.metrics))
    }

    fn upstreams(&self, route: &Route) -> Vec<(Arc<Upstream>, u32)> {
        let Action::Forward(targets) = &route.action else { return Vec::new() };
        let live = |target: &model::WeightedUpstream| {
            let known = self.upstreams.get(&target.name)?;
            Some((Arc::clone(&known.upstream), target.weight))
        };
        targets.iter().filter_map(live).collect()
    }

    fn mirror(&self, route: &Route) -> Option<Arc<Upstream>> {
        let known = self.upstreams.get(&route.mirror.as_ref()?.upstream)?;
        Some(Arc::clone(&known.upstream))
    }

    fn chain(
        &self,
        route: &Route,
        known: Option<&Arc<Chain>>,
    ) -> Result<Arc<Chain>, AssembleError> {
        let filters = route.filters.iter();
        let filters = filters.filter_map(|place| self.filter(place, &route.name).transpose());
        let filters: Vec<_> = filters.collect::<Result<_, _>>()?;
        let fuel = self.config.request_limits.fuel;
        let is_same = |chain: &&Arc<Chain>| {
            let links = chain.links();
            chain.request_fuel() == fuel
                && links.len() == filters.len()
                && links.iter().zip(&filters).all(|(link, stand)| stand.is(link))
        };
        if let Some(known) = known.filter(is_same) {
            return Ok(Arc::clone(known));
        }
        let link = |Stand { filter, breaker, on_error }| {
            let filter: Arc<dyn Filter> = filter;
            let (name, version) = (filter.plugin(), filter.version());
            let observer = FilterObserver::new(self.metrics, &route.name, name, version);
            Link { filter, on_error, observer, breaker }
        };
        Ok(Arc::new(Chain::new(filters.into_iter().map(link).collect(), fuel)))
    }

    fn filter(&self, place: &FilterUse, route: &RouteName) -> Result<Option<Stand>, AssembleError> {
        let missing = || AssembleError::Filter(place.plugin.clone());
        let plugin = self.config.plugins.get(&place.plugin).ok_or_else(missing)?;
        Ok(match (self.find)(plugin, place, route).ok_or_else(missing)? {
            Fitting::Filter(filter, breaker) => {
                Some(Stand { filter, breaker, on_error: plugin.on_error })
            }
            Fitting::Disabled => None,
        })
    }
}

/// A filter at its place, as it should be.
struct Stand {
    filter: Arc<dyn Filter>,
    breaker: Option<Arc<Breaker>>,
    on_error: model::OnError,
}

impl Stand {
    /// Is a link of the chain before the same?
    fn is(&self, link: &Link) -> bool {
        let same_breaker = match (&self.breaker, &link.breaker) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (a, b) => a.is_none() && b.is_none(),
        };
        link.on_error == self.on_error && same_breaker && is_same_filter(&link.filter, &self.filter)
    }
}

fn is_same_filter(a: &Arc<dyn Filter>, b: &Arc<dyn Filter>) -> bool {
    std::ptr::addr_eq(Arc::as_ptr(a), Arc::as_ptr(b))
}

fn same(known: &LiveRoute, upstreams: &[(Arc<Upstream>, u32)]) -> bool {
    let known = known.upstreams();
    known.len() == upstreams.len()
        && known.iter().zip(upstreams).all(|(a, (b, _))| Arc::ptr_eq(a.upstream(), b))
}

impl LiveUpstream {
    fn new(config: &model::Upstream, known: Option<&Self>) -> Result<Self, AssembleError> {
        let identity = config.tls.identity.as_ref();
        let paths = [config.tls.ca.as_ref(), identity.map(|i| &i.cert), identity.map(|i| &i.key)];
        let digest = |path| std::fs::read(path).ok().map(|bytes| Digest::of(&bytes));
        let files: Vec<_> = paths.into_iter().map(|path| path.and_then(digest)).collect();
        if let Some(known) = known.filter(|known| known.config == *config && known.files == files) {
            return Ok(known.clone());
        }
        let failed = |error| {
            let source = Box::new(error);
            AssembleError::Upstream { name: config.name.clone(), source }
        };
        let upstream = Upstream::new(config).map_err(failed)?;
        Ok(Self { config: config.clone(), files, upstream })
    }
}

fn access_log(
    config: &Config,
    metrics: &Arc<Metrics>,
    before: Option<&World>,
) -> Result<Option<(model::AccessLog, Arc<AccessLog>)>, AssembleError> {
    let Some(wanted) = &config.telemetry.access_log else { return Ok(None) };
    let known = before.and_then(|world| world.access_log.as_ref());
    if let Some((_, log)) = known.filter(|(config, _)| config == wanted) {
        return Ok(Some((wanted.clone(), Arc::clone(log))));
    }
    let log = AccessLog::open(wanted, metrics).map_err(AssembleError::AccessLog)?;
    Ok(Some((wanted.clone(), Arc::new(log))))
}

impl AssembleError {
    /// The message at its place in the configuration.
    pub(crate) fn diagnostic(&self, origin: Option<&Origin>) -> Diagnostic {
        let (code, entry) = match self {
            Self::Upstream { name, source } if matches!(**source, UpstreamError::Tls { .. }) => {
                (code::CERTIFICATE, Some(Entry::Upstream(name)))
            }
            Self::Upstream { name, .. } => (code::INVALID_SERVER, Some(Entry::Upstream(name))),
            Self::AccessLog(_) => (code::UNREADABLE, None),
            Self::Route(error) => (code::INVALID_PATH, Some(Entry::Route(&error.route))),
            Self::Filter(name) => (code::PLUGIN_UNREADABLE, Some(Entry::Plugin(name))),
        };
        let message = crate::error::chain(self);
        match (origin, entry) {
            (Some(origin), Some(entry)) => origin.diagnostic_at(entry, code, message, None),
            _ => Diagnostic::new(code, message),
        }
    }
}

#[cfg(test)]
mod tests;
