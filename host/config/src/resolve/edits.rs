//! `headers` of a route.

use std::collections::BTreeMap;

use edgewit_model::{Edits, HeaderEdits, Piece, Template};
use http::{HeaderName, HeaderValue};

use super::{
    Cx,
    action::FRAMING,
    template::{Captures, template},
};
use crate::{
    code,
    raw::{self, At},
};

/// Changes of one head; a head itself has room for 100 fields.
const MOST: usize = 100;
/// What a value may be made of, beside the parameters of the path.
const KNOWN: [&str; 6] = ["client-address", "host", "path", "request-id", "route", "scheme"];

pub(super) fn edits(
    raw: Option<&At<raw::HeaderEdits>>,
    captures: &Captures<'_>,
    cx: &mut Cx<'_, '_>,
) -> HeaderEdits {
    let Some(At { value: raw, span }) = raw else { return HeaderEdits::default() };
    for side in [&raw.request, &raw.response] {
        let removed = side.remove.as_ref().map_or(0, |list| list.value.len());
        if side.set.len() + side.append.len() + removed > MOST {
            cx.error(code::TOO_MANY, span, format!("a route changes at most {MOST} fields"));
        }
    }
    HeaderEdits {
        request: side(&raw.request, true, captures, cx),
        response: side(&raw.response, false, captures, cx),
    }
}

fn side(raw: &raw::Edits, request: bool, captures: &Captures<'_>, cx: &mut Cx<'_, '_>) -> Edits {
    let mut fields = |map: &BTreeMap<String, At<String>>| {
        let mut out = Vec::new();
        for (key, at) in map {
            let both = (name(key, at, request, cx), value(key, at, captures, cx));
            out.extend(both.0.zip(both.1));
        }
        out
    };
    let (set, append) = (fields(&raw.set), fields(&raw.append));
    let removed = raw.remove.iter().flat_map(|list| &list.value);
    let remove = removed.filter_map(|at| name(&at.value, at, request, cx)).collect();
    Edits { remove, set, append }
}

/// The one gate for names: what frames a message or belongs to a connection is the host's, and `host` is a rewrite.
fn name(text: &str, at: &At<String>, request: bool, cx: &mut Cx<'_, '_>) -> Option<HeaderName> {
    let Ok(name) = HeaderName::from_bytes(text.as_bytes()) else {
        let message = format!("`{text}` is no name of a header field");
        cx.error(code::HEADER_EDIT, &at.span, message);
        return None;
    };
    let label = match name.as_str() {
        "host" if request => "use `rewrite = { host = ... }`",
        "expect" if request => "whoever waits for a permission to send is asked by the host",
        name if FRAMING.contains(&name) => "it frames the message or belongs to the connection",
        _ => return Some(name),
    };
    cx.hint(code::HEADER_EDIT, &at.span, format!("`{text}` is the host's business"), label);
    None
}

fn value(
    name: &str,
    at: &At<String>,
    captures: &Captures<'_>,
    cx: &mut Cx<'_, '_>,
) -> Option<Template> {
    let template = template(at, &KNOWN, captures, cx)?;
    let fits = |piece: &Piece| match piece {
        Piece::Text(text) => HeaderValue::from_str(text).is_ok(),
        Piece::Value(_) => true,
    };
    if !template.pieces().iter().all(fits) {
        let message = format!("this is no value of a header field, `{name}`");
        cx.error(code::HEADER_EDIT, &at.span, message);
        return None;
    }
    Some(template)
}
