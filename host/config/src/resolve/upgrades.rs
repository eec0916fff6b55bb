//! `upgrades` of a route: protocols that a client may change to.

use http::{HeaderName, HeaderValue};

use super::Cx;
use crate::{
    code,
    raw::{self, At},
};

/// A route offers one protocol, seldom two; each is compared with what a client asks for.
const MOST: usize = 8;

/// Protocols that may not be changed to: versions of HTTP, whose requests would then pass unseen, and TLS, which is the
/// listener's.
const REFUSED: [&str; 4] = ["h2c", "h2", "http", "tls"];

pub(super) fn upgrades(raw: &raw::Route, cx: &mut Cx<'_, '_>) -> Vec<HeaderValue> {
    let Some(list) = &raw.upgrades else { return Vec::new() };
    if raw.upstream.is_none() && raw.upstreams.is_none() {
        cx.error(code::NO_EFFECT, &list.span, "`upgrades` has no effect without an upstream");
    }
    let mut out = Vec::new();
    for at in cx.bounded(list, MOST, "protocols") {
        out.extend(token(at, cx));
    }
    out
}

fn token(at: &At<String>, cx: &mut Cx<'_, '_>) -> Option<HeaderValue> {
    let text = at.value.as_str();
    // The characters of a token are those of a field's name (RFC 9110 5.6.2).
    let is_token = HeaderName::from_bytes(text.as_bytes()).is_ok_and(|name| name.as_str() == text);
    if !is_token {
        let message = format!("`{text}` is no protocol");
        let label = "expected a token in lower case, such as `websocket`";
        cx.hint(code::INVALID_VALUE, &at.span, message, label);
        return None;
    }
    if REFUSED.contains(&text) {
        let message = format!("a client cannot change to `{text}`");
        let label = "requests in it would pass by the routes and filters";
        cx.hint(code::INVALID_VALUE, &at.span, message, label);
        return None;
    }
    HeaderValue::from_str(text).ok()
}
