//! `[upstreams.<name>]`.

use edgewit_model::{
    Balance, Endpoint, Pool, Upstream, UpstreamName, UpstreamTimeouts, UpstreamTls,
};
use http::Uri;

use super::Cx;
use crate::{
    Diagnostic, code,
    pem::{Kind, Pem},
    places::Places,
    raw::{self, At, TextOr},
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
    let endpoints = servers(raw.servers.as_ref(), &name, cx);
    let h2c = h2c(raw.h2c.as_ref(), &endpoints, cx);
    let pool = Pool::default();
    let timeouts = UpstreamTimeouts::default();
    Some(Upstream {
        endpoints,
        balance: match raw.balance {
            Some(raw::Balance::RoundRobin) | None => Balance::RoundRobin,
        },
        pool: Pool {
            idle: cx.count(&raw.pool.idle, 0..=100_000, pool.idle),
            idle_timeout: cx.time(&raw.pool.idle_timeout, pool.idle_timeout),
        },
        timeouts: UpstreamTimeouts {
            connect: cx.time(&raw.timeouts.connect, timeouts.connect),
            stall: cx.time(&raw.timeouts.stall, timeouts.stall),
            first_byte: cx.time(&raw.timeouts.first_byte, timeouts.first_byte),
        },
        tls: tls(&raw.tls, pems, cx),
        h2c,
        name,
    })
}

fn servers(
    raw: Option<&At<Vec<At<TextOr<raw::UpstreamServer>>>>>,
    name: &UpstreamName,
    cx: &mut Cx<'_, '_>,
) -> Vec<Endpoint> {
    if cx.lacks("servers") {
        let message = format!("upstream `{name}` has no servers");
        let place = cx.item.place();
        let help = "servers = [\"http://10.0.0.11:8080\"]";
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
        match endpoint(url, weight) {
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

fn endpoint(url: &str, weight: u32) -> Result<Endpoint, &'static str> {
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
    Ok(Endpoint { tls, host: host.to_ascii_lowercase(), port, weight })
}

const EXPECTED: &str = "expected a URL such as `http://10.0.0.11:8080`";

fn h2c(raw: Option<&At<bool>>, endpoints: &[Endpoint], cx: &mut Cx<'_, '_>) -> bool {
    let Some(at) = raw else { return false };
    if at.value && endpoints.iter().any(|endpoint| endpoint.tls) {
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
    UpstreamTls { server_name: raw.server_name.as_ref().map(|name| name.value.clone()), ca }
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
            let found = endpoint(url, 1).ok();
            let found = found.as_ref().map(|e| (e.tls, e.host.as_str(), e.port));
            assert_eq!(found, expected, "{url}");
        }
    }
}
