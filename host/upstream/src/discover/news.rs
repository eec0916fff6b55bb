//! What became of the looks for endpoints.

use std::{
    error::Error,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use super::{Found, MOST_ENDPOINTS};
use crate::upstream::{Upstream, UpstreamError};

/// What became of the looks for endpoints. Read by whoever exports metrics.
#[derive(Debug, Default)]
pub struct News {
    good: AtomicU64,
    bad: AtomicU64,
    is_old: AtomicBool,
}

impl News {
    /// Looks that brought endpoints.
    pub fn good(&self) -> u64 {
        self.good.load(Ordering::Relaxed)
    }

    /// Looks that brought nothing usable; the endpoints before them stayed.
    pub fn bad(&self) -> u64 {
        self.bad.load(Ordering::Relaxed)
    }

    /// Whether the last look brought nothing usable.
    pub fn is_old(&self) -> bool {
        self.is_old.load(Ordering::Relaxed)
    }

    /// These were found: they are the upstream's endpoints now.
    pub(super) fn found(&self, upstream: &Upstream, found: &[Found]) -> Result<(), UpstreamError> {
        let name = upstream.name().as_str();
        if found.len() > MOST_ENDPOINTS {
            let count = found.len();
            tracing::warn!(upstream = name, count, "only {MOST_ENDPOINTS} endpoints are used");
        }
        let used = found.get(..MOST_ENDPOINTS).unwrap_or(found);
        let changed = upstream.found(used)?;
        self.good.fetch_add(1, Ordering::Relaxed);
        let was_old = self.is_old.swap(false, Ordering::Relaxed);
        if changed || was_old {
            tracing::info!(upstream = name, endpoints = used.len(), "endpoints were discovered");
        }
        Ok(())
    }

    /// Nothing usable was found. Told once, until something is found again.
    pub(super) fn failed(&self, upstream: &Upstream, error: &(dyn Error + 'static)) {
        self.bad.fetch_add(1, Ordering::Relaxed);
        if !self.is_old.swap(true, Ordering::Relaxed) {
            let (upstream, kept) = (upstream.name().as_str(), upstream.endpoints().len());
            tracing::warn!(upstream, kept, error, "no endpoints were discovered, the last stay");
        }
    }

    /// Nothing was found for so long that the last endpoints may belong to somebody else by now.
    pub(super) fn expired(&self, upstream: &Upstream) {
        if !upstream.endpoints().is_empty() && upstream.found(&[]).is_ok() {
            let name = upstream.name().as_str();
            tracing::error!(
                upstream = name,
                "endpoints were not seen for an hour and are given up"
            );
        }
    }
}
