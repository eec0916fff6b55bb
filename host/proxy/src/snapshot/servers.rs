//! How the servers of an upstream are, as metrics.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use edgewit_telemetry::{Counter, Gauge, Metrics, Refresh, families};
use edgewit_upstream::Upstream;

use super::{durations::Durations, watched::Watched};

/// How the servers of an upstream are. The upstream holds it, so that its series last as long as the upstream does,
/// whichever routes come and go. It is brought up to date when somebody reads the metrics.
pub(super) struct Servers {
    upstream: Weak<Upstream>,
    metrics: Arc<Metrics>,
    series: Mutex<Series>,
    watched: Watched,
    durations: Arc<Durations>,
}

struct Series {
    healthy: BTreeMap<String, Gauge>,
    open: Gauge,
    /// With the number that was counted already.
    ejections: Vec<(Counter, u64)>,
}

impl Servers {
    /// Begins to export what becomes of this upstream, if nobody does yet. Gives the histograms of attempts, which all
    /// routes to it share.
    pub(super) fn export(upstream: &Arc<Upstream>, metrics: &Arc<Metrics>) -> Arc<Durations> {
        let kept = upstream.attach(|| {
            let servers: Arc<Self> = Arc::new(Self {
                upstream: Arc::downgrade(upstream),
                metrics: Arc::clone(metrics),
                series: Mutex::new(Series::new(upstream, metrics)),
                watched: Watched::new(upstream, metrics),
                durations: Arc::new(Durations::new(upstream, metrics)),
            });
            let refresh: Arc<dyn Refresh> = Arc::clone(&servers) as _;
            metrics.refresh_with(Arc::downgrade(&refresh));
            servers
        });
        match kept.downcast::<Self>() {
            Ok(servers) => Arc::clone(&servers.durations),
            Err(_) => Arc::new(Durations::new(upstream, metrics)), // nobody else attaches anything
        }
    }
}

impl Series {
    fn new(upstream: &Upstream, metrics: &Metrics) -> Self {
        let name = upstream.name().as_str();
        let counter = |reason: &'static str| {
            let labels = [("upstream", name), ("reason", reason)];
            metrics.counter(&families::UPSTREAM_EJECTIONS, &labels)
        };
        let open = metrics.gauge(&families::CIRCUIT_OPEN, &[("upstream", name)]);
        let reasons = upstream.ejections().into_iter();
        let ejections = reasons.map(|(reason, _)| (counter(reason), 0)).collect();
        Self { healthy: BTreeMap::new(), open, ejections }
    }

    fn update(&mut self, upstream: &Upstream, metrics: &Metrics) {
        let servers = upstream.health();
        self.healthy.retain(|known, _| servers.iter().any(|server| server.server == *known));
        for server in servers {
            let is_available = server.is_available();
            let labels = [("upstream", upstream.name().as_str()), ("server", &server.server)];
            let gauge = || metrics.gauge(&families::UPSTREAM_SERVER_HEALTHY, &labels);
            let gauge = self.healthy.entry(server.server.clone()).or_insert_with(gauge);
            gauge.set(is_available.into());
        }
        self.open.set(upstream.circuit().is_open().into());
        let now = upstream.ejections().into_iter().map(|(_, count)| count);
        for ((counter, counted), now) in self.ejections.iter_mut().zip(now) {
            counter.add(now.saturating_sub(*counted));
            *counted = now;
        }
    }
}

impl Refresh for Servers {
    fn refresh(&self) {
        let Some(upstream) = self.upstream.upgrade() else { return };
        self.watched.refresh(&upstream);
        self.durations.renew(&upstream);
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        series.update(&upstream, &self.metrics);
    }
}
