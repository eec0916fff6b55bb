//! `[upstreams.<name>]`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Amount, At, TextOr, Time};

/// A service behind the edge.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Upstream {
    /// Servers, such as `http://10.0.0.11:8080`. At least one.
    pub(crate) servers: Option<At<Vec<At<TextOr<Server>>>>>,
    /// How a server is chosen. Default: `round-robin`.
    pub(crate) balance: Option<Balance>,
    /// Connections that are kept.
    pub(crate) pool: Pool,
    /// Bounds on waiting.
    pub(crate) timeouts: Timeouts,
    /// For servers with `https`.
    pub(crate) tls: UpstreamTls,
    /// HTTP/2 without TLS to servers with `http`. Default: false.
    pub(crate) h2c: Option<At<bool>>,
}

/// A server with its share.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Server {
    /// Scheme, host and port, such as `http://10.0.0.11:8080`.
    pub(crate) url: At<String>,
    /// Its share among the servers. Default: 1.
    pub(crate) weight: Option<At<u64>>,
}

/// How a server is chosen.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Balance {
    /// In turn, by weight.
    RoundRobin,
}

/// Connections that are kept, for each worker and server.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Pool {
    /// Idle connections at most. Default: 64.
    pub(crate) idle: Option<At<u64>>,
    /// Time after which an idle connection is closed. Default: `60s`.
    pub(crate) idle_timeout: Option<At<Amount<Time>>>,
}

/// Bounds on waiting.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Timeouts {
    /// For a connection with its TLS handshake. Default: `1s`.
    pub(crate) connect: Option<At<Amount<Time>>>,
    /// Between two parts of a response body. Default: `30s`.
    pub(crate) stall: Option<At<Amount<Time>>>,
    /// From the end of the request, body and all, to the begin of the response. Default: `15s`.
    pub(crate) first_byte: Option<At<Amount<Time>>>,
}

/// TLS towards servers with `https`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct UpstreamTls {
    /// Name that the certificate must carry. Default: the server's host.
    pub(crate) server_name: Option<At<String>>,
    /// PEM file with the authorities to trust, relative to this file. Default: those of the system.
    pub(crate) ca: Option<At<String>>,
}
