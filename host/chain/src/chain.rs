//! The ordered filters of one route.

use std::sync::Arc;

use edgewit_model::OnError;

use crate::{
    breaker::Breaker,
    filter::{CallReport, Filter},
    phase::Phases,
    run::Run,
    stop::Stop,
};

/// The ordered filters of one route, immutable and shared by all requests of a snapshot.
pub struct Chain {
    links: Box<[Link]>,
    request_fuel: u64,
    phases: Phases,
}

/// A filter at its place in a chain.
pub struct Link {
    /// The filter.
    pub filter: Arc<dyn Filter>,
    /// What happens if it fails.
    pub on_error: OnError,
    /// Is told of every call.
    pub observer: Arc<dyn Observer>,
    /// Decides whether it is called; `None`: always.
    pub breaker: Option<Arc<Breaker>>,
}

/// Is told of every call of one link.
pub trait Observer: Send + Sync {
    /// A call ended.
    fn called(&self, report: &CallReport);

    /// The filter was stopped; called beside [`Observer::called`], with the words for the operator.
    fn stopped(&self, report: &CallReport, stop: &Stop, request_id: &str);

    /// A request came while the filter is in quarantine, so that it was not called.
    fn held(&self) {}

    /// The filter is slow, so a step of a request in which it may be asked is done where nobody else waits for it.
    fn set_aside(&self) {}
}

impl Chain {
    /// Puts links into a chain, in the order of their request side. `request_fuel` is what all of them together may spend
    /// on one request.
    pub fn new(links: Vec<Link>, request_fuel: u64) -> Self {
        let phases = links.iter().fold(Phases::NONE, |sum, link| sum.union(link.filter.phases()));
        Self { links: links.into(), request_fuel, phases }
    }

    /// Phases that any of its filters exports.
    pub fn phases(&self) -> Phases {
        self.phases
    }

    /// The links, in order.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// Fuel of all filters together for one request.
    pub fn request_fuel(&self) -> u64 {
        self.request_fuel
    }

    /// Begins a run of one exchange.
    pub fn begin(self: &Arc<Self>, exchange: Box<crate::Exchange>) -> Run {
        Run::new(Arc::clone(self), exchange)
    }
}
