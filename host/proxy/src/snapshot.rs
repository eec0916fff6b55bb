//! Everything that a request needs to know of the configuration, in one immutable piece.

mod durations;

mod servers;

mod watched;

use std::{fmt, sync::Arc, time::Duration};

use edgewit_chain::Chain;
use edgewit_model::{HostPattern, Matcher, Route, UpstreamName};
use edgewit_telemetry::{AccessLog, Counter, Metrics, RequestSeries, families};
use edgewit_upstream::{Tried, Upstream};

use durations::Durations;
use servers::Servers;

use crate::{
    mirror::LiveMirror,
    policy::Policy,
    route::{Ask, Candidate, Found, RouteError, RouteTable},
};

/// One generation of the configuration as requests see it. A request keeps the one it began with to its end.
///
/// Parts that did not change are shared with the generation before: hand the same [`LiveRoute`] in again.
pub struct Snapshot {
    generation: u64,
    routes: Vec<Arc<LiveRoute>>,
    table: Arc<RouteTable>,
    access_log: Option<Arc<AccessLog>>,
    unrouted: RequestSeries,
}

/// A route with all that is needed to serve it.
pub struct LiveRoute {
    route: Arc<Route>,
    chain: Arc<Chain>,
    upstreams: Vec<LiveUpstream>,
    names: Vec<UpstreamName>,
    /// For each matcher.
    series: Vec<RequestSeries>,
    policy: Policy,
}

/// An upstream as one route uses it.
pub struct LiveUpstream {
    upstream: Arc<Upstream>,
    weight: u32,
    durations: Arc<Durations>,
    exhausted: Counter,
    /// Further attempts side by side: those that lost, those that won.
    hedges: [Counter; 2],
}

impl Snapshot {
    /// Puts a generation together. `before`: the one that it follows.
    pub fn new(
        generation: u64,
        routes: Vec<Arc<LiveRoute>>,
        access_log: Option<Arc<AccessLog>>,
        metrics: &Arc<Metrics>,
        before: Option<&Self>,
    ) -> Result<Arc<Self>, RouteError> {
        let table = match before.filter(|before| before.finds(&routes)) {
            Some(before) => Arc::clone(&before.table),
            None => Arc::new(RouteTable::new(routes.iter().map(|live| &*live.route))?),
        };
        let unrouted = RequestSeries::new(metrics, None);
        Ok(Arc::new(Self { generation, routes, table, access_log, unrouted }))
    }

    /// Are these routes found as its own are, whatever else is different about them?
    fn finds(&self, routes: &[Arc<LiveRoute>]) -> bool {
        let same = |(a, b): (&Arc<LiveRoute>, &Arc<LiveRoute>)| {
            Arc::ptr_eq(a, b) || Arc::ptr_eq(&a.route, &b.route) || a.route.is_found_as(&b.route)
        };
        self.routes.len() == routes.len() && self.routes.iter().zip(routes).all(same)
    }

    /// Number of the generation.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Its routes, in the order they were given.
    pub fn routes(&self) -> &[Arc<LiveRoute>] {
        &self.routes
    }

    /// Where a request would go, and why: a dry run.
    pub fn explain(&self, ask: &Ask<'_>) -> Vec<Candidate> {
        self.table.explain(ask)
    }

    pub(crate) fn find(&self, ask: &Ask<'_>) -> Found {
        self.table.find(ask)
    }

    pub(crate) fn route(&self, index: usize) -> Option<&Arc<LiveRoute>> {
        self.routes.get(index)
    }

    pub(crate) fn access_log(&self) -> Option<&AccessLog> {
        self.access_log.as_deref()
    }

    pub(crate) fn unrouted(&self) -> &RequestSeries {
        &self.unrouted
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("generation", &self.generation).finish_non_exhaustive()
    }
}

impl LiveRoute {
    /// Makes a route live. `upstreams` are those of its action with their weights, in its order; none if it answers by
    /// itself.
    pub fn new(
        route: impl Into<Arc<Route>>,
        chain: Arc<Chain>,
        upstreams: Vec<(Arc<Upstream>, u32)>,
        metrics: &Arc<Metrics>,
    ) -> Arc<Self> {
        Self::with_mirror(route, chain, upstreams, None, metrics)
    }

    /// The same with the upstream that gets copies of its requests, if its configuration has a `mirror`.
    pub fn with_mirror(
        route: impl Into<Arc<Route>>,
        chain: Arc<Chain>,
        upstreams: Vec<(Arc<Upstream>, u32)>,
        mirror: Option<Arc<Upstream>>,
        metrics: &Arc<Metrics>,
    ) -> Arc<Self> {
        let route = route.into();
        let policy = Policy::new(&route, mirror, metrics);
        let live = |(upstream, weight)| LiveUpstream::new(upstream, weight, metrics);
        let upstreams: Vec<LiveUpstream> = upstreams.into_iter().map(live).collect();
        let names = upstreams.iter().map(|u| u.upstream.name().clone()).collect();
        let series = route
            .matchers
            .iter()
            .map(|m| RequestSeries::new(metrics, Some((&route.name, &pattern(m)))));
        let series = series.collect();
        Arc::new(Self { route, chain, upstreams, names, series, policy })
    }

