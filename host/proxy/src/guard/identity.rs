//! The name of a request, and of the trace it is part of.

use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::trace::Trace;
use crate::{hex, random};

pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Length of an id that a trusted peer may give.
const MAX_ID: usize = 128;

/// The name of a request, and of the trace it is part of.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    request_id: HeaderValue,
    trace: Trace,
}

impl Identity {
    /// The names that a request came with, if they may be believed, else new ones. `now`: when it came.
    pub(crate) fn new(fields: &HeaderMap, is_trusted: bool, now: SystemTime) -> Self {
        let given =
            if is_trusted { fields.get(X_REQUEST_ID).filter(|id| is_valid(id)) } else { None };
        let request_id = given.cloned().unwrap_or_else(|| uuid_v7(now));
        Self { request_id, trace: Trace::continued(fields) }
    }

    /// Visible ASCII, nothing that would need an escape.
    pub(crate) fn request_id(&self) -> &str {
        std::str::from_utf8(self.request_id.as_bytes()).unwrap_or_default()
    }

    /// The same, as a field says it.
    pub(crate) fn id_field(&self) -> HeaderValue {
        self.request_id.clone()
    }

    /// 32 hexadecimal digits.
    pub(crate) fn trace_id(&self) -> &str {
        self.trace.id()
    }

    /// Says it to those behind.
    pub(crate) fn write(&self, fields: &mut HeaderMap) {
        fields.insert(X_REQUEST_ID, self.id_field());
        self.trace.write(fields);
    }
}

/// What can stand in a header, a log line and JSON as it is.
fn is_valid(value: &HeaderValue) -> bool {
    let ok = |b: &u8| b.is_ascii_alphanumeric() || b"-_.:/+=@".contains(b);
    (1..=MAX_ID).contains(&value.len()) && value.as_bytes().iter().all(ok)
}

/// Version 7 (RFC 9562 5.7): milliseconds, then random bits; sorts by time.
fn uuid_v7(now: SystemTime) -> HeaderValue {
    let millis = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let random = u128::from_be_bytes(random::bytes());
    let time = (millis & 0xffff_ffff_ffff) << 80;
    let version = 0x7 << 76;
    let variant = 0b10 << 62;
    let free = random & !(0xffff_ffff_ffff << 80 | 0xf << 76 | 0b11 << 62);
    let mut text = [b'-'; 36];
    let bytes = (time | version | variant | free).to_be_bytes();
    let mut rest = text.as_mut_slice();
    for part in [0..4, 4..6, 6..8, 8..10, 10..16] {
        rest = hex::write(bytes.get(part).unwrap_or_default(), rest);
        rest = rest.get_mut(1..).unwrap_or_default(); // a hyphen
    }
    hex::value(&text)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_id_is_a_uuid_of_version_7() {
        let id = uuid_v7(UNIX_EPOCH + Duration::from_millis(0x0199_0000_abcd));
        let id = id.to_str().unwrap();
        assert_eq!(id.len(), 36);
        assert!(id.starts_with("01990000-abcd-7"), "{id}");
        assert!(matches!(id.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "{id}");
        let hyphens: Vec<_> = id.match_indices('-').map(|(at, _)| at).collect();
        assert_eq!(hyphens, [8, 13, 18, 23]);
        assert_ne!(uuid_v7(UNIX_EPOCH), uuid_v7(UNIX_EPOCH));
    }

    #[test]
    fn only_trusted_peers_name_requests() {
        let with = |id: &'static str, is_trusted| {
            let mut fields = HeaderMap::new();
            fields.insert(X_REQUEST_ID, HeaderValue::from_static(id));
            Identity::new(&fields, is_trusted, UNIX_EPOCH).request_id().to_owned()
        };
        assert_eq!(with("from-the-edge", true), "from-the-edge");
        assert_ne!(with("from-the-edge", false), "from-the-edge");
        for bad in ["", "a b", "\"},{\"", "a\\u0022"] {
            assert_ne!(with(bad, true), bad);
        }
    }
}
