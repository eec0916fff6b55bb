//! The one form of a path that is routed, authorised and sent.

use std::fmt;

/// A path in normal form, beginning with `/`, without query (RFC 3986 6.2.2).
///
/// Two paths that an upstream could read as the same are equal here: escapes of unreserved characters are decoded,
/// other escapes are in upper case, dot segments are resolved, runs of slashes are one. What different servers are known
/// to read differently is refused: encoded slashes, backslashes, NUL and other controls, `..;`, bytes that are no UTF-8.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct NormalizedPath(Box<str>);

/// Why a path has no normal form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It does not begin with a slash.
    #[error("the path does not begin with `/`")]
    NoSlash,
    /// A `%` without two hexadecimal digits behind it.
    #[error("the path has an incomplete percent escape")]
    BadEscape,
    /// A byte that has no place in a path, plain or escaped: controls, `\`, `#`, `?`, an escaped slash.
    #[error("the path contains a character that is not allowed")]
    Forbidden,
    /// Escapes that do not decode to UTF-8.
    #[error("the path is not UTF-8")]
    NotUtf8,
}

impl NormalizedPath {
    /// Normalises a path as it came in a request line.
    pub fn new(raw: &str) -> Result<Self, PathError> {
        if is_plain(raw.as_bytes()) {
            return Ok(Self(raw.into()));
        }
        if !raw.starts_with('/') {
            return Err(PathError::NoSlash);
        }
        let decoded = decode_unreserved(raw.as_bytes())?;
        resolve_segments(&decoded).map(|path| Self(path.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Bytes that stay what they are wherever they stand in a path, as long as no segment is empty or begins with a dot.
const STAYS: [bool; 256] = {
    let mut stays = [false; 256];
    let mut byte = 0x21;
    while byte < 0x7f {
        stays[byte as usize] = !matches!(byte, b'%' | b'\\' | b'#' | b'?');
        byte += 1;
    }
    stays
};

/// The common case: nothing to do, seen in one pass without an allocation beyond the result's.
fn is_plain(raw: &[u8]) -> bool {
    let mut before = 0;
    raw.first() == Some(&b'/')
        && raw.iter().all(|byte| {
            let begins = std::mem::replace(&mut before, *byte) == b'/';
            STAYS[usize::from(*byte)] && !(begins && matches!(byte, b'/' | b'.'))
        })
}

fn decode_unreserved(raw: &[u8]) -> Result<String, PathError> {
    let mut out = String::with_capacity(raw.len());
    let mut escaped = Vec::new(); // a run of escaped bytes beyond ASCII, to be checked as UTF-8
    let mut rest = raw.iter().copied();
    while let Some(byte) = rest.next() {
        let value = if byte == b'%' { Some(escape(&mut rest)?) } else { None };
        match value {
            Some(v) if v >= 0x80 => {
                escaped.push(v);
                continue;
            }
            _ => flush(&mut escaped, &mut out)?,
        }
        match (byte, value) {
            (_, Some(b'/' | b'\\' | 0..=0x1f | 0x7f)) => return Err(PathError::Forbidden),
            (_, Some(v)) if is_unreserved(v) => out.push(char::from(v)),
            (_, Some(v)) => push_escape(v, &mut out),
            (b'\\' | b'#' | b'?' | 0..=0x20 | 0x7f.., None) => return Err(PathError::Forbidden),
            (b, None) => out.push(char::from(b)),
        }
    }
    flush(&mut escaped, &mut out)?;
    Ok(out)
}

fn escape(rest: &mut impl Iterator<Item = u8>) -> Result<u8, PathError> {
    let mut digit = || {
        let byte = rest.next().ok_or(PathError::BadEscape)?;
        char::from(byte).to_digit(16).ok_or(PathError::BadEscape)
    };
    let value = digit()? * 16 + digit()?;
    u8::try_from(value).map_err(|_| PathError::BadEscape)
}

fn flush(escaped: &mut Vec<u8>, out: &mut String) -> Result<(), PathError> {
    std::str::from_utf8(escaped).map_err(|_| PathError::NotUtf8)?;
    for byte in escaped.drain(..) {
        push_escape(byte, out);
    }
    Ok(())
}

fn push_escape(byte: u8, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    out.push(char::from(HEX[usize::from(byte >> 4)]));
    out.push(char::from(HEX[usize::from(byte & 15)]));
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

fn resolve_segments(path: &str) -> Result<String, PathError> {
    let mut kept: Vec<&str> = Vec::new();
    let mut directory = true; // does the result end in a slash?
    for segment in path.split('/').skip(1) {
        directory = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            s if s.starts_with("..;") || s.starts_with(".;") => return Err(PathError::Forbidden),
            s => kept.push(s),
        }
    }
    let mut out = String::with_capacity(path.len());
    for segment in &kept {
        out.push('/');
        out.push_str(segment);
    }
    if directory {
        out.push('/');
    }
    Ok(out)
}

impl fmt::Display for NormalizedPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NormalizedPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_path_become_one_form() {
        let cases = [
            ("/", "/"),
            ("/orders/1", "/orders/1"),
            ("/ad%6din", "/admin"),
            ("//admin", "/admin"),
            ("/./admin", "/admin"),
            ("/x/../admin", "/admin"),
            ("/x/%2e%2e/admin", "/admin"),
            ("/x/%2E./admin", "/admin"),
            ("/../../admin", "/admin"),
            ("/a/..", "/"),
            ("/a/b/.", "/a/b/"),
            ("/a//", "/a/"),
            ("/a.b/.c", "/a.b/.c"),
            ("/%7euser", "/~user"),
            ("/%3a%2c", "/%3A%2C"),
            ("/x/%252e%252e/admin", "/x/%252e%252e/admin"),
            ("/gr%c3%bcn", "/gr%C3%BCn"),
            ("/a;v=1", "/a;v=1"),
        ];
        for (raw, expected) in cases {
            let path = NormalizedPath::new(raw).unwrap_or_else(|e| panic!("{raw}: {e}"));
            assert_eq!(path.as_str(), expected, "{raw}");
            let again = NormalizedPath::new(path.as_str()).expect("a normal form is valid");
            assert_eq!(again, path, "normalising twice changes nothing: {raw}");
        }
    }

    #[test]
    fn the_short_way_says_what_the_long_way_says() {
        let ascii = || (0..=0x7f_u8).map(char::from);
        let pairs = ascii().flat_map(|a| ascii().map(move |b| (a, b)));
        for raw in pairs.flat_map(|(a, b)| [format!("/{a}{b}"), format!("/x{a}y{b}/{b}{a}z")]) {
            let long = decode_unreserved(raw.as_bytes()).and_then(|path| resolve_segments(&path));
            let long = long.map(|path| NormalizedPath(path.into()));
            assert_eq!(NormalizedPath::new(&raw), long, "{raw:?}");
        }
    }

    #[test]
    fn what_servers_read_differently_is_refused() {
        let cases = [
            ("", PathError::NoSlash),
            ("admin", PathError::NoSlash),
            ("*", PathError::NoSlash),
            ("/x/..%2fadmin", PathError::Forbidden),
            ("/%2fadmin", PathError::Forbidden),
            ("/x/..;/admin", PathError::Forbidden),
            ("/x/.;a/admin", PathError::Forbidden),
            ("/x\\..\\admin", PathError::Forbidden),
            ("/x/..%5cadmin", PathError::Forbidden),
            ("/admin%00", PathError::Forbidden),
            ("/admin%0d%0a", PathError::Forbidden),
            ("/%c0%ae%c0%ae/admin", PathError::NotUtf8),
            ("/%c3a%bc", PathError::NotUtf8),
            ("/%", PathError::BadEscape),
            ("/%zz", PathError::BadEscape),
            ("/%4", PathError::BadEscape),
            ("/x#/../admin", PathError::Forbidden),
            ("/a b", PathError::Forbidden),
            ("/a\u{7f}", PathError::Forbidden),
            ("/gr\u{fc}n", PathError::Forbidden),
        ];
        for (raw, expected) in cases {
            assert_eq!(NormalizedPath::new(raw), Err(expected), "{raw}");
        }
    }
}
