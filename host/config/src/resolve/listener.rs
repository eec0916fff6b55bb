//! `[listeners.<name>]`.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use edgewit_model::{Admin, IpNet, Listener, ListenerLimits, ListenerName, Protocols, Underscores};

use super::{Cx, tls::listener_tls};
use crate::{
    Diagnostic, Report, code,
    pem::Pem,
    places::Places,
    raw::{self, At, Protocol},
    refs::DEFAULT_LISTENER,
};

/// Networks that are trusted; published lists of large networks have a few hundred.
const MOST_PROXIES: usize = 1_024;

pub(super) fn listener(
    name: ListenerName,
    raw: raw::Listener,
    places: &mut Places,
    pems: &mut Vec<Pem>,
    cx: &mut Cx<'_, '_>,
) -> Option<Listener> {
    places.listeners.insert(name.clone(), cx.item.place());
    let tls = raw.tls.as_ref().and_then(|tls| listener_tls(tls, pems, cx));
    let protocols = protocols(raw.protocols.as_ref(), raw.tls.is_some(), cx);
    let trusted_proxies = trusted(raw.trusted_proxies.as_ref(), cx);
    let limits = limits(&raw.limits, cx);
    let proxy_protocol = proxy_protocol(raw.proxy_protocol.as_ref(), cx);
    if cx.lacks("listen") {
        cx.entry_error(code::MISSING_KEY, format!("listener `{name}` lacks `listen`"));
    }
    let redirect_https = redirect_https(&raw, cx);
    let (listen, inherited) = listen(raw.listen.as_ref()?, cx)?;
    Some(Listener {
        tls,
        protocols,
        trusted_proxies,
        limits,
        inherited,
        proxy_protocol,
        redirect_https,
        headers_with_underscores: underscores(raw.headers_with_underscores),
        ..Listener::new(name, listen)
    })
}

/// The address, or the name of a socket that is open already.
fn listen(raw: &At<String>, cx: &mut Cx<'_, '_>) -> Option<(SocketAddr, Option<String>)> {
    let Some(name) = raw.value.strip_prefix("fd:") else {
        return cx.address(raw).map(|address| (address, None));
    };
    let is_named = |byte: u8| byte.is_ascii_graphic() && byte != b':'; // sd_listen_fds(3)
    if name.is_empty() || name.len() > MOST_NAME || !name.bytes().all(is_named) {
        let message = format!("`{name}` is no name of a socket");
        let label = "such names are 1 to 255 visible characters without `:`";
        cx.hint(code::INVALID_VALUE, &raw.span, message, label);
        return None;
    }
    Some((ANY, Some(name.to_owned())))
}

/// Stands where the socket, not the configuration, knows the address.
const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
/// Bytes of a socket's name, as systemd has it.
const MOST_NAME: usize = 255;

fn proxy_protocol(raw: Option<&At<bool>>, cx: &mut Cx<'_, '_>) -> bool {
    let Some(at) = raw else { return false };
    if at.value && cx.lacks("trusted-proxies") {
        let message = "`proxy-protocol` needs `trusted-proxies`";
        let label = "anybody could say to be anybody";
        let diagnostic = Diagnostic::new(code::MISSING_KEY, message);
        let help = "trusted-proxies = [\"10.0.0.0/8\"]";
        cx.report.push(diagnostic.at(cx.at(&at.span), label).help(help));
    }
    at.value
}

/// A redirect from `https` to itself would go round for ever.
fn redirect_https(raw: &raw::Listener, cx: &mut Cx<'_, '_>) -> bool {
    let Some(at) = raw.redirect_https.as_ref().filter(|at| at.value) else { return false };
    if raw.tls.is_some() {
        let message = "a listener with TLS has nothing to redirect";
        cx.error(code::TLS_PROTOCOL, &at.span, message);
    }
    raw.tls.is_none()
}

/// The listener that is there if none is declared.
pub(crate) fn default() -> Option<(ListenerName, Listener)> {
    let name = ListenerName::new(DEFAULT_LISTENER).ok()?;
    let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
    Some((name.clone(), Listener::new(name, address)))
}

fn protocols(raw: Option<&At<Vec<At<Protocol>>>>, tls: bool, cx: &mut Cx<'_, '_>) -> Protocols {
    let Some(list) = raw else { return Protocols { h1: true, h2: true } };
    let mut out = Protocols { h1: false, h2: false };
    for protocol in &list.value {
        let (wrong, right) = if tls { (Protocol::H2c, "h2") } else { (Protocol::H2, "h2c") };
        if protocol.value == wrong {
            let message = if tls { "`h2c` has no TLS" } else { "`h2` needs TLS" };
            let label = format!("did you mean `{right}`?");
            cx.hint(code::TLS_PROTOCOL, &protocol.span, message, label);
        }
        match protocol.value {
            Protocol::H1 => out.h1 = true,
            Protocol::H2 | Protocol::H2c => out.h2 = true,
        }
    }
    if cx.lacks("protocols") {
        cx.error(code::INVALID_VALUE, &list.span, "a listener speaks at least one protocol");
    }
    out
}

