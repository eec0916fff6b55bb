//! `discovery` of an upstream.

use std::net::{IpAddr, SocketAddr};

use edgewit_model::{Discovery, DnsDiscovery, DnsQuestion};

use super::Cx;
use crate::{
    code,
    raw::{self, At},
};

/// Name servers to ask; the system's list has three at most.
const MOST_RESOLVERS: usize = 8;

/// Bytes of a name (RFC 1035 2.3.4).
const LONGEST_NAME: usize = 253;

pub(super) fn discovery(raw: &raw::Upstream, cx: &mut Cx<'_, '_>) -> Option<Discovery> {
    let at = raw.discovery.as_ref()?;
    if raw.servers.is_some() {
        let message = "`servers` and `discovery` exclude each other";
        cx.hint(code::DISCOVERY, &at.span, message, "keep one of them");
    }
    match (&at.value.dns, &at.value.file) {
        (Some(dns), None) => dns_discovery(dns, cx).map(Discovery::Dns),
        (None, Some(file)) => Some(Discovery::File(cx.path(file))),
        (Some(_), Some(_)) => {
            cx.error(code::DISCOVERY, &at.span, "`discovery` has one source, `dns` or `file`");
            None
        }
        (None, None) => {
            let known = ["dns", "file"];
            let written = cx.item.get("discovery").and_then(|d| d.get_ref().as_table());
            let is_wrong =
                written.is_some_and(|table| known.iter().any(|k| table.contains_key(*k)));
            if !is_wrong {
                let label = "discovery.dns = { name = \"orders.internal\", port = 8080 }";
                cx.hint(code::DISCOVERY, &at.span, "`discovery` has no source", label);
            }
            None
        }
    }
}

fn dns_discovery(at: &At<raw::Dns>, cx: &mut Cx<'_, '_>) -> Option<DnsDiscovery> {
    let dns = &at.value;
    let tls = matches!(dns.scheme, Some(raw::Scheme::Https));
    let resolvers = resolvers(dns.resolver.as_ref(), cx);
    let question = match (&dns.name, &dns.srv) {
        (Some(name), None) => {
            let port = cx.count(&dns.port, 1..=65_535, if tls { 443 } else { 80 });
            DnsQuestion::Addresses { name: host(name, cx)?, port }
        }
        (None, Some(srv)) => {
            if let Some(port) = &dns.port {
                cx.error(code::DISCOVERY, &port.span, "SRV records say the port themselves");
            }
            DnsQuestion::Services { name: host(srv, cx)? }
        }
        _ => {
            let message = "`dns` asks for one thing, `name` or `srv`";
            cx.error(code::DISCOVERY, &at.span, message);
            return None;
        }
    };
    Some(DnsDiscovery { question, tls, resolvers })
}

fn host(at: &At<String>, cx: &mut Cx<'_, '_>) -> Option<String> {
    let name = at.value.to_ascii_lowercase();
    if name.parse::<IpAddr>().is_ok() {
        let message = format!("`{name}` is an address, not a name");
        cx.hint(code::DISCOVERY, &at.span, message, "addresses belong into `servers`");
        return None;
    }
    let is_label = |label: &str| {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        (1..=63).contains(&label.len()) && label.bytes().all(is_letter)
    };
    let whole = name.strip_suffix('.').unwrap_or(&name);
    if whole.len() > LONGEST_NAME || !whole.split('.').all(is_label) {
        cx.error(code::DISCOVERY, &at.span, format!("`{}` is no host name", at.value));
        return None;
    }
    Some(name)
}

fn resolvers(raw: Option<&At<Vec<At<String>>>>, cx: &mut Cx<'_, '_>) -> Vec<SocketAddr> {
    let Some(list) = raw else { return Vec::new() };
    let mut out = Vec::new();
    for at in cx.bounded(list, MOST_RESOLVERS, "name servers") {
        match at.value.parse::<IpAddr>() {
            Ok(address) => out.push(SocketAddr::new(address, 53)),
            Err(_) => out.extend(cx.address(at)),
        }
    }
    out
}
