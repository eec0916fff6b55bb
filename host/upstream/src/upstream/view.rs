//! What a policy sees of the endpoints, at one moment and for one request.

use std::{sync::Arc, time::Duration};

use super::{Endpoint, EndpointSet, latency::Millis};
use crate::{
    balance::{Candidates, mix},
    send::Tried,
};

/// The endpoints as a policy sees them.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) set: &'a EndpointSet,
    /// To avoid what was tried.
    pub(super) tried: Option<&'a Tried>,
    /// To avoid what is not available at this instant, in milliseconds of the upstream.
    pub(super) available: Option<u64>,
    /// Only if latencies or a slow start make it matter.
    pub(super) now: Millis,
    pub(super) slow_start: Option<Duration>,
    pub(super) random: u64,
}

impl View<'_> {
    fn endpoint(&self, index: usize) -> Option<&Arc<Endpoint>> {
        self.set.get(index)
    }

    /// Whether an endpoint is passed over in this turn because it is new: in as many turns as its share is still short.
    fn is_spared(&self, endpoint: &Endpoint) -> bool {
        let Some(slow_start) = self.slow_start else { return false };
        let Some(share) = endpoint.warmth(self.now, slow_start) else { return false };
        let drawn = mix(self.random ^ mix(endpoint.id().number()));
        drawn as f64 / u64::MAX as f64 >= share
    }
}

impl Candidates for View<'_> {
    fn count(&self) -> usize {
        self.set.len()
    }

    fn weight(&self, index: usize) -> u32 {
        self.endpoint(index).map_or(0, |e| e.weight())
    }

    fn load(&self, index: usize) -> u64 {
        self.endpoint(index).map_or(0, |e| e.counters().in_flight())
    }

    fn latency(&self, index: usize) -> Option<u64> {
        self.endpoint(index)?.latency().at(self.now)
    }

    fn excluded(&self, index: usize) -> bool {
        let Some(endpoint) = self.endpoint(index) else { return true };
        self.tried.is_some_and(|tried| tried.avoids(endpoint.id()))
            || self.available.is_some_and(|now| !endpoint.standing().is_available(now))
            || self.is_spared(endpoint)
    }
}
