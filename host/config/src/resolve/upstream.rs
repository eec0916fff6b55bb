//! `[upstreams.<name>]`.

mod discovery;

mod stay;

use std::time::Duration;

use edgewit_model::{
    Balance, Discovery, Endpoint, Pool, TlsIdentity, Upstream, UpstreamName, UpstreamTimeouts,
    UpstreamTls,
};

use super::{Cx, health};
use crate::{
    Diagnostic, code,
    pem::{Kind, Pem},
    places::Places,
    raw::{self, Amount, At, TextOr, Time},
};

/// Servers of one upstream; choosing one looks at all of them.
const MOST_SERVERS: usize = 1_024;
const MOST_WEIGHT: u64 = 65_535;

pub(super) fn upstream(
    name: UpstreamName,
    raw: raw::Upstream,
    places: &mut Places,
    pems: &mut Vec<Pem>,
    cx: &mut Cx<'_, '_>,
) -> Option<Upstream> {
    places.upstreams.insert(name.clone(), cx.item.place());
    let discovery = discovery::discovery(&raw, cx);
    let endpoints = match raw.discovery.is_some() {
        true => Vec::new(),
        false => servers(raw.servers.as_ref(), &name, cx),
    };
    let is_tls = endpoints.iter().any(|e| e.tls)
        || matches!(&discovery, Some(Discovery::Dns(dns)) if dns.tls);
    let h2c = h2c(raw.h2c.as_ref(), is_tls, cx);
    let balance = raw.balance.as_ref().map_or(Balance::default(), |at| balance(at.value));
    let pool = Pool::default();
    let timeouts = UpstreamTimeouts::default();
    Some(Upstream {
        endpoints,
        balance,
        pool: Pool {
            idle: cx.count(&raw.pool.idle, 0..=100_000, pool.idle),
            idle_timeout: cx.time(&raw.pool.idle_timeout, pool.idle_timeout),
            max_age: some_time(&raw.pool.max_age, cx),
        },
        timeouts: UpstreamTimeouts {
            connect: cx.time(&raw.timeouts.connect, timeouts.connect),
            stall: cx.time(&raw.timeouts.stall, timeouts.stall),
            first_byte: cx.time(&raw.timeouts.first_byte, timeouts.first_byte),
        },
        tls: tls(&raw.tls, pems, cx),
        h2c,
        discovery,
        hash_on: stay::hash_on(&raw, balance, cx),
        affinity: stay::affinity(raw.affinity.as_ref(), cx),
        slow_start: some_time(&raw.slow_start, cx),
        health: health::health(raw.health.as_ref(), cx),
        outlier: health::outlier(raw.outlier.as_ref(), cx),
        panic_percent: health::panic(&raw.panic, cx),
        circuit: health::circuit(raw.circuit.as_ref(), cx),
        concurrency: health::concurrency(raw.concurrency.as_ref(), cx),
        name,
    })
}

fn balance(raw: raw::Balance) -> Balance {
    match raw {
        raw::Balance::RoundRobin => Balance::RoundRobin,
        raw::Balance::Random => Balance::Random,
        raw::Balance::LeastRequest => Balance::LeastRequest,
        raw::Balance::PeakEwma => Balance::PeakEwma,
        raw::Balance::RingHash => Balance::RingHash,
        raw::Balance::Maglev => Balance::Maglev,
    }
}

/// A duration that has no default.
fn some_time(raw: &Option<At<Amount<Time>>>, cx: &mut Cx<'_, '_>) -> Option<Duration> {
    raw.is_some().then(|| cx.time(raw, Duration::from_secs(1)))
}

fn servers(
    raw: Option<&At<Vec<At<TextOr<raw::UpstreamServer>>>>>,
    name: &UpstreamName,
    cx: &mut Cx<'_, '_>,
) -> Vec<Endpoint> {
    if cx.lacks("servers") {
        let message = format!("upstream `{name}` has no servers");
        let place = cx.item.place();
        let help = "servers = [\"http://10.0.0.11:8080\"], or discovery.dns, or discovery.file";
        cx.report.push(Diagnostic::new(code::NO_SERVER, message).at(place, "").help(help));
    }
    let Some(list) = raw else { return Vec::new() };
    let mut out = Vec::new();
    for at in cx.bounded(list, MOST_SERVERS, "servers") {
        let (url, span, weight) = match &at.value {
            TextOr::Text(url) => (url, &at.span, None),
            TextOr::Table(server) => (&server.url.value, &server.url.span, server.weight.as_ref()),
        };
        let weight = checked_weight(weight, cx);
        match Endpoint::from_url(url, weight) {
            Ok(endpoint) => out.push(endpoint),
            Err(label) => {
                cx.hint(code::INVALID_SERVER, span, format!("`{url}` is no server"), label);
            }
        }
    }
    out
}

fn checked_weight(raw: Option<&At<u64>>, cx: &mut Cx<'_, '_>) -> u32 {
    let Some(at) = raw else { return 1 };
    let fits = (1..=MOST_WEIGHT).contains(&at.value);
    u32::try_from(at.value).ok().filter(|_| fits).unwrap_or_else(|| {
        let message = format!("a server's weight is 1 to {MOST_WEIGHT}, not {}", at.value);
        cx.error(code::WEIGHT, &at.span, message);
        1
    })
}

fn h2c(raw: Option<&At<bool>>, is_tls: bool, cx: &mut Cx<'_, '_>) -> bool {
    let Some(at) = raw else { return false };
    if at.value && is_tls {
        let message = "`h2c` is HTTP/2 without TLS, but a server has `https`";
        cx.error(code::H2C, &at.span, message);
    }
    at.value
}

fn tls(raw: &raw::UpstreamTls, pems: &mut Vec<Pem>, cx: &mut Cx<'_, '_>) -> UpstreamTls {
    let ca = raw.ca.as_ref().map(|ca| {
        let path = cx.path(ca);
        pems.push(Pem { kind: Kind::Certificates, path: path.clone(), place: cx.at(&ca.span) });
        path
    });
    if let Some(name) = &raw.server_name
        && rustls_pki_types::ServerName::try_from(name.value.as_str()).is_err()
    {
        let message = format!("`{}` is no host name or address", name.value);
        cx.error(code::INVALID_VALUE, &name.span, message);
    }
    let server_name = raw.server_name.as_ref().map(|name| name.value.clone());
    UpstreamTls { server_name, ca, identity: identity(raw, pems, cx) }
}

fn identity(
    raw: &raw::UpstreamTls,
    pems: &mut Vec<Pem>,
    cx: &mut Cx<'_, '_>,
) -> Option<TlsIdentity> {
    let (cert, key) = match (&raw.cert, &raw.key) {
        (Some(cert), Some(key)) => (cert, key),
        (None, None) => return None,
        (Some(cert), None) => {
            cx.error(code::MISSING_KEY, &cert.span, "`tls.cert` needs `tls.key`");
            return None;
        }
        (None, Some(key)) => {
            cx.error(code::MISSING_KEY, &key.span, "`tls.key` needs `tls.cert`");
            return None;
        }
    };
    let identity = TlsIdentity { cert: cx.path(cert), key: cx.path(key) };
    let pem = |kind, path: &std::path::Path, place| Pem { kind, path: path.to_owned(), place };
    pems.push(pem(Kind::Certificates, &identity.cert, cx.at(&cert.span)));
    pems.push(pem(Kind::PrivateKey, &identity.key, cx.at(&key.span)));
    Some(identity)
}