    /// Its configuration.
    pub fn route(&self) -> &Arc<Route> {
        &self.route
    }

    /// Its filters.
    pub fn chain(&self) -> &Arc<Chain> {
        &self.chain
    }

    /// Its upstreams.
    pub fn upstreams(&self) -> &[LiveUpstream] {
        &self.upstreams
    }

    /// The upstream that gets copies of its requests.
    pub fn mirror(&self) -> Option<&Arc<Upstream>> {
        self.policy.mirror.as_ref().map(LiveMirror::upstream)
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }

    pub(crate) fn upstream(&self, name: &UpstreamName) -> Option<&LiveUpstream> {
        self.upstreams.iter().find(|live| live.upstream.name() == name)
    }

    pub(crate) fn upstream_names(&self) -> &[UpstreamName] {
        &self.names
    }

    pub(crate) fn series(&self, matcher: usize) -> Option<&RequestSeries> {
        self.series.get(matcher)
    }

    /// Draws an upstream by weight. `random` is drawn evenly from all numbers.
    pub(crate) fn draw(&self, random: u64) -> Option<&LiveUpstream> {
        if let [only] = self.upstreams.as_slice() {
            return Some(only);
        }
        let total: u64 = self.upstreams.iter().map(|u| u64::from(u.weight)).sum();
        let mut ticket = random.checked_rem(total).unwrap_or(0);
        let wins = |live: &&LiveUpstream| match ticket.checked_sub(live.weight.into()) {
            Some(rest) => {
                ticket = rest;
                false
            }
            None => true,
        };
        self.upstreams.iter().find(wins).or(self.upstreams.first())
    }
}

impl fmt::Debug for LiveRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveRoute").field("name", &self.route.name).finish_non_exhaustive()
    }
}

/// The label `http_route`.
fn pattern(matcher: &Matcher) -> String {
    let path = matcher.path_regex.as_ref().map_or(matcher.path.as_str(), |regex| regex.as_str());
    match &matcher.host {
        None => path.to_owned(),
        Some(HostPattern::Exact(host)) => format!("{host}{path}"),
        Some(HostPattern::Wildcard(suffix)) => format!("*{suffix}{path}"),
    }
}

impl LiveUpstream {
    fn new(upstream: Arc<Upstream>, weight: u32, metrics: &Arc<Metrics>) -> Self {
        let labels = [("upstream", upstream.name().as_str())];
        let exhausted = metrics.counter(&families::RETRY_BUDGET_EXHAUSTED, &labels);
        let durations = Servers::export(&upstream, metrics);
        let hedges = ["lost", "won"].map(|result| {
            let labels = [("upstream", upstream.name().as_str()), ("result", result)];
            metrics.counter(&families::HEDGES, &labels)
        });
        Self { upstream, weight, durations, exhausted, hedges }
    }

    /// The upstream itself.
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// The last attempt took this long.
    pub(crate) fn took(&self, tried: &Tried, duration: Duration) {
        if let Some(endpoint) = tried.last() {
            self.durations.observe(&self.upstream, endpoint, duration);
        }
    }

    /// A further attempt side by side with another won or lost.
    pub(crate) fn hedged(&self, won: bool) {
        let [lost, winning] = &self.hedges;
        if won { winning.increment() } else { lost.increment() }
    }

    /// A retry was not made because the budget is used up.
    pub(crate) fn budget_exhausted(&self) {
        self.exhausted.increment();
    }
}

#[cfg(test)]
mod tests {
    use edgewit_model as model;

    use super::*;

    fn route(weights: &[u32]) -> Arc<LiveRoute> {
        let metrics = Metrics::new(1);
        let upstream = |n: usize| {
            let host = "127.0.0.1".to_owned();
            let endpoint = model::Endpoint { tls: false, host, port: 1, weight: 1 };
            let name = UpstreamName::new(&format!("u{n}")).unwrap();
            Upstream::new(&model::Upstream::new(name, vec![endpoint])).unwrap()
        };
        let upstreams: Vec<_> =
            weights.iter().enumerate().map(|(n, weight)| (upstream(n), *weight)).collect();
        let name = model::RouteName::new("r").unwrap();
        let route = model::Route::new(name, model::Action::Forward(Vec::new()));
        LiveRoute::new(route, Arc::new(Chain::new(Vec::new(), 0)), upstreams, &metrics)
    }

    #[test]
    fn upstreams_are_drawn_by_weight() {
        let check = |weights: &[u32], expected: &[u32]| {
            let route = route(weights);
            let mut drawn = vec![0; weights.len()];
            for random in 0..100 {
                let name = route.draw(random).unwrap().upstream.name().clone();
                let index = route.names.iter().position(|n| *n == name).unwrap();
                drawn[index] += 1;
            }
            assert_eq!(drawn, expected, "{weights:?}");
        };
        check(&[95, 5], &[95, 5]);
        check(&[0, 1, 0], &[0, 100, 0]);
        check(&[2, 0, 3], &[40, 0, 60]);
        check(&[0], &[100]);
        check(&[0, 0], &[100, 0]);
        assert!(route(&[]).draw(0).is_none());
    }
}
