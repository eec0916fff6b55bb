//! Services behind the edge.

use std::{fmt, net::SocketAddr, path::PathBuf, time::Duration};

use http::{HeaderName, Uri};

use crate::{Circuit, Concurrency, Health, Outlier, PANIC_PERCENT, UpstreamName};

/// `[upstreams.<name>]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Upstream {
    /// Its key.
    pub name: UpstreamName,
    /// Those that stand in the configuration: at least one, or none if others are discovered.
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
    /// Where endpoints come from that do not stand in the configuration.
    pub discovery: Option<Discovery>,
    /// What of a request decides, for policies that send what is alike to the same endpoint.
    pub hash_on: Option<HashOn>,
    /// A client stays with the endpoint that answered first.
    pub affinity: Option<Affinity>,
    /// Time in which a new endpoint comes to its full share.
    pub slow_start: Option<Duration>,
    /// Endpoints are asked how they are.
    pub health: Option<Health>,
    /// Endpoints are judged by the requests of clients.
    pub outlier: Outlier,
    /// Below this share of available endpoints, in percent, all are used; 0: never.
    pub panic_percent: u32,
    /// Bounds on what is under way.
    pub circuit: Circuit,
    /// The bound on requests follows what the upstream can do.
    pub concurrency: Option<Concurrency>,
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
            discovery: None,
            hash_on: None,
            affinity: None,
            slow_start: None,
            health: None,
            outlier: Outlier::default(),
            panic_percent: PANIC_PERCENT,
            circuit: Circuit::default(),
            concurrency: None,
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

impl Endpoint {
    /// Scheme, host and port of a URL; if it is something else, what is wrong with it.
    pub fn from_url(url: &str, weight: u32) -> Result<Self, &'static str> {
        let uri: Uri = url.parse().map_err(|_| EXPECTED)?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(EXPECTED),
        };
        let authority = uri.authority().ok_or(EXPECTED)?;
        if authority.as_str().contains('@') {
            return Err("names and passwords have no place here");
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err("only scheme, host and port; paths are the business of routes");
        }
        let port = match authority.as_str().rsplit_once(':') {
            Some((_, port)) if !port.ends_with(']') => {
                port.parse().ok().filter(|port| *port != 0).ok_or("a port is 1 to 65535")?
            }
            _ => {
                if tls {
                    443
                } else {
                    80
                }
            }
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(EXPECTED);
        }
        Ok(Self { tls, host: host.to_ascii_lowercase(), port, weight })
    }
}

const EXPECTED: &str = "expected a URL such as `http://10.0.0.11:8080`";

/// How an endpoint is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Balance {
    /// In turn, by weight, smoothly.
    #[default]
    RoundRobin,
    /// Two at random, of which the less busy one.
    Random,
    /// The least busy one.
    LeastRequest,
    /// Two at random, of which the one that promises the earlier answer.
    PeakEwma,
    /// The next one on a circle of hashes.
    RingHash,
    /// The one that a table of hashes says.
    Maglev,
}

impl Balance {
    /// Whether it needs to know what of a request decides.
    pub fn is_hash(self) -> bool {
        matches!(self, Balance::RingHash | Balance::Maglev)
    }
}

/// Where endpoints come from that do not stand in the configuration.
#[derive(Debug, Clone, PartialEq)]
pub enum Discovery {
    /// The name service.
    Dns(DnsDiscovery),
    /// A JSON file.
    File(PathBuf),
}

/// `discovery.dns`.
#[derive(Debug, Clone, PartialEq)]
pub struct DnsDiscovery {
    /// What is asked for.
    pub question: DnsQuestion,
    /// `https` instead of `http`.
    pub tls: bool,
    /// Name servers to ask instead of the system's.
    pub resolvers: Vec<SocketAddr>,
}

/// What a name service is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DnsQuestion {
    /// Addresses (A, AAAA); each is an endpoint at this port.
    Addresses {
        /// Of this host.
        name: String,
        /// Port of every endpoint.
        port: u16,
    },
    /// Services (SRV, RFC 2782): hosts with their ports and shares.
    Services {
        /// Such as `_http._tcp.example.com`.
        name: String,
    },
}

/// What of a request decides where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashOn {
    /// The first field of this name.
    Header(HeaderName),
    /// A cookie.
    Cookie(String),
    /// A parameter of the query.
    Query(String),
    /// The client's address.
    Client,
    /// The path.
    Path,
}

/// `affinity = { ... }`: a client stays with the endpoint that answered first, known by a cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Affinity {
    /// Name of the cookie.
    pub cookie: String,
    /// How long a client keeps the cookie; `None`: as long as its session.
    pub ttl: Option<Duration>,
    /// What keeps the cookie's value from being guessed. `None`: drawn at the start of the process.
    pub secret: Option<Secret>,
}

/// Connections that are kept, for each worker and endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Pool {
    /// Idle connections at most.
    pub idle: usize,
    /// Time after which an idle connection is closed.
    pub idle_timeout: Duration,
    /// Time after which a connection takes no further request; `None`: as long as it works.
    pub max_age: Option<Duration>,
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            idle: 64,
            idle_timeout: Duration::from_secs(60), // below the 75 s of most servers
            max_age: None,
        }
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
    /// What we show to endpoints that ask who we are.
    pub identity: Option<TlsIdentity>,
}

/// A certificate of our own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsIdentity {
    /// PEM file with the chain, our own certificate first.
    pub cert: PathBuf,
    /// PEM file with its private key.
    pub key: PathBuf,
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_scheme_host_and_port() {
        let cases = [
            ("http://10.0.0.1:8080", Some((false, "10.0.0.1", 8080))),
            ("https://API.internal/", Some((true, "api.internal", 443))),
            ("http://[::1]", Some((false, "::1", 80))),
            ("http://[::1]:81", Some((false, "::1", 81))),
            ("10.0.0.1:8080", None),
            ("ftp://a", None),
            ("http://", None),
            ("http://a:0", None),
            ("http://a:99999", None),
            ("http://a:", None),
            ("http://u:p@a", None),
            ("http://a/b", None),
            ("http://a?b", None),
            ("", None),
        ];
        for (url, expected) in cases {
            let found = Endpoint::from_url(url, 1).ok();
            let found = found.as_ref().map(|e| (e.tls, e.host.as_str(), e.port));
            assert_eq!(found, expected, "{url}");
        }
    }
}
