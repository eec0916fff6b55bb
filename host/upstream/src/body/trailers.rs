//! Trailer fields of a response, and which of them may pass.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, header};
use http_body::Frame;

/// Fields at most; more end the response as broken.
const MAX_FIELDS: usize = 32;

/// Fields that frame, route, authenticate or modify a message: never taken from trailers (RFC 9110 6.5.1).
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
    header::HOST,
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
    header::WARNING,
    header::WWW_AUTHENTICATE,
];

/// The upstream sent more trailer fields than pass.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` trailer fields, more than {MAX_FIELDS}")]
pub(super) struct TooManyTrailers(usize);

/// Data as it is; trailers without the fields that may not stand there, `None` if nothing is left.
pub(super) fn checked(frame: Frame<Bytes>) -> Result<Option<Frame<Bytes>>, TooManyTrailers> {
    let mut fields = match frame.into_trailers() {
        Err(data) => return Ok(Some(data)),
        Ok(fields) => fields,
    };
    if fields.len() > MAX_FIELDS {
        return Err(TooManyTrailers(fields.len()));
    }
    strip(&mut fields);
    Ok((!fields.is_empty()).then(|| Frame::trailers(fields)))
}

fn strip(fields: &mut HeaderMap) {
    for name in FORBIDDEN {
        fields.remove(name);
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
        let frame =
            checked(trailers(&["set-cookie", "grpc-status", "content-length", "authorization"]));
        let fields = frame.unwrap().unwrap().into_trailers().unwrap();
        assert_eq!(fields.keys().collect::<Vec<_>>(), ["grpc-status"]);
        assert!(checked(trailers(&["set-cookie"])).unwrap().is_none());
    }

    #[test]
    fn more_trailers_than_the_limit_break_the_response() {
        assert!(checked(trailers(&["a"; MAX_FIELDS])).is_ok());
        let error = checked(trailers(&["a"; MAX_FIELDS + 1])).unwrap_err();
        assert_eq!(error, TooManyTrailers(MAX_FIELDS + 1));
    }

    #[test]
    fn data_passes_as_it_is() {
        let frame = checked(Frame::data(Bytes::from_static(b"abc"))).unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "abc");
    }
}
