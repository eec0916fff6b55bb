//! One server of an upstream.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use edgewit_model as model;
use http::{HeaderValue, uri::Authority};
use rustls_pki_types::ServerName;

use super::{
    UpstreamError,
    latency::{Latency, Millis},
};
use crate::{
    circuit::Permit,
    discover::{Found, Key},
    resolve::Addresses,
    standing::Standing,
};

/// One server of an upstream. Shared by all workers.
pub struct Endpoint {
    id: EndpointId,
    key: Key,
    weight: AtomicU32,
    /// Host, and port unless it is the scheme's own (RFC 9110 4.2).
    authority: Authority,
    host_field: HeaderValue,
    server_name: Option<ServerName<'static>>,
    addresses: Addresses,
    speaks_http2: AtomicBool,
    counters: Counters,
    latency: Latency,
    /// Since when its share grows, or [`WARM`].
    warm_up: AtomicU64,
    standing: Standing,
}

/// Identity of an endpoint, unique in the process and never given again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId(u64);

impl EndpointId {
    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn number(self) -> u64 {
        self.0
    }

    #[cfg(test)]
    pub(crate) fn of(number: u64) -> Self {
        Self(number)
    }
}

impl Endpoint {
    pub(crate) fn new(found: &Found, tls: &model::UpstreamTls) -> Result<Self, UpstreamError> {
        let config = &found.endpoint;
        let named = found.name.as_ref().unwrap_or(&config.host);
        let wrong = || UpstreamError::Host { host: named.clone() };
        let host = match named.parse::<Ipv6Addr>() {
            Ok(address) => format!("[{address}]"),
            Err(_) => named.clone(),
        };
        let usual = if config.tls { 443 } else { 80 };
        let text = if config.port == usual { host } else { format!("{host}:{}", config.port) };
        let authority: Authority = text.parse().map_err(|_| wrong())?;
        let server_name = match config.tls {
            true => {
                let name = tls.server_name.as_ref().unwrap_or(named).clone();
                Some(ServerName::try_from(name).map_err(|_| wrong())?)
            }
            false => None,
        };
        Ok(Self {
            id: EndpointId::next(),
            host_field: HeaderValue::from_str(&text).map_err(|_| wrong())?,
            authority,
            server_name,
            addresses: match config.host.parse::<IpAddr>() {
                Ok(address) => Addresses::literal((address, config.port).into()),
                Err(_) => Addresses::named(config.host.clone(), config.port),
            },
            key: found.key(),
            weight: AtomicU32::new(config.weight),
            speaks_http2: AtomicBool::new(false),
            counters: Counters::default(),
            latency: Latency::default(),
            warm_up: AtomicU64::new(WARM),
            standing: Standing::default(),
        })
    }

    /// Its identity in this process.
    pub fn id(&self) -> EndpointId {
        self.id
    }

    /// Host name or address, without brackets.
    pub fn host(&self) -> &str {
        &self.key.host
    }

    /// Port.
    pub fn port(&self) -> u16 {
        self.key.port
    }

    /// `https` instead of `http`.
    pub fn is_tls(&self) -> bool {
        self.key.tls
    }

    /// Its share among the endpoints, at least 1.
    pub fn weight(&self) -> u32 {
        self.weight.load(Ordering::Relaxed).max(1)
    }

    /// What happened to it so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What makes it the same endpoint when it is found again.
    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    pub(super) fn set_weight(&self, weight: u32) {
        self.weight.store(weight, Ordering::Relaxed);
    }

    pub(super) fn latency(&self) -> &Latency {
        &self.latency
    }

    /// An attempt that began then has brought a response head, or failed.
    pub(crate) fn answered(&self, took: Duration, failed: bool) {
        self.latency.observe(Millis::now(), took, failed);
    }

    /// From now on its share grows from a tenth: it is new, or was ill.
    pub(crate) fn begin_warm_up(&self, now: Millis) {
        self.warm_up.store(now.number().into(), Ordering::Relaxed);
    }

    /// Which part of its share it gets now, if that is not all.
    pub(super) fn warmth(&self, now: Millis, slow_start: Duration) -> Option<f64> {
        let since = self.warm_up.load(Ordering::Relaxed);
        let since = Millis::from_number(u32::try_from(since).ok()?);
        let passed = Duration::from_millis(now.since(since).into());
        if passed >= slow_start {
            self.warm_up.store(WARM, Ordering::Relaxed);
            return None;
        }
        let grown = passed.as_secs_f64() / slow_start.as_secs_f64();
        Some(FIRST_SHARE + (1.0 - FIRST_SHARE) * grown)
    }

    /// Whether it should be asked.
    pub(crate) fn standing(&self) -> &Standing {
        &self.standing
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    pub(crate) fn host_field(&self) -> &HeaderValue {
        &self.host_field
    }

    pub(crate) fn server_name(&self) -> Option<&ServerName<'static>> {
        self.server_name.as_ref()
    }

