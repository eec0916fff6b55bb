//! What keeps an upstream from harm, and requests from endpoints that are in trouble.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use edgewit_model as model;
use tokio::time::Instant;

use crate::{
    circuit::Circuit,
    outlier::{Detector, Ejection, Ended},
    standing::Standing,
    upstream::{Endpoint, EndpointSet, Millis},
};

/// What keeps an upstream from harm, and requests from endpoints that are in trouble: the standing of the endpoints, the
/// detection of outliers, the circuit.
///
/// As long as all endpoints are well, choosing one costs two loads more. Only after something has changed the endpoints
/// are looked at one by one, until all are well again.
#[derive(Debug)]
pub(crate) struct Safeguards {
    upstream: model::UpstreamName,
    start: Instant,
    /// Times that an endpoint became unavailable; times that were seen before all were found available.
    changes: AtomicU64,
    settled: AtomicU64,
    panic_percent: u32,
    panics: AtomicBool,
    detector: Detector,
    circuit: Arc<Circuit>,
}

/// Which endpoints may be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sight {
    /// All.
    All,
    /// Those that are available at this instant, of which there is one at least.
    Available(u64),
    /// None is available, and all together are not to be used.
    Nobody,
}

impl Safeguards {
    pub(crate) fn new(config: &model::Upstream) -> Self {
        Self {
            upstream: config.name.clone(),
            start: Instant::now(),
            changes: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            panic_percent: config.panic_percent,
            panics: AtomicBool::new(false),
            detector: Detector::new(&config.outlier),
            circuit: Circuit::new(&config.circuit, config.concurrency.as_ref()),
        }
    }

    pub(crate) fn circuit(&self) -> &Arc<Circuit> {
        &self.circuit
    }

    pub(crate) fn detector(&self) -> &Detector {
        &self.detector
    }

    /// Milliseconds since the upstream was built.
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Which of these may be chosen.
    pub(crate) fn look(&self, endpoints: &[Arc<Endpoint>]) -> Sight {
        let changes = self.changes.load(Ordering::Acquire);
        if changes == self.settled.load(Ordering::Acquire) {
            return Sight::All;
        }
        let now = self.now();
        let is_available = |endpoint: &&Arc<Endpoint>| {
            let standing = endpoint.standing();
            if standing.comes_back(now) {
                endpoint.begin_warm_up(Millis::now());
                tracing::info!(upstream = %self.upstream, server = server(endpoint), "server is no longer ejected");
            }
            standing.is_available(now)
        };
        let available = endpoints.iter().filter(is_available).count();
        if available == endpoints.len() {
            self.settled.fetch_max(changes, Ordering::AcqRel);
        }
        let sight = sight(available, endpoints.len(), self.panic_percent, now);
        self.tell(available, endpoints.len());
        sight
    }

    /// Says when too few are available, and when that is over.
    fn tell(&self, available: usize, all: usize) {
        let panics = is_panic(available, all, self.panic_percent);
        if self.panics.swap(panics, Ordering::Relaxed) == panics {
            return;
        }
        let upstream = &self.upstream;
        if panics {
            tracing::warn!(%upstream, available, servers = all, "too few servers are available, so all are used");
        } else {
            tracing::info!(%upstream, available, servers = all, "enough servers are available again");
        }
    }

    /// What the active checks found out. Nothing happens if it is what was known.
    pub(crate) fn checked(&self, endpoint: &Endpoint, healthy: bool, reason: &str) {
        let (upstream, server) = (&self.upstream, server(endpoint));
        endpoint.standing().set_healthy(healthy);
        if healthy {
            endpoint.begin_warm_up(Millis::now());
            tracing::info!(%upstream, server, "server is healthy");
        } else {
            self.changes.fetch_add(1, Ordering::AcqRel);
            tracing::warn!(%upstream, server, reason, "server is unhealthy");
        }
    }

    /// An attempt at an endpoint ended.
    pub(crate) fn note(
        &self,
        endpoint: &Endpoint,
        ended: Ended,
        endpoints: impl Fn() -> Arc<EndpointSet>,
    ) {
        if let Some(reason) = self.detector.note(endpoint.standing(), ended) {
            let all = endpoints();
            if let Some(index) = all.iter().position(|other| other.id() == endpoint.id()) {
                let ejection = self.detector.eject(&standings(&all), index, reason, self.now());
                self.ejected(&all, ejection);
            }
        }
        if self.detector.is_sweep_due(|| self.now()) {
            let all = endpoints();
            self.ejected(&all, self.detector.sweep(&standings(&all), self.now()));
        }
    }

    fn ejected(&self, all: &[Arc<Endpoint>], ejections: impl IntoIterator<Item = Ejection>) {
        for Ejection { index, reason, lasts } in ejections {
            self.changes.fetch_add(1, Ordering::AcqRel);
            let Some(endpoint) = all.get(index) else { continue };
            let (upstream, server) = (&self.upstream, server(endpoint));
            tracing::warn!(%upstream, server, reason = reason.word(), ?lasts, "server is ejected");
        }
    }
}

fn standings(endpoints: &[Arc<Endpoint>]) -> Vec<&Standing> {
    endpoints.iter().map(|endpoint| endpoint.standing()).collect()
}

fn is_panic(available: usize, all: usize, percent: u32) -> bool {
    available.saturating_mul(100) < all.saturating_mul(percent as usize)
}

fn sight(available: usize, all: usize, panic_percent: u32, now: u64) -> Sight {
    match available {
        _ if available == all || is_panic(available, all, panic_percent) => Sight::All,
        0 => Sight::Nobody,
        _ => Sight::Available(now),
    }
}

/// Host and port, which tell endpoints apart that share a name.
fn server(endpoint: &Endpoint) -> String {
    let (host, port) = (endpoint.host(), endpoint.port());
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// How one server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerHealth {
    /// Host and port.
    pub server: String,
    /// What the active checks say; `true` without them.
    pub healthy: bool,
    /// Left alone by outlier detection for so long.
    pub ejected_for: Option<Duration>,
}

impl ServerHealth {
    pub(crate) fn of(endpoint: &Endpoint, now: u64) -> Self {
        let left = endpoint.standing().ejected_for(now);
        Self {
            server: server(endpoint),
            healthy: endpoint.standing().is_healthy(),
            ejected_for: left.map(Duration::from_millis),
        }
    }

    /// Whether it gets requests.
    pub fn is_available(&self) -> bool {
        self.healthy && self.ejected_for.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unavailable_are_passed_over_until_too_few_are_left() {
        let check = |available, all, percent, expected| {
            assert_eq!(sight(available, all, percent, 7), expected, "{available} of {all}");
        };
        check(3, 3, 20, Sight::All);
        check(2, 3, 20, Sight::Available(7));
        check(1, 3, 20, Sight::Available(7));
        check(0, 3, 20, Sight::All);
        check(1, 5, 20, Sight::Available(7));
        check(1, 6, 20, Sight::All);
        check(1, 6, 0, Sight::Available(7));
        check(0, 6, 0, Sight::Nobody);
        check(0, 1, 0, Sight::Nobody);
        check(0, 1, 20, Sight::All);
        check(5, 6, 100, Sight::All);
        check(0, 0, 20, Sight::All);
    }
}
