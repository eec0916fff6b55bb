//! Permissions for pages of other origins (Fetch 3.3).

use bytes::Bytes;
use edgewit_chain::ResponseHead;
use edgewit_model::{Cors, OriginPattern};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use crate::reply::Reply;

/// What a permission is made of. An upstream's own are replaced, lest the two contradict each other.
const FIELDS: [HeaderName; 7] = [
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_ALLOW_METHODS,
    header::ACCESS_CONTROL_ALLOW_HEADERS,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
    header::ACCESS_CONTROL_MAX_AGE,
    HeaderName::from_static("access-control-allow-private-network"),
];

/// The method that a browser asks for permission to use, if this is such a question: `OPTIONS` with `origin` and
/// `access-control-request-method`.
pub(crate) fn asked(method: &Method, fields: &HeaderMap) -> Option<Method> {
    if method != Method::OPTIONS || !fields.contains_key(header::ORIGIN) {
        return None;
    }
    let wanted = fields.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
    Method::from_bytes(wanted.as_bytes()).ok()
}

/// The answer to a question for permission. It is the gateway's own, before any filter: browsers ask without credentials.
/// An origin that may not gets an answer without permissions.
pub(crate) fn preflight(cors: &Cors, origin: Option<&HeaderValue>) -> Reply {
    let mut fields = HeaderMap::with_capacity(8);
    fields.insert(header::VARY, HeaderValue::from_static(ASKED));
    if let Some(origin) = origin.filter(|origin| is_allowed(cors, origin)) {
        allow(cors, origin, &mut fields);
        let methods = cors.methods.as_ref().map(|list| list.iter().map(Method::as_str).collect());
        insert(&mut fields, header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        let names = cors.headers.as_ref().map(|list| list.iter().map(HeaderName::as_str).collect());
        insert(&mut fields, header::ACCESS_CONTROL_ALLOW_HEADERS, names);
        fields.insert(header::ACCESS_CONTROL_MAX_AGE, cors.max_age.as_secs().into());
    }
    Reply::full(ResponseHead { status: StatusCode::NO_CONTENT, fields }, Bytes::new())
}

/// What the answer to such a question depends on.
const ASKED: &str = "origin, access-control-request-method, access-control-request-headers";

/// Gives a response the permissions of the origin that asked, and takes away what the upstream said.
pub(crate) fn decorate(cors: &Cors, origin: Option<&HeaderValue>, fields: &mut HeaderMap) {
    for name in &FIELDS {
        fields.remove(name);
    }
    if !is_for_all(cors) {
        // Also without an origin: a cache must not give this response to a page.
        fields.append(header::VARY, HeaderValue::from_static("origin"));
    }
    if let Some(origin) = origin.filter(|origin| is_allowed(cors, origin)) {
        allow(cors, origin, fields);
        let names = cors.expose.as_ref().map(|list| list.iter().map(HeaderName::as_str).collect());
        insert(fields, header::ACCESS_CONTROL_EXPOSE_HEADERS, names);
    }
}

fn allow(cors: &Cors, origin: &HeaderValue, fields: &mut HeaderMap) {
    let star = HeaderValue::from_static("*");
    let value = if is_for_all(cors) { star } else { origin.clone() };
    fields.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, value);
    if cors.credentials {
        let yes = HeaderValue::from_static("true");
        fields.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
    }
}

fn is_for_all(cors: &Cors) -> bool {
    !cors.credentials && cors.origins.contains(&OriginPattern::Any)
}

fn is_allowed(cors: &Cors, origin: &HeaderValue) -> bool {
    let Ok(origin) = origin.to_str() else { return false };
    cors.origins.iter().any(|pattern| pattern.contains(origin))
}

/// `None` is `*`; an empty list is no field.
fn insert(fields: &mut HeaderMap, name: HeaderName, list: Option<Vec<&str>>) {
    let value = match list {
        None => HeaderValue::from_static("*"),
        Some(list) if list.is_empty() => return,
        Some(list) => match HeaderValue::from_str(&list.join(", ")) {
            Ok(value) => value,
            Err(_) => return,
        },
    };
    fields.insert(name, value);
}
