//! `health`, `outlier`, `circuit` and `concurrency` of an upstream, `hedge` of a route.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Amount, At, Percent, Time};

/// Servers are asked regularly how they are. Exactly one of `path` and `tcp`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Health {
    /// Path, with query, of a `GET`, such as `/healthz`.
    pub(crate) path: Option<At<String>>,
    /// `true`: a connection is enough, with its TLS handshake if the server has `https`.
    pub(crate) tcp: Option<At<bool>>,
    /// Host that the server sees. Default: its own.
    pub(crate) host: Option<At<String>>,
    /// Statuses that mean healthy, such as `200` or `2xx`. Default: `["2xx"]`.
    pub(crate) status: Option<At<Vec<At<String>>>>,
    /// Pause between two checks of one server, at least `100ms`. Default: `5s`.
    pub(crate) interval: Option<At<Amount<Time>>>,
    /// Time for one check. Default: `1s`.
    pub(crate) timeout: Option<At<Amount<Time>>>,
    /// Failures in a row that make a server unhealthy. Default: 3.
    pub(crate) unhealthy_after: Option<At<u64>>,
    /// Successes in a row that make it healthy again. Default: 2.
    pub(crate) healthy_after: Option<At<u64>>,
}

/// Servers that fail where others do not are left alone for a while.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Outlier {
    /// Connections in a row that could not be made; 0: off. Default: 3, also without `outlier`.
    pub(crate) consecutive_connects: Option<At<u64>>,
    /// Attempts in a row without a response; 0: off. Default: 5.
    pub(crate) consecutive_failures: Option<At<u64>>,
    /// Attempts in a row without a response or with a status from 500; 0: off. Default: 5.
    pub(crate) consecutive_5xx: Option<At<u64>>,
    /// Servers that succeed less often than the others. Default: off.
    pub(crate) success_rate: Option<At<SuccessRate>>,
    /// How often success rates are compared, and how long a server must do well to be forgiven. Default: `10s`.
    pub(crate) interval: Option<At<Amount<Time>>>,
    /// How long the first ejection of a server lasts; the second lasts twice as long, and so on. Default: `10s`, without `outlier` `2s`.
    pub(crate) eject: Option<At<Amount<Time>>>,
    /// The longest ejection. Default: `5m`.
    pub(crate) eject_at_most: Option<At<Amount<Time>>>,
    /// Servers that are ejected at a time at most. Default: `50%`.
    pub(crate) max_ejected: Option<At<Amount<Percent>>>,
}

/// Compared with the mean of all servers.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct SuccessRate {
    /// Servers with enough requests that there must be. Default: 5.
    pub(crate) hosts: Option<At<u64>>,
    /// Requests of one server in an interval that are enough. Default: 100.
    pub(crate) requests: Option<At<u64>>,
    /// How many thousandths of the standard deviation below the mean is too far. Default: `1900`.
    pub(crate) deviation: Option<At<u64>>,
}

/// Bounds on what is under way to an upstream.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Circuit {
    /// Requests that are under way at most. Default: 1024.
    pub(crate) max_requests: Option<At<u64>>,
    /// Requests that wait for one of those to end. Default: 256.
    pub(crate) max_pending: Option<At<u64>>,
    /// How long one waits. Default: `40ms`.
    pub(crate) max_wait: Option<At<Amount<Time>>>,
    /// Retries that are under way at most. Default: 32.
    pub(crate) max_retries: Option<At<u64>>,
    /// Connections that are open at most, over all workers; each worker may have one in any case. Default: no bound of
    /// its own.
    pub(crate) max_connections: Option<At<u64>>,
}

/// The bound on requests follows what the upstream can do.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Concurrency {
    /// `true`: it does. Default: false.
    pub(crate) adaptive: Option<At<bool>>,
    /// The bound never falls below. Default: 8.
    pub(crate) min: Option<At<u64>>,
    /// The bound never rises above. Default: 1024.
    pub(crate) max: Option<At<u64>>,
    /// How often the time of the unloaded upstream is measured. Default: `60s`.
    pub(crate) recalibrate: Option<At<Amount<Time>>>,
}

/// A second attempt at another server while the first still waits for its response.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Hedge {
    /// How long the attempt before may wait; required.
    pub(crate) after: Option<At<Amount<Time>>>,
    /// Further attempts at most, 1 to 3. Default: 1.
    pub(crate) most: Option<At<u64>>,
}
