//! `[upstreams.<name>]`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Amount, At, Circuit, Concurrency, Health, Outlier, Percent, TextOr, Time};

/// A service behind the edge.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Upstream {
    /// Servers, such as `http://10.0.0.11:8080`. At least one, unless `discovery` finds them.
    pub(crate) servers: Option<At<Vec<At<TextOr<Server>>>>>,
    /// How a server is chosen. Default: `round-robin`.
    pub(crate) balance: Option<At<Balance>>,
    /// Connections that are kept.
    pub(crate) pool: Pool,
    /// Bounds on waiting.
    pub(crate) timeouts: Timeouts,
    /// For servers with `https`.
    pub(crate) tls: UpstreamTls,
    /// HTTP/2 without TLS to servers with `http`. Default: false.
    pub(crate) h2c: Option<At<bool>>,
    /// Where servers come from that do not stand in `servers`.
    pub(crate) discovery: Option<At<Discovery>>,
    /// What of a request decides where it goes, with `ring-hash` and `maglev`: `header:NAME`, `cookie:NAME`, `query:NAME`,
    /// `client` or `path`.
    pub(crate) hash_on: Option<At<String>>,
    /// A client stays with the server that answered first, known by a cookie.
    pub(crate) affinity: Option<At<Affinity>>,
    /// Time in which a new server comes to its full share, from a tenth of it. Default: at once.
    pub(crate) slow_start: Option<At<Amount<Time>>>,
    /// Servers are asked regularly how they are. Default: they are not.
    pub(crate) health: Option<At<Health>>,
    /// Servers that fail where others do not are left alone for a while. Default: after 3 connections that failed.
    pub(crate) outlier: Option<At<Outlier>>,
    /// Below this share of available servers all are used; `0%`: never. Default: `20%`.
    pub(crate) panic: Option<At<Amount<Percent>>>,
    /// Bounds on what is under way.
    pub(crate) circuit: Option<At<Circuit>>,
    /// The bound on requests follows what the upstream can do. Default: it does not.
    pub(crate) concurrency: Option<At<Concurrency>>,
}

/// Where servers come from: one of these.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Discovery {
    /// The name service.
    pub(crate) dns: Option<At<Dns>>,
    /// JSON file with a list such as `{"servers": ["http://10.0.0.11:8080"]}`, relative to this file. It is read again when
    /// it changes.
    pub(crate) file: Option<At<String>>,
}

/// What the name service is asked for.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Dns {
    /// Host name: each of its addresses is a server.
    pub(crate) name: Option<At<String>>,
    /// Port of these servers. Default: 80, or 443 with `https`.
    pub(crate) port: Option<At<u64>>,
    /// Name of SRV records instead, such as `_http._tcp.example.com`: each is a server with port and share.
    pub(crate) srv: Option<At<String>>,
    /// How the servers are spoken to. Default: `http`.
    pub(crate) scheme: Option<Scheme>,
    /// Name servers to ask, such as `127.0.0.1:5353`. Default: those of the system.
    pub(crate) resolver: Option<At<Vec<At<String>>>>,
}

/// How servers are spoken to.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scheme {
    /// Without TLS.
    Http,
    /// With TLS.
    Https,
}

/// A client stays with the server that answered first.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Affinity {
    /// Name of the cookie. Default: `edgewit-affinity`.
    pub(crate) cookie: Option<At<String>>,
    /// How long a client keeps it. Default: until it is closed.
    pub(crate) ttl: Option<At<Amount<Time>>>,
    /// Keeps the cookie from saying which server it is: the same text on all gateways, such as
    /// `${env:AFFINITY_SECRET}`. Default: drawn at each start, so that a restart moves clients.
    pub(crate) secret: Option<At<String>>,
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
    /// Two at random, of which the less busy one.
    Random,
    /// The least busy one.
    LeastRequest,
    /// Two at random, of which the one that promises the earlier answer.
    PeakEwma,
    /// By a circle of hashes of what `hash-on` names.
    RingHash,
    /// By a table of hashes of what `hash-on` names.
    Maglev,
}

/// Connections that are kept, for each worker and server.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Pool {
    /// Idle connections at most. Default: 64.
    pub(crate) idle: Option<At<u64>>,
    /// Time after which an idle connection is closed. Default: `60s`.
    pub(crate) idle_timeout: Option<At<Amount<Time>>>,
    /// Time after which a connection takes no further request. Default: none.
    pub(crate) max_age: Option<At<Amount<Time>>>,
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
    /// PEM file with the certificate that we show, its chain behind it. Needs `key`.
    pub(crate) cert: Option<At<String>>,
    /// PEM file with the private key of `cert`.
    pub(crate) key: Option<At<String>>,
}
