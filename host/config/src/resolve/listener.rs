//! `[listeners.<name>]`.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use edgewit_model::{
    Admin, IpNet, Listener, ListenerLimits, ListenerName, ListenerTls, Protocols, TlsVersion,
    Underscores,
};

use super::Cx;
use crate::{
    Diagnostic, Report, code,
    pem::{Kind, Pem},
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
    if cx.lacks("listen") {
        cx.entry_error(code::MISSING_KEY, format!("listener `{name}` lacks `listen`"));
    }
    let listen = cx.address(raw.listen.as_ref()?)?;
    Some(Listener {
        protocols,
        tls,
        trusted_proxies,
        limits,
        headers_with_underscores: underscores(raw.headers_with_underscores),
        ..Listener::new(name, listen)
    })
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

fn listener_tls(
    raw: &At<raw::ListenerTls>,
    pems: &mut Vec<Pem>,
    cx: &mut Cx<'_, '_>,
) -> Option<ListenerTls> {
    let Some(files) = &raw.value.files else {
        if cx.item.get("tls").is_some_and(|tls| tls.get_ref().get("files").is_none()) {
            let diagnostic = Diagnostic::new(code::MISSING_KEY, "`tls` lacks `files`");
            let help = "tls.files = { cert = \"cert.pem\", key = \"key.pem\" }";
            cx.report.push(diagnostic.at(cx.at(&raw.span), "").help(help));
        }
        return None;
    };
    let (cert, key) = (cx.path(&files.cert), cx.path(&files.key));
    pems.push(Pem { kind: Kind::Certificates, path: cert.clone(), place: cx.at(&files.cert.span) });
    pems.push(Pem { kind: Kind::PrivateKey, path: key.clone(), place: cx.at(&files.key.span) });
    let min_version = match raw.value.min_version {
        Some(raw::TlsVersion::V1_3) => TlsVersion::V1_3,
        Some(raw::TlsVersion::V1_2) | None => TlsVersion::V1_2,
    };
    Some(ListenerTls { cert, key, min_version })
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
    ListenerLimits {
        connections: cx.count(&raw.connections, 1..=10_000_000, default.connections),
        header_bytes: cx.size(&raw.header_bytes, default.header_bytes),
        headers: cx.count(&raw.headers, 1..=10_000, default.headers),
        body: cx.size(&raw.body, default.body),
        header_timeout: cx.time(&raw.header_timeout, default.header_timeout),
        idle_timeout: cx.time(&raw.idle_timeout, default.idle_timeout),
        stall_timeout: cx.time(&raw.stall_timeout, default.stall_timeout),
        streams: cx.count(&raw.streams, 1..=10_000, default.streams),
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

/// Reports listeners that want the same address.
pub(super) fn addresses(
    listeners: &BTreeMap<ListenerName, Listener>,
    admin: Option<&Admin>,
    places: &Places,
    report: &mut Report,
) {
    let mut sorted: Vec<&Listener> = listeners.values().filter(|l| l.listen.port() != 0).collect();
    sorted.sort_by_key(|l| places.listeners.get(&l.name).map(|place| place.order()));
    let mut seen: BTreeMap<SocketAddr, Option<&Listener>> = BTreeMap::new();
    seen.extend(admin.map(|admin| (admin.listen, None)));
    for listener in sorted {
        let Some(first) = seen.insert(listener.listen, Some(listener)) else { continue };
        let other = first.map_or("administration".to_owned(), |l| format!("`{}`", l.name));
        let message = format!("`{}` and {other} both want {}", listener.name, listener.listen);
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
