//! `cors` of a route.

use std::time::Duration;

use edgewit_model::{Cors, OriginPattern};
use http::{HeaderName, Method};

use super::Cx;
use crate::{
    code,
    raw::{self, At},
};

const MOST: usize = 256;
/// Short enough that a change is felt soon; Chromium keeps no permission for longer than two hours.
const MAX_AGE: Duration = Duration::from_secs(600);

pub(super) fn cors(raw: &At<raw::Cors>, cx: &mut Cx<'_, '_>) -> Cors {
    let At { value: raw, span } = raw;
    let credentials = raw.credentials.as_ref().is_some_and(|at| at.value);
    if cx_lacks(raw.origins.as_ref()) {
        cx.error(code::CORS, span, "`cors` needs at least one origin");
    }
    let lists = [&raw.origins, &raw.methods, &raw.headers, &raw.expose];
    for at in lists.into_iter().flatten().flat_map(|list| &list.value) {
        if credentials && matches!(at.value.as_str(), "*" | "null") {
            let message = format!("`{}` cannot stand beside `credentials`", at.value);
            cx.hint(code::CORS, &at.span, message, "list what is meant, one by one");
        }
    }
    let method = |text: &str| {
        let method = Method::from_bytes(text.as_bytes()).ok();
        method.filter(|_| text == text.to_ascii_uppercase())
    };
    let field = |text: &str| HeaderName::from_bytes(text.as_bytes()).ok();
    let usual = || Some(vec![Method::GET, Method::HEAD, Method::POST]);
    Cors {
        origins: origins(raw.origins.as_ref(), cx),
        methods: match &raw.methods {
            Some(at) => list(at, "method", method, cx),
            None => usual(),
        },
        headers: listed(raw.headers.as_ref(), field, cx),
        expose: listed(raw.expose.as_ref(), field, cx),
        credentials,
        max_age: cx.pause(&raw.max_age, MAX_AGE),
    }
}

fn cx_lacks(list: Option<&At<Vec<At<String>>>>) -> bool {
    list.is_none_or(|list| list.value.is_empty())
}

fn listed(
    raw: Option<&At<Vec<At<String>>>>,
    read: impl Fn(&str) -> Option<HeaderName>,
    cx: &mut Cx<'_, '_>,
) -> Option<Vec<HeaderName>> {
    raw.map_or(Some(Vec::new()), |at| list(at, "name of a header field", read, cx))
}

/// A list, or `None` for all, which is written as `*`.
fn list<T>(
    at: &At<Vec<At<String>>>,
    what: &str,
    read: impl Fn(&str) -> Option<T>,
    cx: &mut Cx<'_, '_>,
) -> Option<Vec<T>> {
    let mut out = Vec::new();
    let mut all = false;
    for at in cx.bounded(at, MOST, "entries") {
        match read(&at.value) {
            _ if at.value == "*" => all = true,
            Some(value) => out.push(value),
            None => cx.error(code::CORS, &at.span, format!("`{}` is no {what}", at.value)),
        }
    }
    (!all).then_some(out)
}

fn origins(raw: Option<&At<Vec<At<String>>>>, cx: &mut Cx<'_, '_>) -> Vec<OriginPattern> {
    let Some(list) = raw else { return Vec::new() };
    let mut out = Vec::new();
    for at in cx.bounded(list, MOST, "origins") {
        match origin(&at.value) {
            Ok(pattern) => out.push(pattern),
            Err(label) => {
                let message = format!("`{}` is no origin", at.value);
                cx.hint(code::CORS, &at.span, message, label);
            }
        }
    }
    out
}

fn origin(text: &str) -> Result<OriginPattern, &'static str> {
    if text == "*" {
        return Ok(OriginPattern::Any);
    }
    if text == "null" {
        return Ok(OriginPattern::Exact(text.to_owned()));
    }
    let shape = "expected something like `https://app.example.com` or `https://*.example.com`";
    let (scheme, rest) = text.split_once("://").ok_or(shape)?;
    if text != text.to_ascii_lowercase() {
        return Err("browsers write origins in lower case");
    }
    if rest.contains('/') {
        return Err("an origin has no path and no slash at the end");
    }
    let (wildcard, host) = match rest.strip_prefix('*') {
        Some(suffix) => (true, suffix.strip_prefix('.').ok_or(shape)?),
        None => (false, rest),
    };
    let authority = edgewit_model::Authority::new(host).map_err(|_| shape)?;
    let port = host.get(authority.host().len()..).unwrap_or_default();
    if matches!((scheme, port), ("https", ":443") | ("http", ":80")) {
        return Err("browsers leave the default port out");
    }
    if scheme.is_empty()
        || !scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    {
        return Err(shape);
    }
    Ok(match wildcard {
        true => OriginPattern::Below { scheme: format!("{scheme}://"), suffix: format!(".{host}") },
        false => OriginPattern::Exact(text.to_owned()),
    })
}
