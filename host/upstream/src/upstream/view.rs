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
    pub(super) wanted: Wanted,
    /// Only if latencies or a slow start make it matter.
    pub(super) now: Millis,
    pub(super) slow_start: Option<Duration>,
    pub(super) random: u64,
}

/// How an endpoint must be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wanted {
    /// All are available, or too few to be choosy.
    Any,
    /// Checks do not speak against it, though it may be ejected.
    Healthy,
    /// Available at this instant, in milliseconds of the upstream.
    Available(u64),
}

impl Wanted {
    /// The same, but ejected ones will do.
    pub(super) fn or_ejected(self) -> Self {
        match self {
            Self::Available(_) => Self::Healthy,
            other => other,
        }
    }

    fn is(self, endpoint: &Endpoint) -> bool {
        match self {
            Self::Any => true,
            Self::Healthy => endpoint.standing().is_healthy(),
            Self::Available(now) => endpoint.standing().is_available(now),
        }
    }
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
            || !self.wanted.is(endpoint)
            || self.is_spared(endpoint)
    }
}
