//! The load: closed loops of HTTP/1.1 or HTTP/2, and an open loop.

pub(crate) mod h1;

pub(crate) mod h2;

pub(crate) mod open;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Result;
use rustls::ClientConfig;

use crate::{
    ask::{Answer, Ask},
    servers::local,
};

/// Requests at the same time.
pub(crate) const CONCURRENCY: usize = 64;

/// Where a contestant is asked, and how.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// With this, HTTP/2 is spoken in TLS.
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

/// How requests follow each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Pace {
    /// The next one when the last one was answered.
    Closed,
    /// As many a second, whatever happened to those before.
    Open(f64),
}

/// What one turn brought.
pub(crate) struct Sample {
    /// Microseconds, sorted.
    pub(crate) latencies: Vec<u32>,
}

impl Target {
    /// Loads it for a while.
    pub(crate) fn load(&self, ask: &Ask, pace: Pace, turn: Duration) -> Result<Sample> {
        let mut latencies = local(async {
            match (&self.tls, pace) {
                (Some(tls), _) => h2::run(self.address, tls, ask, turn).await,
                (None, Pace::Closed) => h1::run(self.address, ask, turn).await,
                (None, Pace::Open(rate)) => open::run(self.address, ask, rate, turn).await,
            }
        })?;
        latencies.sort_unstable();
        Ok(Sample { latencies })
    }

    /// Asks it once.
    pub(crate) fn ask(&self, ask: &Ask) -> Result<Answer> {
        local(async {
            match &self.tls {
                Some(tls) => h2::once(self.address, tls, ask).await,
                None => h1::once(self.address, ask).await,
            }
        })
    }
}

impl Sample {
    /// Requests that were answered.
    pub(crate) fn requests(&self) -> usize {
        self.latencies.len()
    }

    /// A percentile of the time that a request took, in microseconds.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let at = (self.latencies.len() * percent / 100).min(self.latencies.len().saturating_sub(1));
        self.latencies.get(at).map_or(f64::NAN, |us| f64::from(*us))
    }
}

/// Microseconds since a moment.
pub(crate) fn micros(since: std::time::Instant) -> u32 {
    u32::try_from(since.elapsed().as_micros()).unwrap_or(u32::MAX)
}
