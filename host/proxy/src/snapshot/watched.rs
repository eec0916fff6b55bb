//! What an upstream counts itself, as series.

use std::sync::{Arc, Mutex, PoisonError};

use edgewit_telemetry::{Gauge, Metrics, families};
use edgewit_upstream::{EndpointSet, Upstream};

/// What an upstream counts itself, read for each exposition. The upstream keeps it.
pub(super) struct Watched {
    metrics: Arc<Metrics>,
    endpoints: Gauge,
    /// Looks that brought endpoints, and that did not; only if they are looked for.
    looks: Option<(Gauge, Gauge)>,
    connections: Mutex<Option<Connections>>,
}

/// The series of one set of endpoints.
struct Connections {
    set: Arc<EndpointSet>,
    /// Active and idle, for each endpoint in the order of the set.
    gauges: Vec<(Gauge, Gauge)>,
}

impl Watched {
    pub(super) fn new(upstream: &Upstream, metrics: &Arc<Metrics>) -> Self {
        let name = upstream.name().as_str();
        let looks = |result| {
            let labels = [("upstream", name), ("result", result)];
            metrics.gauge(&families::DISCOVERY_LOOKS, &labels)
        };
        Self {
            metrics: Arc::clone(metrics),
            endpoints: metrics.gauge(&families::UPSTREAM_ENDPOINTS, &[("upstream", name)]),
            looks: upstream.is_discovered().then(|| (looks("ok"), looks("error"))),
            connections: Mutex::new(None),
        }
    }

    /// Reads the numbers.
    pub(super) fn refresh(&self, upstream: &Upstream) {
        let set = upstream.endpoints();
        self.endpoints.set(set.len() as u64);
        if let Some((good, bad)) = &self.looks {
            good.set(upstream.news().good());
            bad.set(upstream.news().bad());
        }
        let mut known = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = match known.take().filter(|known| Arc::ptr_eq(&known.set, &set)) {
            Some(known) => known,
            None => Connections::new(upstream, set, &self.metrics),
        };
        connections.refresh();
        *known = Some(connections);
    }
}

impl Connections {
    fn new(upstream: &Upstream, set: Arc<EndpointSet>, metrics: &Metrics) -> Self {
        let gauges = set.iter().map(|endpoint| {
            let gauge = |state| {
                let labels = [
                    ("server_address", endpoint.host()),
                    ("server_port", &endpoint.port().to_string()),
                    ("edgewit_upstream", upstream.name().as_str()),
                    ("http_connection_state", state),
                ];
                metrics.gauge(&families::CLIENT_OPEN_CONNECTIONS, &labels)
            };
            (gauge("active"), gauge("idle"))
        });
        Self { gauges: gauges.collect(), set }
    }

    fn refresh(&self) {
        for (endpoint, (active, idle)) in self.set.iter().zip(&self.gauges) {
            let counters = endpoint.counters();
            let waiting = counters.idle_connections();
            active.set(counters.connections().saturating_sub(waiting));
            idle.set(waiting);
        }
    }
}
