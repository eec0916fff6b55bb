//! Whether an endpoint should be asked.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::outlier::Tally;

/// Whether an endpoint should be asked, shared by all workers: what the active checks say, and until when outlier
/// detection leaves it alone. Instants are milliseconds since the upstream was built.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    unhealthy: AtomicBool,
    /// 0: not ejected.
    ejected_until: AtomicU64,
    tally: Tally,
}

impl Standing {
    /// A check or an ejection speaks against it.
    pub(crate) fn is_available(&self, now: u64) -> bool {
        self.is_healthy() && !self.is_ejected(now)
    }

    /// What the active checks say. Healthy until they say otherwise.
    pub(crate) fn is_healthy(&self) -> bool {
        !self.unhealthy.load(Ordering::Acquire)
    }

    pub(crate) fn is_ejected(&self, now: u64) -> bool {
        now < self.ejected_until.load(Ordering::Acquire)
    }

    /// Milliseconds until the end of the ejection.
    pub(crate) fn ejected_for(&self, now: u64) -> Option<u64> {
        self.ejected_until.load(Ordering::Acquire).checked_sub(now).filter(|left| *left > 0)
    }

    pub(crate) fn set_healthy(&self, healthy: bool) {
        self.unhealthy.store(!healthy, Ordering::Release);
    }

    pub(crate) fn eject(&self, until: u64) {
        self.ejected_until.store(until.max(1), Ordering::Release);
    }

    /// Whether an ejection is over that nobody has noticed yet. `true` for one caller.
    pub(crate) fn comes_back(&self, now: u64) -> bool {
        let until = self.ejected_until.load(Ordering::Acquire);
        let over = until != 0 && until <= now;
        let swap =
            || self.ejected_until.compare_exchange(until, 0, Ordering::AcqRel, Ordering::Relaxed);
        over && swap().is_ok()
    }

    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_available_until_something_speaks_against_it() {
        let standing = Standing::default();
        assert!(standing.is_available(0));
        standing.set_healthy(false);
        assert!(!standing.is_available(0));
        standing.set_healthy(true);
        standing.eject(100);
        assert!(!standing.is_available(99) && standing.is_available(100));
    }

    #[test]
    fn the_end_of_an_ejection_is_noticed_once() {
        let standing = Standing::default();
        assert!(!standing.comes_back(5));
        standing.eject(100);
        assert!(!standing.comes_back(99));
        assert!(standing.comes_back(100));
        assert!(!standing.comes_back(100));
    }
}
