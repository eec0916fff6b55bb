//! What holds of every text. For fuzzers: each function panics where it does not hold.

use crate::{Authority, NormalizedPath};

/// A path that has a normal form: it is one already when it is normalised again, no server can read another place out of
/// it, and it means what the raw path meant.
///
/// # Panics
///
/// If it does not hold.
pub fn normalized_path(data: &[u8]) {
    let Ok(raw) = std::str::from_utf8(data) else { return };
    let Ok(path) = NormalizedPath::new(raw) else { return };
    let text = path.as_str();
    assert_eq!(NormalizedPath::new(text).as_ref(), Ok(&path), "not idempotent: {raw:?}");
    assert!(text.starts_with('/') && !text.contains("//"), "{raw:?}");
    let bytes = |b: u8| b.is_ascii_graphic() && !matches!(b, b'\\' | b'?' | b'#');
    assert!(text.bytes().all(bytes), "{raw:?}");
    assert!(text.split('/').all(|s| !matches!(s, "." | "..") && !s.starts_with("..;")), "{raw:?}");
    let lower = text.to_ascii_lowercase();
    for escape in ["%2f", "%5c", "%00", "%2e", "%0a", "%0d"] {
        assert!(!lower.contains(escape), "{escape} is left of {raw:?}");
    }
    assert_eq!(decoded(text), resolved(&decoded(raw)), "another place: {raw:?}");
}

/// A host: lower case, without anything that is not host and port, the same when it is read again.
///
/// # Panics
///
/// If it does not hold.
pub fn authority(data: &[u8]) {
    let Ok(raw) = std::str::from_utf8(data) else { return };
    let Ok(authority) = Authority::new(raw) else { return };
    let (text, host) = (authority.as_str(), authority.host());
    assert_eq!(Authority::new(text).as_ref(), Ok(&authority), "not idempotent: {raw:?}");
    assert!(raw.eq_ignore_ascii_case(text), "{raw:?}");
    assert!(!host.is_empty() && !text.bytes().any(|b| b.is_ascii_uppercase()), "{raw:?}");
    let bytes = |b: u8| b.is_ascii_alphanumeric() || b"-._[]:".contains(&b);
    assert!(text.bytes().all(bytes), "{raw:?}");
    assert!(host.starts_with('[') || !host.contains(['[', ']']), "{raw:?}");
    let port = text.strip_prefix(host).expect("the text begins with the host");
    let is_port = |port: &str| {
        let digits = port.strip_prefix(':').unwrap_or_default();
        digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse::<u16>().is_ok()
    };
    assert!(port.is_empty() || is_port(port), "{raw:?}");
    assert!(host.starts_with('[') || !host.contains(':'), "{raw:?}");
}

/// All escapes decoded.
fn decoded(path: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16)).expect("an escape");
        out.push(match byte {
            b'%' => u8::try_from(digit() * 16 + digit()).expect("two digits"),
            byte => byte,
        });
    }
    out
}

/// Dot segments and empty segments taken out, in the plainest way.
fn resolved(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut ends_in_slash = true;
    for segment in path.split(|b| *b == b'/') {
        ends_in_slash = segment.is_empty() || segment == b"." || segment == b"..";
        if segment == b".." {
            kept.pop();
        } else if !ends_in_slash {
            kept.push(segment);
        }
    }
    let mut out = b"/".to_vec();
    out.extend(kept.join(b"/".as_slice()));
    if ends_in_slash && out.len() > 1 {
        out.push(b'/');
    }
    out
}
