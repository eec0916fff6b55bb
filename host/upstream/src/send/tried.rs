//! What an exchange has tried so far.

use std::{cell::Cell, rc::Rc};

use tokio::time::Instant;

use crate::upstream::EndpointId;

/// Attempts that are remembered: no exchange has more.
const MAX: usize = 10;

/// What an exchange has tried so far, and how the next attempt should go. One for each request of a client.
#[derive(Debug, Clone, Default)]
pub struct Tried {
    endpoints: [Option<EndpointId>; MAX],
    attempts: usize,
    /// Avoid the endpoints already tried, if there are others.
    pub elsewhere: bool,
    /// When the next attempt ends with [`Failure::Timeout`](crate::Failure::Timeout) if no response head has come;
    /// `None` if the caller keeps the time itself by dropping the future.
    pub deadline: Option<Instant>,
    /// What the request says about where it goes, if the upstream's policy asks ([`Upstream::hash_on`](crate::Upstream)).
    pub hash: Option<u64>,
    /// The tag of the endpoint that answered this client before ([`Upstream::affinity`](crate::Upstream)). It is chosen
    /// as long as it is available.
    pub prefer: Option<u64>,
    /// Where the choice of an attempt is left as soon as it is made, for whoever has to avoid it meanwhile.
    pub chosen: Option<Rc<Cell<Option<EndpointId>>>>,
    /// When the next attempt begins. From then on, or from the end of a longer upload, the upstream's
    /// [`first_byte`](edgewit_model::UpstreamTimeouts::first_byte) bounds the wait for the response head; `None`: nothing does.
    pub began: Option<Instant>,
}

impl Tried {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Attempts so far.
    pub fn attempts(&self) -> usize {
        self.attempts
    }

    /// The endpoint of the last attempt.
    pub fn last(&self) -> Option<EndpointId> {
        let last = self.attempts.checked_sub(1)?;
        self.endpoints.get(last % MAX).copied().flatten()
    }

    /// An endpoint that another attempt is busy with.
    pub fn add(&mut self, endpoint: EndpointId) {
        self.note(endpoint);
    }

    pub(crate) fn note(&mut self, endpoint: EndpointId) {
        if let Some(chosen) = &self.chosen {
            chosen.set(Some(endpoint));
        }
        if let Some(slot) = self.endpoints.get_mut(self.attempts % MAX) {
            *slot = Some(endpoint);
        }
        self.attempts += 1;
    }

    pub(crate) fn avoids(&self, endpoint: EndpointId) -> bool {
        self.elsewhere && self.endpoints.contains(&Some(endpoint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tried_endpoints_are_avoided_only_if_asked() {
        let (a, b) = (EndpointId::of(1), EndpointId::of(2));
        let mut tried = Tried::new();
        assert_eq!((tried.last(), tried.attempts()), (None, 0));
        tried.note(a);
        assert_eq!((tried.last(), tried.attempts()), (Some(a), 1));
        assert!(!tried.avoids(a));
        tried.elsewhere = true;
        assert!(tried.avoids(a) && !tried.avoids(b));
    }
}