fn trusted(raw: Option<&At<Vec<At<String>>>>, cx: &mut Cx<'_, '_>) -> Vec<IpNet> {
    let Some(list) = raw else { return Vec::new() };
    let mut out = Vec::new();
    for text in cx.bounded(list, MOST_PROXIES, "networks") {
        match text.value.parse::<IpNet>() {
            Ok(net) => out.push(net),
            Err(error) => {
                let message = format!("`{}` is no range of addresses", text.value);
                cx.hint(code::INVALID_VALUE, &text.span, message, error.to_string());
            }
        }
    }
    out
}

fn underscores(raw: Option<raw::Underscores>) -> Underscores {
    match raw {
        None | Some(raw::Underscores::Refuse) => Underscores::Refuse,
        Some(raw::Underscores::Drop) => Underscores::Drop,
        Some(raw::Underscores::Allow) => Underscores::Allow,
    }
}

/// `0B`: none.
fn body_rate(raw: &raw::ListenerLimits, cx: &mut Cx<'_, '_>, default: Option<u32>) -> Option<u32> {
    let (Some(rate), Some(at)) = (cx.amount(&raw.body_rate), &raw.body_rate) else {
        return default;
    };
    match u32::try_from(rate.0) {
        Ok(0) => None,
        Ok(rate) => Some(rate),
        Err(_) => {
            cx.error(
                code::INVALID_VALUE,
                &at.span,
                "a rate here is `0B` to `4294967295B` a second",
            );
            default
        }
    }
}

fn limits(raw: &raw::ListenerLimits, cx: &mut Cx<'_, '_>) -> ListenerLimits {
    let default = ListenerLimits::default();
    let connections = cx.count(&raw.connections, 1..=MOST_CONNECTIONS, default.connections);
    let share = default.connections_per_client.min((connections / 4).max(1));
    ListenerLimits {
        connections,
        header_bytes: cx.size(&raw.header_bytes, default.header_bytes),
        headers: cx.count(&raw.headers, 1..=10_000, default.headers),
        body: cx.size(&raw.body, default.body),
        header_timeout: cx.time(&raw.header_timeout, default.header_timeout),
        idle_timeout: cx.time(&raw.idle_timeout, default.idle_timeout),
        stall_timeout: cx.time(&raw.stall_timeout, default.stall_timeout),
        streams: cx.count(&raw.streams, 1..=10_000, default.streams),
        connections_per_client: cx.count(&raw.connections_per_client, 1..=MOST_CONNECTIONS, share),
        handshake_timeout: cx.time(&raw.handshake_timeout, default.handshake_timeout),
        body_rate: body_rate(raw, cx, default.body_rate),
        control_frames: cx.count(&raw.control_frames, 1..=1_000_000, default.control_frames),
        requests_per_client: cx.count(
            &raw.requests_per_client,
            1..=10_000_000,
            default.requests_per_client,
        ),
        connection_memory: cx.size(&raw.connection_memory, default.connection_memory),
    }
}

/// More than one machine has been seen to hold.
const MOST_CONNECTIONS: u64 = 10_000_000;

/// Reports listeners that want the same address or socket.
pub(super) fn addresses(
    listeners: &BTreeMap<ListenerName, Listener>,
    admin: Option<&Admin>,
    places: &Places,
    report: &mut Report,
) {
    let is_wanted = |l: &&Listener| l.inherited.is_some() || l.listen.port() != 0;
    let mut sorted: Vec<&Listener> = listeners.values().filter(is_wanted).collect();
    sorted.sort_by_key(|l| places.listeners.get(&l.name).map(|place| place.order()));
    let mut seen: BTreeMap<String, Option<&Listener>> = BTreeMap::new();
    seen.extend(admin.map(|admin| (admin.listen.to_string(), None)));
    for listener in sorted {
        let wanted = match &listener.inherited {
            Some(socket) => format!("fd:{socket}"),
            None => listener.listen.to_string(),
        };
        let Some(first) = seen.insert(wanted.clone(), Some(listener)) else { continue };
        let other = first.map_or("administration".to_owned(), |l| format!("`{}`", l.name));
        let message = format!("`{}` and {other} both want {wanted}", listener.name);
        let mut diagnostic = Diagnostic::new(code::SAME_ADDRESS, message);
        let place = |l: &Listener| places.listeners.get(&l.name).cloned();
        if let Some(place) = place(listener) {
            diagnostic = diagnostic.at(place, "");
        }
        if let Some(place) = first.and_then(place) {
            diagnostic = diagnostic.at(place, "the other one");
        }
        report.push(diagnostic);
    }
}
