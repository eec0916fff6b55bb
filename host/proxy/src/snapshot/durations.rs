//! How long attempts at the endpoints of an upstream take.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use edgewit_telemetry::{Histogram, Metrics, families};
use edgewit_upstream::{EndpointId, EndpointSet, Upstream};

/// One histogram for each endpoint that the upstream has now, found without a lock. When discovery has brought others,
/// the first attempt at one of them makes the list anew, or whoever reads the metrics first; the series of endpoints that
/// are gone end with it.
pub(super) struct Durations {
    metrics: Arc<Metrics>,
    known: ArcSwap<Known>,
}

/// The histograms of one set of endpoints, by id.
struct Known {
    set: Arc<EndpointSet>,
    histograms: Vec<(EndpointId, Histogram)>,
}

impl Durations {
    pub(super) fn new(upstream: &Upstream, metrics: &Arc<Metrics>) -> Self {
        let known = Known::new(upstream, metrics);
        Self { metrics: Arc::clone(metrics), known: ArcSwap::from_pointee(known) }
    }

    /// Ends the series of endpoints that are gone, even if nobody asks another one.
    pub(super) fn renew(&self, upstream: &Upstream) {
        if !Arc::ptr_eq(&self.known.load().set, &upstream.endpoints()) {
            self.known.store(Arc::new(Known::new(upstream, &self.metrics)));
        }
    }

    /// An attempt at this endpoint took this long. Not counted if the endpoint is gone meanwhile.
    pub(super) fn observe(&self, upstream: &Upstream, endpoint: EndpointId, duration: Duration) {
        let known = self.known.load();
        if let Some(histogram) = known.find(endpoint) {
            return histogram.observe_duration(duration);
        }
        if Arc::ptr_eq(&known.set, &upstream.endpoints()) {
            return;
        }
        let known = Arc::new(Known::new(upstream, &self.metrics));
        if let Some(histogram) = known.find(endpoint) {
            histogram.observe_duration(duration);
        }
        self.known.store(known);
    }
}

impl Known {
    fn new(upstream: &Upstream, metrics: &Metrics) -> Self {
        let set = upstream.endpoints();
        let histogram = |endpoint: &Arc<edgewit_upstream::Endpoint>| {
            let labels = [
                ("server_address", endpoint.host()),
                ("server_port", &endpoint.port().to_string()),
                ("edgewit_upstream", upstream.name().as_str()),
            ];
            (endpoint.id(), metrics.histogram(&families::CLIENT_REQUEST_DURATION, &labels))
        };
        let mut histograms: Vec<_> = set.iter().map(histogram).collect();
        histograms.sort_unstable_by_key(|(id, _)| *id);
        Self { set, histograms }
    }

    fn find(&self, endpoint: EndpointId) -> Option<&Histogram> {
        let index = self.histograms.binary_search_by_key(&endpoint, |(id, _)| *id).ok()?;
        self.histograms.get(index).map(|(_, histogram)| histogram)
    }
}
