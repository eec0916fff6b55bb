//! What a route does: `upstream`, `upstreams`, `respond` or `redirect`.

use std::{collections::BTreeSet, ops::Range};

use edgewit_model::{Action, Redirect, Respond, UpstreamName, WeightedUpstream};
use http::{HeaderName, HeaderValue, StatusCode};

use super::{Cx, location::location, template::Captures};
use crate::{
    Diagnostic, code,
    raw::{self, At},
};

const MOST_UPSTREAMS: usize = 64;
const MOST_HEADERS: usize = 100; // as many as a listener takes from a client
const MOST_WEIGHT: u64 = 1_000_000;

pub(super) fn action(
    raw: &raw::Route,
    captures: &Captures<'_>,
    cx: &mut Cx<'_, '_>,
) -> Option<Action> {
    let mut there: Vec<(&str, &Range<usize>)> = Vec::new();
    there.extend(raw.upstream.as_ref().map(|at| ("upstream", &at.span)));
    there.extend(raw.upstreams.as_ref().map(|at| ("upstreams", &at.span)));
    there.extend(raw.respond.as_ref().map(|at| ("respond", &at.span)));
    there.extend(raw.redirect.as_ref().map(|at| ("redirect", &at.span)));
    there.sort_by_key(|(_, span)| span.start);
    exactly_one(&there, cx);
    let own = raw.respond.is_some() || raw.redirect.is_some();
    if own && raw.upstream.is_none() && raw.upstreams.is_none() {
        no_effect("retry", raw.retry.as_ref().map(|at| &at.span), cx);
        no_effect("rewrite", raw.rewrite.as_ref().map(|at| &at.span), cx);
        no_effect("mirror", raw.mirror.as_ref().map(|at| &at.span), cx);
    }
    if raw.upstreams.is_none() {
        let span = raw.split_on.as_ref().map(|at| &at.span);
        if let Some(span) = span.filter(|_| cx.lacks("upstreams")) {
            cx.error(code::NO_EFFECT, span, "`split-on` has no effect without `upstreams`");
        }
    }
    let one = raw.upstream.as_ref().and_then(|at| single(&at.value));
    let several = raw.upstreams.as_ref().map(|list| Action::Forward(weighted(list, cx)));
    let respond = raw.respond.as_ref().map(|at| Action::Respond(respond(&at.value, cx)));
    let redirect = raw.redirect.as_ref().and_then(|at| redirect(&at.value, captures, cx));
    one.or(several).or(respond).or(redirect)
}

fn exactly_one(there: &[(&str, &Range<usize>)], cx: &mut Cx<'_, '_>) {
    let diagnostic = match there {
        [_] => return,
        [] if !WORDS.iter().all(|word| cx.lacks(word)) => return, // reported already
        [] => Diagnostic::new(code::ROUTE_ACTION, "this route does nothing")
            .at(cx.item.place(), "")
            .help("add `upstream`, `upstreams`, `respond` or `redirect`"),
        [(first, first_span), (second, second_span), ..] => {
            let message = format!("a route cannot have both `{first}` and `{second}`");
            Diagnostic::new(code::ROUTE_ACTION, message)
                .at(cx.at(second_span), "")
                .at(cx.at(first_span), "")
        }
    };
    cx.report.push(diagnostic);
}

const WORDS: [&str; 4] = ["upstream", "upstreams", "respond", "redirect"];

fn no_effect(key: &str, span: Option<&Range<usize>>, cx: &mut Cx<'_, '_>) {
    if let Some(span) = span {
        cx.error(code::NO_EFFECT, span, format!("`{key}` has no effect without an upstream"));
    }
}

/// Names that are not there are reported by the check of references.
fn single(name: &str) -> Option<Action> {
    let name = UpstreamName::new(name).ok()?;
    Some(Action::Forward(vec![WeightedUpstream { name, weight: 1 }]))
}

fn weighted(
    list: &At<Vec<At<raw::WeightedUpstream>>>,
    cx: &mut Cx<'_, '_>,
) -> Vec<WeightedUpstream> {
    let mut out = Vec::new();
    let mut seen = BTreeSet::new();
    for At { value: raw, .. } in cx.bounded(list, MOST_UPSTREAMS, "upstreams") {
        let weight = cx.count(&raw.weight, 0..=MOST_WEIGHT, 1);
        if !seen.insert(&raw.name.value) {
            let message = format!("upstream `{}` is listed twice", raw.name.value);
            cx.error(code::WEIGHT, &raw.name.span, message);
        }
        if let Ok(name) = UpstreamName::new(&raw.name.value) {
            out.push(WeightedUpstream { name, weight });
        }
    }
    if cx.lacks("upstreams") {
        cx.error(code::ROUTE_ACTION, &list.span, "a route needs at least one upstream");
    } else if !out.is_empty() && out.iter().all(|upstream| upstream.weight == 0) {
        cx.error(code::WEIGHT, &list.span, "at least one upstream needs a weight above 0");
    }
    out
}

fn respond(raw: &raw::Respond, cx: &mut Cx<'_, '_>) -> Respond {
    let status = status(raw.status.as_ref(), 200, |s| (200..=599).contains(&s), "200 to 599", cx);
    if raw.headers.len() > MOST_HEADERS {
        let message = format!("{} header fields are too many", raw.headers.len());
        cx.entry_error(code::TOO_MANY, message);
    }
    let headers = raw.headers.iter().filter_map(|(name, value)| header(name, value, cx)).collect();
    Respond { status, headers, body: raw.body.clone().unwrap_or_default() }
}

fn header(
    name: &str,
    value: &At<String>,
    cx: &mut Cx<'_, '_>,
) -> Option<(HeaderName, HeaderValue)> {
    let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
        let message = format!("`{name}` is no name of a header field");
        cx.error(code::INVALID_ANSWER, &value.span, message);
        return None;
    };
    if FRAMING.contains(&name.as_str()) {
        let message = format!("`{name}` is the host's business");
        cx.error(code::INVALID_ANSWER, &value.span, message);
        return None;
    }
    let text = HeaderValue::from_str(&value.value).ok();
    if text.is_none() {
        let message = format!("this is no value of a header field, `{name}`");
        cx.error(code::INVALID_ANSWER, &value.span, message);
    }
    Some((name, text?))
}

/// Fields that say where a message ends or belong to one connection.
pub(super) const FRAMING: [&str; 8] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

fn redirect(raw: &raw::Redirect, captures: &Captures<'_>, cx: &mut Cx<'_, '_>) -> Option<Action> {
    let allowed = |s| matches!(s, 301 | 302 | 303 | 307 | 308);
    let status = status(raw.status.as_ref(), 307, allowed, "301, 302, 303, 307 or 308", cx);
    let location = location(&raw.location, captures, cx)?;
    Some(Action::Redirect(Redirect { status, location }))
}

fn status(
    raw: Option<&At<u64>>,
    default: u16,
    allowed: impl Fn(u16) -> bool,
    range: &str,
    cx: &mut Cx<'_, '_>,
) -> StatusCode {
    let number = raw.map_or(Some(default), |at| u16::try_from(at.value).ok());
    let status = number.filter(|n| allowed(*n)).and_then(|n| StatusCode::from_u16(n).ok());
    if let (None, Some(at)) = (status, raw) {
        let message = format!("a status here is {range}, not {}", at.value);
        cx.error(code::INVALID_ANSWER, &at.span, message);
    }
    status.unwrap_or(StatusCode::OK)
}
