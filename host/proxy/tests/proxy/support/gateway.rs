//! A running proxy.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use edgewit_chain::{Chain, Filter, Link};
use edgewit_model::{
    self as model, Action, Listener, ListenerName, OnError, Respond, Route, RouteName,
    UpstreamName, WeightedUpstream,
};
use edgewit_proxy::{FilterObserver, LiveRoute, Proxy, Snapshot};
use edgewit_telemetry::{AccessLog, Metrics};
use edgewit_upstream::Upstream;
use http::StatusCode;

use super::Backend;

/// A running proxy with one listener in clear text, and what it was made of.
pub(crate) struct Gateway {
    pub(crate) proxy: Proxy,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) address: SocketAddr,
    pub(crate) listeners: BTreeMap<ListenerName, Listener>,
}

/// A route with its filters and upstreams.
pub(crate) type Ready = (Route, Vec<Arc<dyn Filter>>, Vec<Arc<Upstream>>);

/// A listener `web` on a free port.
pub(crate) fn listener() -> Listener {
    Listener::new(ListenerName::new("web").unwrap(), "127.0.0.1:0".parse().unwrap())
}

/// A route for everything.
pub(crate) fn route(action: Action) -> Route {
    Route::new(RouteName::new("r").unwrap(), action)
}

pub(crate) fn respond(status: u16, body: &str) -> Action {
    Action::Respond(Respond {
        status: StatusCode::from_u16(status).unwrap(),
        headers: Vec::new(),
        body: body.to_owned(),
    })
}

pub(crate) fn forward_to(upstreams: &[&Arc<Upstream>]) -> Action {
    let weighted =
        |upstream: &&Arc<Upstream>| WeightedUpstream { name: upstream.name().clone(), weight: 1 };
    Action::Forward(upstreams.iter().map(weighted).collect())
}

/// An upstream with these endpoints.
pub(crate) fn upstream(name: &str, addresses: &[SocketAddr]) -> Arc<Upstream> {
    let endpoint = |address: &SocketAddr| model::Endpoint {
        tls: false,
        host: address.ip().to_string(),
        port: address.port(),
        weight: 1,
    };
    let endpoints = addresses.iter().map(endpoint).collect();
    let mut config = model::Upstream::new(UpstreamName::new(name).unwrap(), endpoints);
    config.timeouts.connect = super::DEADLINE; // a second is little on a machine that is busy with other tests
    Upstream::new(&config).unwrap()
}

pub(crate) fn name(text: &str) -> ListenerName {
    ListenerName::new(text).unwrap()
}

impl Gateway {
    /// Routes with their filters and upstreams behind this listener.
    pub(crate) fn new(listener: Listener, routes: Vec<Ready>) -> Self {
        Self::with_log(listener, routes, None)
    }

    pub(crate) fn with_log(
        listener: Listener,
        routes: Vec<Ready>,
        log: Option<&model::AccessLog>,
    ) -> Self {
        let metrics = Metrics::new(2);
        let log = log.map(|log| Arc::new(AccessLog::open(log, &metrics).unwrap()));
        let snapshot = snapshot(1, routes, log, &metrics);
        let proxy = Proxy::start(Some(2), &metrics, Arc::clone(&snapshot)).unwrap();
        let listeners = BTreeMap::from([(listener.name.clone(), listener)]);
        let bound = proxy.apply(&listeners, snapshot).unwrap();
        Self { proxy, metrics, address: bound[0].address, listeners }
    }

    /// Everything goes to this backend.
    pub(crate) fn to(backend: &Backend) -> Self {
        Self::filtered(backend, Vec::new())
    }

    /// Everything goes through these filters to this backend.
    pub(crate) fn filtered(backend: &Backend, filters: Vec<Arc<dyn Filter>>) -> Self {
        let upstream = upstream("u", &[backend.address]);
        let route = route(forward_to(&[&upstream]));
        Self::new(listener(), vec![(route, filters, vec![upstream])])
    }

    /// Everything goes to this backend by a route that was changed.
    pub(crate) fn changed(backend: &Backend, change: impl FnOnce(&mut Route)) -> Self {
        let upstream = upstream("u", &[backend.address]);
        let mut route = route(forward_to(&[&upstream]));
        change(&mut route);
        Self::new(listener(), vec![(route, Vec::new(), vec![upstream])])
    }

    /// Everything is answered by itself, through these filters.
    pub(crate) fn answering(filters: Vec<Arc<dyn Filter>>) -> Self {
        Self::new(listener(), vec![(route(respond(200, "hello")), filters, Vec::new())])
    }
}

/// A snapshot of these routes.
pub(crate) fn snapshot(
    generation: u64,
    routes: Vec<Ready>,
    log: Option<Arc<AccessLog>>,
    metrics: &Arc<Metrics>,
) -> Arc<Snapshot> {
    let live = |(route, filters, upstreams): Ready| {
        let link = |filter: Arc<dyn Filter>| Link {
            observer: FilterObserver::new(metrics, &route.name, filter.plugin(), filter.version()),
            filter,
            on_error: OnError::Reject,
            breaker: None,
        };
        let chain = Chain::new(filters.into_iter().map(link).collect(), 1_000_000);
        let upstreams = upstreams.into_iter().map(|upstream| (upstream, 1)).collect();
        LiveRoute::new(route, Arc::new(chain), upstreams, metrics)
    };
    let routes = routes.into_iter().map(live).collect();
    Snapshot::new(generation, routes, log, metrics, None).unwrap()
}

/// Everything is answered by itself, on this listener.
pub(crate) fn hello(listener: Listener) -> Gateway {
    Gateway::new(listener, vec![(route(respond(200, "hello")), Vec::new(), Vec::new())])
}
