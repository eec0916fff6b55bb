//! Services behind the edge.

use std::{path::PathBuf, time::Duration};

use crate::UpstreamName;

/// `[upstreams.<name>]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Upstream {
    /// Its key.
    pub name: UpstreamName,
    /// At least one.
    pub endpoints: Vec<Endpoint>,
    /// How an endpoint is chosen.
    pub balance: Balance,
    /// Connections that are kept.
    pub pool: Pool,
    /// Bounds on waiting.
    pub timeouts: UpstreamTimeouts,
    /// For endpoints with `https`.
    pub tls: UpstreamTls,
    /// Speak HTTP/2 without TLS (prior knowledge) to endpoints with `http`.
    pub h2c: bool,
}

impl Upstream {
    /// An upstream with these endpoints and every default.
    pub fn new(name: UpstreamName, endpoints: Vec<Endpoint>) -> Self {
        Self {
            name,
            endpoints,
            balance: Balance::default(),
            pool: Pool::default(),
            timeouts: UpstreamTimeouts::default(),
            tls: UpstreamTls::default(),
            h2c: false,
        }
    }
}

/// One server of an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// `https` instead of `http`.
    pub tls: bool,
    /// Host name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Its share among the endpoints, at least 1.
    pub weight: u32,
}

/// How an endpoint is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Balance {
    /// In turn, by weight, smoothly.
    #[default]
    RoundRobin,
}

/// Connections that are kept, for each worker and endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Pool {
    /// Idle connections at most.
    pub idle: usize,
    /// Time after which an idle connection is closed.
    pub idle_timeout: Duration,
}

impl Default for Pool {
    fn default() -> Self {
        Self { idle: 64, idle_timeout: Duration::from_secs(60) } // below the 75 s of most servers
    }
}

/// Bounds on waiting for an upstream.
#[derive(Debug, Clone, PartialEq)]
pub struct UpstreamTimeouts {
    /// For a connection with its TLS handshake.
    pub connect: Duration,
    /// Between two reads of a response body.
    pub stall: Duration,
    /// From the end of the request, body and all, to the begin of the response.
    pub first_byte: Duration,
}

impl Default for UpstreamTimeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(1),
            stall: Duration::from_secs(30),
            first_byte: Duration::from_secs(15), // half of a route's time, so that one silent server leaves room for another try
        }
    }
}

/// `tls = { ... }` of an upstream.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct UpstreamTls {
    /// Name that the certificate must carry, instead of the endpoint's host.
    pub server_name: Option<String>,
    /// PEM file with the authorities to trust, instead of the system's.
    pub ca: Option<PathBuf>,
}