    pub(crate) fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Whether its last connection spoke HTTP/2, so that those who wait for one may share it.
    pub(crate) fn speaks_http2(&self) -> bool {
        self.speaks_http2.load(Ordering::Relaxed)
    }

    pub(crate) fn set_speaks_http2(&self, speaks: bool) {
        self.speaks_http2.store(speaks, Ordering::Relaxed);
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({}, {})", self.id.0, self.authority)
    }
}

/// Stands for an endpoint that has its full share.
const WARM: u64 = u64::MAX;

/// Which part of its share an endpoint begins with: enough to warm its caches, too little to be flooded.
const FIRST_SHARE: f64 = 0.1;

/// An attempt that an endpoint is busy with, from its choice to the end of the response body.
/// With it ends the leave that the circuit gave.
pub(crate) struct InFlight(Arc<Endpoint>, Option<Permit>);

impl InFlight {
    pub(crate) fn new(endpoint: Arc<Endpoint>, permit: Permit) -> Self {
        endpoint.counters.requests.fetch_add(1, Ordering::Relaxed);
        endpoint.counters.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(endpoint, Some(permit))
    }

    pub(crate) fn permit(&self) -> Option<&Permit> {
        self.1.as_ref()
    }

    /// A tunnel is no work that waits to be done: it may last for days and needs no leave.
    pub(crate) fn without_leave(self) -> Self {
        let mut tunnel = self;
        tunnel.1 = None;
        tunnel
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.counters.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What happened to an endpoint so far, over all workers. Read by whoever exports metrics.
#[derive(Debug, Default)]
pub struct Counters {
    requests: AtomicU64,
    in_flight: AtomicU64,
    failures: AtomicU64,
    resent: AtomicU64,
    connects: AtomicU64,
    connect_failures: AtomicU64,
    connections: AtomicU64,
    idle_connections: AtomicU64,
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        pub fn $name(&self) -> u64 {
            self.$name.load(Ordering::Relaxed)
        }
    )*};
}

impl Counters {
    counters! {
        /// Attempts that chose this endpoint.
        requests
        /// Attempts whose response has not ended yet.
        in_flight
        /// Attempts that brought no response head.
        failures
        /// Requests sent a second time by themselves, because a kept connection turned out to be closed (THREATS B6).
        resent
        /// Connections that were made.
        connects
        /// Connections that could not be made.
        connect_failures
        /// Connections that are open.
        connections
        /// Those of them that wait for a request.
        idle_connections
    }

    pub(crate) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn sent_again(&self) {
        self.resent.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn opened(&self) {
        self.connects.fetch_add(1, Ordering::Relaxed);
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn closed(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn idles(&self) {
        self.idle_connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn works(&self) {
        self.idle_connections.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn not_opened(&self) {
        self.connect_failures.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_names_itself_as_a_url_would() {
        let check = |tls, host: &str, port, expected: &str| {
            let config = model::Endpoint { tls, host: host.to_owned(), port, weight: 1 };
            let found = Found::plain(config);
            let endpoint = Endpoint::new(&found, &model::UpstreamTls::default()).unwrap();
            assert_eq!(endpoint.authority().as_str(), expected);
            assert_eq!(endpoint.host_field(), expected);
        };
        check(false, "orders.internal", 80, "orders.internal");
        check(false, "orders.internal", 8080, "orders.internal:8080");
        check(true, "orders.internal", 443, "orders.internal");
        check(false, "10.0.0.1", 443, "10.0.0.1:443");
        check(true, "::1", 8443, "[::1]:8443");
    }

    #[test]
    fn a_host_that_is_none_is_refused() {
        for host in ["", "a b", "a/b", "user@a"] {
            let config = model::Endpoint { tls: true, host: host.to_owned(), port: 443, weight: 1 };
            let endpoint = Endpoint::new(&Found::plain(config), &model::UpstreamTls::default());
            assert!(matches!(endpoint, Err(UpstreamError::Host { .. })), "{host:?}");
        }
    }

    #[test]
    fn a_new_endpoint_grows_into_its_share() {
        let host = "10.0.0.1".to_owned();
        let found = Found::plain(model::Endpoint { tls: false, host, port: 1, weight: 1 });
        let endpoint = Endpoint::new(&found, &model::UpstreamTls::default()).unwrap();
        let warmth = |now| endpoint.warmth(Millis::from_number(now), Duration::from_secs(10));
        assert_eq!(warmth(5), None, "one that was there from the beginning is warm");
        endpoint.begin_warm_up(Millis::from_number(1_000));
        assert_eq!(warmth(1_000), Some(0.1));
        assert!((warmth(6_000).unwrap() - 0.55).abs() < 0.001);
        assert_eq!(warmth(11_000), None);
        assert_eq!(warmth(1_000), None, "once warm, always warm");
    }

    #[test]
    fn ids_are_never_given_twice() {
        assert_ne!(EndpointId::next(), EndpointId::next());
    }
}
