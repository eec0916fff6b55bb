//! `redirect.location` of a route.

use edgewit_model::{Piece, Template};
use http::HeaderValue;

use super::{
    Cx,
    template::{Captures, template},
};
use crate::{code, raw::At};

/// What a location may be made of, beside the parameters of the path.
const KNOWN: [&str; 5] = ["scheme", "host", "authority", "path", "query"];

/// A location. What comes from a client never decides about the host that a browser goes to, unless it is the host that
/// was asked for.
pub(super) fn location(
    at: &At<String>,
    captures: &Captures<'_>,
    cx: &mut Cx<'_, '_>,
) -> Option<Template> {
    let text = at.value.as_str();
    if text.is_empty() || HeaderValue::from_str(text).is_err() {
        cx.error(code::INVALID_ANSWER, &at.span, "this is no location");
        return None;
    }
    let template = template(at, &KNOWN, captures, cx)?;
    if template.names().next().is_some() && !has_own_host(&template) {
        let message = "a client could choose the host of this location";
        let label = "begin with `/`, `{path}`, or a scheme and a whole host and a slash";
        cx.hint(code::INVALID_ANSWER, &at.span, message, label);
    }
    Some(template)
}

/// Does the template itself say where the host begins and where it ends?
fn has_own_host(template: &Template) -> bool {
    let mut pieces = template.pieces();
    if let [Piece::Value(scheme), rest @ ..] = pieces
        && scheme == "scheme"
    {
        pieces = rest;
    }
    match pieces {
        [Piece::Value(path), ..] => path == "path" && pieces.len() == template.pieces().len(),
        [Piece::Text(text), rest @ ..] => match text.split_once("://") {
            Some((_, host)) if host.contains(['/', '?', '#']) => true,
            Some((_, host)) => ends_host(host, rest),
            None => text.starts_with('/') && !text.starts_with("//") && !text.starts_with("/\\"),
        },
        [] => false,
    }
}

/// Whether the host that begins like this is whole: that of the request or a text, and then a slash.
fn ends_host(begin: &str, rest: &[Piece]) -> bool {
    let is_host = |name: &str| matches!(name, "host" | "authority");
    match (begin, rest) {
        (_, []) => true,
        ("", [Piece::Value(host)]) => is_host(host),
        ("", [Piece::Value(host), Piece::Text(text), ..]) => {
            is_host(host) && text.starts_with(['/', '?'])
        }
        ("", [Piece::Value(host), Piece::Value(path), ..]) => is_host(host) && path == "path",
        (_, [Piece::Value(path), ..]) => path == "path",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_a_location_is_never_the_clients_choice() {
        for (text, expected) in [
            ("/new/{rest}", true),
            ("/new?{query}", true),
            ("{path}", true),
            ("{scheme}://{host}{path}", true),
            ("https://{host}/x", true),
            ("{scheme}://{authority}{path}", true),
            ("https://{host}", true),
            ("https://{host}?a={rest}", true),
            ("https://a.test/{rest}", true),
            ("https://a.test{path}", true),
            ("https://a.test?{query}", true),
            ("//{rest}", false),
            ("//a.test/{rest}", false),
            ("{rest}", false),
            ("{scheme}", false),
            ("https://{rest}/", false),
            ("https://{host}{rest}", false),
            ("https://{host}.{rest}", false),
            ("https://{host}.evil.test/{rest}", false),
            ("https://a.test{rest}", false),
            ("https://a.{rest}.test/", false),
            ("javascript:{rest}", false),
        ] {
            assert_eq!(has_own_host(&Template::new(text).unwrap()), expected, "{text}");
        }
    }
}
