//! Trace context (W3C Recommendation, level 1).

use std::ops::Range;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{hex, random};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// A `traceparent` of which nothing is known, and where its parts stand (section 3.2).
const PATTERN: &[u8; 55] = b"00-00000000000000000000000000000000-0000000000000000-00";
const ID: Range<usize> = 3..35;
const SPAN: Range<usize> = 36..52;
const FLAGS: Range<usize> = 53..55;

/// The trace that a request is part of, with our own span in it.
#[derive(Debug, Clone)]
pub(super) struct Trace {
    /// `traceparent` as it is sent on.
    parent: HeaderValue,
    is_new: bool,
}

impl Trace {
    /// Continues the trace of these fields with a span of our own, or begins one.
    pub(super) fn continued(fields: &HeaderMap) -> Self {
        let mut text = *PATTERN;
        let continued = parent(fields);
        if let Some(place) = text.get_mut(ID) {
            match continued {
                Some((trace, _)) => place.copy_from_slice(trace.as_bytes()),
                None => {
                    hex::write(&random::bytes::<16>(), place);
                }
            }
        }
        if let Some(place) = text.get_mut(SPAN) {
            hex::write(&random::bytes::<8>(), place);
        }
        if let (Some(place), Some((_, flags))) = (text.get_mut(FLAGS), continued) {
            place.copy_from_slice(flags.as_bytes());
        }
        Self { parent: hex::value(&text), is_new: continued.is_none() }
    }

    /// 32 hexadecimal digits.
    pub(super) fn id(&self) -> &str {
        let id = self.parent.as_bytes().get(ID).unwrap_or_default();
        std::str::from_utf8(id).unwrap_or_default()
    }

    pub(super) fn write(&self, fields: &mut HeaderMap) {
        fields.insert(TRACEPARENT, self.parent.clone());
        if self.is_new {
            fields.remove(TRACESTATE); // it belongs to a trace that is not continued
        }
    }
}

/// Trace and flags of a valid `traceparent`. Of versions to come the part that is as in version 0 is read (section 4).
fn parent(fields: &HeaderMap) -> Option<(&str, &str)> {
    let mut lines = fields.get_all(TRACEPARENT).iter();
    let text = lines.next().filter(|_| lines.next().is_none())?.to_str().ok()?;
    let mut parts = text.splitn(5, '-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let lower_hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let not_zero = |part: &str| part.bytes().any(|b| b != b'0');
    let rest_ok = match version {
        "ff" => false,
        "00" => parts.next().is_none(),
        _ => true,
    };
    let ok = lower_hex(version, 2)
        && lower_hex(trace, 32)
        && lower_hex(span, 16)
        && lower_hex(flags, 2)
        && not_zero(trace)
        && not_zero(span)
        && rest_ok;
    ok.then_some((trace, flags))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn with(parents: &[&str]) -> (Trace, HeaderMap) {
        let mut fields = HeaderMap::new();
        for parent in parents {
            fields.append(TRACEPARENT, parent.parse().unwrap());
        }
        fields.insert(TRACESTATE, HeaderValue::from_static("a=1"));
        let trace = Trace::continued(&fields);
        trace.write(&mut fields);
        (trace, fields)
    }

    #[test]
    fn a_valid_trace_is_continued_with_a_span_of_our_own() {
        for parent in [
            format!("00-{TRACE}-00f067aa0ba902b7-01"),
            format!("cc-{TRACE}-00f067aa0ba902b7-01-later"),
        ] {
            let (trace, fields) = with(&[&parent]);
            assert_eq!(trace.id(), TRACE);
            let sent = fields[TRACEPARENT].to_str().unwrap();
            assert!(sent.starts_with("00-4bf9") && sent.ends_with("-01"), "{sent}");
            assert!(!sent.contains("00f067aa0ba902b7"));
            assert_eq!(fields[TRACESTATE], "a=1");
        }
    }

    #[test]
    fn anything_else_begins_a_new_trace() {
        let twice = format!("00-{TRACE}-00f067aa0ba902b7-01");
        for parents in [
            vec![],
            vec![twice.as_str(), twice.as_str()],
            vec!["00-00000000000000000000000000000000-00f067aa0ba902b7-01"],
            vec!["00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"],
            vec!["ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
            vec!["00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"],
            vec!["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x"],
            vec!["00-4bf92f3577b34da6a3ce929d0e0e4736"],
        ] {
            let (trace, fields) = with(&parents);
            assert_ne!(trace.id(), TRACE, "{parents:?}");
            assert_eq!(fields[TRACEPARENT].len(), 55);
            assert!(!fields.contains_key(TRACESTATE));
        }
    }
}
