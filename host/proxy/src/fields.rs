//! Fields that belong to one connection.

mod census;

use edgewit_upstream::{MAX_TRAILERS, may_trail};
use http::{HeaderMap, HeaderName, HeaderValue, header};

pub(crate) use census::{Census, Kind};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Fields that describe one connection and never the message (RFC 9110 7.6.1), and those that frame it.
pub(crate) const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::PROXY_AUTHENTICATE,
];

/// Fields that `connection` may not take away: whoever names them wants to hide them from the upstream (THREATS H6).
const NOT_NOMINATED: [HeaderName; 7] = [
    header::AUTHORIZATION,
    header::CACHE_CONTROL,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::COOKIE,
    header::HOST,
    header::TRANSFER_ENCODING,
];

/// `connection` names a field that does not belong to the connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Nominated;

/// Takes out the fields that belong to the connection, with those that `connection` names.
pub(crate) fn strip_hop_by_hop(fields: &mut HeaderMap) -> Result<(), Nominated> {
    strip_counted(fields, Census::of(fields))
}

/// The same if it is known what there is.
pub(crate) fn strip_counted(fields: &mut HeaderMap, census: Census) -> Result<(), Nominated> {
    if !census.has(Kind::HopByHop) {
        return Ok(());
    }
    if fields.contains_key(header::CONNECTION) {
        for name in nominated(fields)? {
            fields.remove(name);
        }
    }
    for (position, name) in HOP_BY_HOP.iter().enumerate() {
        if census.has_hop(position) {
            fields.remove(name);
        }
    }
    Ok(())
}

fn nominated(fields: &HeaderMap) -> Result<Vec<HeaderName>, Nominated> {
    let lines = fields.get_all(header::CONNECTION).iter();
    let tokens = lines.flat_map(|line| line.as_bytes().split(|b| *b == b','));
    let mut named = Vec::new();
    for token in tokens.map(<[u8]>::trim_ascii).filter(|t| !t.is_empty()) {
        let name = HeaderName::from_bytes(token).map_err(|_| Nominated)?;
        if NOT_NOMINATED.contains(&name) {
            return Err(Nominated);
        }
        named.push(name);
    }
    Ok(named)
}

/// Whether a sender of these fields reads trailers (RFC 9110 10.1.4).
pub(crate) fn accepts_trailers(fields: &HeaderMap) -> bool {
    let lines = fields.get_all(header::TE).iter();
    let mut tokens = lines.flat_map(|line| line.as_bytes().split(|b| *b == b','));
    tokens.any(|token| token.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

/// The names in `trailer` that may pass, as one value; needed where trailers must be announced.
pub(crate) fn announced_trailers(fields: &HeaderMap) -> Option<HeaderValue> {
    let lines = fields.get_all(header::TRAILER).iter();
    let tokens = lines.flat_map(|line| line.as_bytes().split(|b| *b == b','));
    let names: Vec<HeaderName> = tokens
        .filter_map(|token| HeaderName::from_bytes(token.trim_ascii()).ok())
        .filter(may_trail)
        .take(MAX_TRAILERS)
        .collect();
    let names: Vec<&str> = names.iter().map(HeaderName::as_str).collect();
    if names.is_empty() { None } else { HeaderValue::from_str(&names.join(", ")).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn what_belongs_to_the_connection_stays_there() {
        let mut fields = map(&[
            ("connection", "close, X-Secret"),
            ("connection", "keep-alive"),
            ("keep-alive", "5"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("x-secret", "1"),
            ("accept", "*/*"),
        ]);
        assert_eq!(strip_hop_by_hop(&mut fields), Ok(()));
        assert_eq!(fields, map(&[("accept", "*/*")]));
    }

    #[test]
    fn the_connection_cannot_take_what_is_not_its_own() {
        for named in ["authorization", "close, Host", "content-length", "a b"] {
            let mut fields = map(&[("accept", "*/*")]);
            fields.insert("connection", HeaderValue::from_static(named));
            assert_eq!(strip_hop_by_hop(&mut fields), Err(Nominated), "{named}");
        }
    }

    #[test]
    fn only_trailers_that_pass_are_announced() {
        let fields = map(&[("trailer", "grpc-status, Host"), ("trailer", "x-sum")]);
        assert_eq!(announced_trailers(&fields).unwrap(), "grpc-status, x-sum");
    }
}
