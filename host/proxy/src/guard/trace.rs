//! Trace context (W3C Recommendation, level 1).

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{hex, random};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The trace that a request is part of, with our own span in it.
#[derive(Debug, Clone)]
pub(super) struct Trace {
    /// `traceparent` as it is sent on.
    parent: String,
    is_new: bool,
}

impl Trace {
    /// Continues the trace of these fields with a span of our own, or begins one.
    pub(super) fn continued(fields: &HeaderMap) -> Self {
        let mut text = String::with_capacity(55);
        text.push_str("00-");
        let continued = parent(fields);
        match continued {
            Some((trace, _)) => text.push_str(trace),
            None => hex::push(&random::bytes::<16>(), &mut text),
        }
        text.push('-');
        hex::push(&random::bytes::<8>(), &mut text);
        text.push('-');
        text.push_str(continued.map_or("00", |(_, flags)| flags));
        Self { parent: text, is_new: continued.is_none() }
    }

    /// 32 hexadecimal digits.
    pub(super) fn id(&self) -> &str {
        self.parent.get(3..35).unwrap_or_default()
    }

    pub(super) fn write(&self, fields: &mut HeaderMap) {
        if let Ok(parent) = HeaderValue::from_str(&self.parent) {
            fields.insert(TRACEPARENT, parent);
        }
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
