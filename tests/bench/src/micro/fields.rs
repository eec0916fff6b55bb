//! Edits of header fields that a filter returned.

use std::hint::black_box;

use edgewit_chain::{Edit, HeaderOut};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::Part;

pub(super) fn parts() -> Vec<Part> {
    [1, 4, 16].map(part).into()
}

/// Edits that find in the head what they have written before, as those of a second filter do.
fn part(count: usize) -> Part {
    let name = |n: usize| format!("x-field-{n}");
    let edits: Vec<Edit> =
        (0..count).map(|n| Edit::Set(name(n), b"a value of some length".to_vec())).collect();
    let mut head = HeaderMap::new();
    for n in 0..15 {
        let name = HeaderName::try_from(format!("x-other-{n}"));
        name.into_iter().for_each(|name| drop(head.insert(name, HeaderValue::from_static("v"))));
    }
    Part::new(format!("header edits, {count} set"), move || {
        let applied = HeaderOut::apply(black_box(&edits), black_box(&mut head));
        assert!(black_box(applied).is_ok(), "the edits are valid");
    })
}
