//! Which endpoints of an upstream are asked, and how we find out.

use std::{ops::RangeInclusive, time::Duration};

use http::uri::{Authority, PathAndQuery};

/// `health = { ... }`: endpoints are asked regularly how they are.
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    /// What is asked.
    pub kind: HealthKind,
    /// Pause between two checks of one endpoint, give or take a tenth.
    pub interval: Duration,
    /// Time for one check, connection and all.
    pub timeout: Duration,
    /// Failures in a row that make an endpoint unhealthy.
    pub unhealthy_after: u32,
    /// Successes in a row that make it healthy again.
    pub healthy_after: u32,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub enum HealthKind {
    /// A `GET` over HTTP, as the endpoint speaks it.
    Http(HttpHealth),
    /// A connection, with its TLS handshake if the endpoint has `https`.
    Tcp,
}

/// A `GET` and what its answer must be.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpHealth {
    /// Path with query.
    pub path: PathAndQuery,
    /// Host that the endpoint sees; `None`: its own.
    pub host: Option<Authority>,
    /// Statuses of which any means healthy.
    pub statuses: Vec<RangeInclusive<u16>>,
}

impl Health {
    /// Checks of this kind with every default.
    pub fn new(kind: HealthKind) -> Self {
        Self {
            kind,
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(1),
            unhealthy_after: 3, // one lost packet is no outage
            healthy_after: 2,   // one answer of a server that restarts in a loop is no recovery
        }
    }
}

impl HttpHealth {
    /// A `GET` of this path that must bring a 2xx. A redirect does not count: it says that the answer is elsewhere.
    pub fn new(path: PathAndQuery) -> Self {
        Self { path, host: None, statuses: vec![200..=299] }
    }
}

/// `outlier = { ... }`: endpoints that fail where others do not are left alone for a while. Judged by the requests of
/// clients; 0 switches a rule off.
#[derive(Debug, Clone, PartialEq)]
pub struct Outlier {
    /// Connections in a row that could not be made.
    pub consecutive_connects: u32,
    /// Attempts in a row that brought no response: no connection, reset, time over, no HTTP.
    pub consecutive_failures: u32,
    /// Attempts in a row that brought no response or one with a status from 500.
    pub consecutive_5xx: u32,
    /// Endpoints that succeed less often than the others.
    pub success_rate: Option<SuccessRate>,
    /// How often success rates are compared; and the time without an ejection that makes the next one shorter again.
    pub interval: Duration,
    /// The first ejection of an endpoint. The second lasts twice as long, the third three times.
    pub eject: Duration,
    /// The longest ejection.
    pub eject_at_most: Duration,
    /// Share of the endpoints that may be ejected at a time, in percent. One may always be, and one always stays.
    pub max_ejected_percent: u32,
}

/// `success-rate = { ... }`: compared with the mean of all endpoints.
#[derive(Debug, Clone, PartialEq)]
pub struct SuccessRate {
    /// Endpoints with enough requests that there must be; fewer have no meaningful mean.
    pub hosts: u32,
    /// Requests of one endpoint in an interval that are enough.
    pub requests: u32,
    /// How many thousandths of the standard deviation below the mean is too far.
    pub deviation_permille: u32,
}

impl Outlier {
    /// What `outlier = {}` means: all rules but the success rate.
    pub fn full() -> Self {
        // Doing no work well takes longer to mend than a restart.
        let eject = Duration::from_secs(10);
        Self { consecutive_failures: 5, consecutive_5xx: 5, eject, ..Self::default() }
    }
}

impl Default for Outlier {
    /// Without configuration only connections count. No request of a client can make a connection fail, so nobody can
    /// have an endpoint ejected; and an endpoint that swallows packets would cost each of its requests the connect timeout.
    fn default() -> Self {
        Self {
            consecutive_connects: 3,
            consecutive_failures: 0,
            consecutive_5xx: 0,
            success_rate: None,
            interval: Duration::from_secs(10),
            eject: Duration::from_secs(2), // a restarted server is back soon; one that is not is asked ever more rarely
            eject_at_most: Duration::from_secs(300),
            max_ejected_percent: 50, // what is left carries at most twice its load
        }
    }
}

impl Default for SuccessRate {
    fn default() -> Self {
        // 1.9 deviations below the mean is one in thirty of equals: rare, and over in `eject`.
        Self { hosts: 5, requests: 100, deviation_permille: 1_900 }
    }
}

/// Share of available endpoints, in percent, below which all are asked again.
///
/// Few that carry the load of many fail too, and a check that fails everywhere says more about the check. With five
/// endpoints or fewer it only matters when none is left.
pub const PANIC_PERCENT: u32 = 20;
