//! Trailer fields, and which of them may pass, in both directions.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, header};
use http_body::Frame;

/// Trailer fields at most; more end the message as broken.
pub const MAX_TRAILERS: usize = 32;

/// Fields that frame, route, authenticate or modify a message, or say for whom it is: never taken from trailers (RFC 9110
/// 6.5.1).
const FORBIDDEN: &[HeaderName] = &[
    header::AGE,
    header::AUTHORIZATION,
    header::CACHE_CONTROL,
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::COOKIE,
    header::DATE,
    header::EXPECT,
    header::EXPIRES,
    header::FORWARDED,
    header::HOST,
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::IF_UNMODIFIED_SINCE,
    header::LOCATION,
    header::MAX_FORWARDS,
    header::PRAGMA,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::RANGE,
    header::RETRY_AFTER,
    header::SET_COOKIE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::VARY,
    header::VIA,
    header::WARNING,
    header::WWW_AUTHENTICATE,
];

/// The same for names that are in no registry.
const FORBIDDEN_TOO: [&str; 4] = ["keep-alive", "proxy-connection", "x-real-ip", "x-request-id"];

/// Names with this begin say who forwarded a message.
const FORWARDED: &str = "x-forwarded-";

/// There are more trailer fields than pass.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` trailer fields, more than {MAX_TRAILERS}")]
pub struct TooManyTrailers(pub usize);

/// Whether a field of this name may stand in trailers.
pub fn may_trail(name: &HeaderName) -> bool {
    let text = name.as_str();
    !FORBIDDEN.contains(name) && !FORBIDDEN_TOO.contains(&text) && !text.starts_with(FORWARDED)
}

/// Trailers without the fields that may not stand there.
pub fn checked_trailers(fields: HeaderMap) -> Result<HeaderMap, TooManyTrailers> {
    if fields.len() > MAX_TRAILERS {
        return Err(TooManyTrailers(fields.len()));
    }
    if fields.keys().all(may_trail) {
        return Ok(fields);
    }
    let mut kept = HeaderMap::with_capacity(fields.len());
    for name in fields.keys().filter(|name| may_trail(name)) {
        for value in fields.get_all(name) {
            kept.append(name, value.clone());
        }
    }
    Ok(kept)
}

/// Data as it is; trailers without the fields that may not stand there, `None` if nothing is left.
pub(super) fn checked(frame: Frame<Bytes>) -> Result<Option<Frame<Bytes>>, TooManyTrailers> {
    match frame.into_trailers() {
        Err(data) => Ok(Some(data)),
        Ok(fields) => {
            let fields = checked_trailers(fields)?;
            Ok((!fields.is_empty()).then(|| Frame::trailers(fields)))
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn trailers(names: &[&str]) -> Frame<Bytes> {
        let mut fields = HeaderMap::new();
        for name in names {
            fields.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_static("x"),
            );
        }
        Frame::trailers(fields)
    }

    #[test]
    fn trailers_never_frame_or_authenticate() {
        let frame = checked(trailers(&[
            "set-cookie",
            "grpc-status",
            "content-length",
            "authorization",
            "x-forwarded-for",
        ]));
        let fields = frame.unwrap().unwrap().into_trailers().unwrap();
        assert_eq!(fields.keys().collect::<Vec<_>>(), ["grpc-status"]);
        assert!(checked(trailers(&["set-cookie"])).unwrap().is_none());
    }

    #[test]
    fn more_trailers_than_the_limit_break_the_response() {
        assert!(checked(trailers(&["a"; MAX_TRAILERS])).is_ok());
        let error = checked(trailers(&["a"; MAX_TRAILERS + 1])).unwrap_err();
        assert_eq!(error, TooManyTrailers(MAX_TRAILERS + 1));
    }

    #[test]
    fn data_passes_as_it_is() {
        let frame = checked(Frame::data(Bytes::from_static(b"abc"))).unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "abc");
    }
}
