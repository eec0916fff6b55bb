//! Changes of header fields that a route asks for.

use edgewit_model::{Edits, Template};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::template::{Values, render};

/// First what is removed, then what is set, then what is appended. The configuration has seen to it that no field of these
/// frames the message. A value that no field can have is left out.
pub(crate) fn apply(edits: &Edits, fields: &mut HeaderMap, values: &Values<'_>) {
    for name in &edits.remove {
        fields.remove(name);
    }
    for (name, value) in filled(&edits.set, values) {
        fields.insert(name.clone(), value);
    }
    for (name, value) in filled(&edits.append, values) {
        fields.append(name.clone(), value);
    }
}

fn filled<'a>(
    edits: &'a [(HeaderName, Template)],
    values: &'a Values<'_>,
) -> impl Iterator<Item = (&'a HeaderName, HeaderValue)> {
    edits.iter().filter_map(|(name, template)| {
        let value = HeaderValue::from_str(&render(template, values)).ok();
        Some(name).zip(value)
    })
}
