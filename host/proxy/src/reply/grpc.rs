//! Answers of the gateway to a client that speaks gRPC.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header, request::Parts,
};

use super::{Reply, Source};

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Whether a request is a call of gRPC: those are `POST` over HTTP/2 with a content type of their own.
pub(crate) fn is_call(parts: &Parts) -> bool {
    parts.version == Version::HTTP_2
        && parts.method == Method::POST
        && parts.headers.get(header::CONTENT_TYPE).is_some_and(is_grpc)
}

/// `application/grpc` and its kin, such as `application/grpc+proto`, but not `application/grpc-web`.
fn is_grpc(content_type: &HeaderValue) -> bool {
    let value = content_type.as_bytes();
    let (kind, rest) = value.split_at(value.len().min(GRPC.len()));
    kind.eq_ignore_ascii_case(GRPC.as_bytes()) && matches!(rest, [] | [b'+' | b';' | b' ', ..])
}

/// An answer of the gateway in the words of gRPC: 200 and trailers alone, which a client takes for the status of the call.
/// What speaks gRPC already, or is no error, stays as it is.
pub(super) fn translated(reply: Reply) -> Reply {
    let speaks = reply.head.fields.get(header::CONTENT_TYPE).is_some_and(is_grpc);
    if speaks || reply.head.status.as_u16() < 400 {
        return reply;
    }
    let status = reply.head.status;
    let mut reply = Reply { source: Source::Empty, ..reply };
    reply.head.status = StatusCode::OK;
    write(&mut reply.head.fields, status);
    reply
}

fn write(fields: &mut HeaderMap, status: StatusCode) {
    fields.remove(header::CONTENT_LENGTH);
    fields.insert(header::CONTENT_TYPE, GRPC);
    fields.insert(GRPC_STATUS, HeaderValue::from(code(status)));
    // Names of statuses have nothing in them that would have to be escaped.
    let message = HeaderValue::from_static(status.canonical_reason().unwrap_or("Error"));
    fields.insert(GRPC_MESSAGE, message);
}

/// The status of a call for one of HTTP: the mapping of gRPC's documents, except that 413 and 429, which are the gateway's
/// own limits here, say so.
fn code(status: StatusCode) -> u16 {
    match status.as_u16() {
        400 => 13,       // INTERNAL
        401 => 16,       // UNAUTHENTICATED
        403 => 7,        // PERMISSION_DENIED
        404 => 12,       // UNIMPLEMENTED
        413 | 429 => 8,  // RESOURCE_EXHAUSTED
        502..=504 => 14, // UNAVAILABLE
        _ => 2,          // UNKNOWN
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use edgewit_chain::ResponseHead;

    use super::*;

    #[test]
    fn content_types_of_grpc_are_known() {
        let check = |value: &'static str, expected| {
            assert_eq!(is_grpc(&HeaderValue::from_static(value)), expected, "{value}");
        };
        check("application/grpc", true);
        check("application/grpc+proto", true);
        check("Application/GRPC; charset=a", true);
        check("application/grpc-web", false);
        check("application/grp", false);
        check("", false);
    }

    #[test]
    fn errors_become_the_status_of_a_call() {
        let check = |status: u16, expected: Option<&str>| {
            let head = ResponseHead {
                status: StatusCode::from_u16(status).unwrap(),
                fields: HeaderMap::new(),
            };
            let reply = translated(Reply::full(head, Bytes::from_static(b"body")));
            let code = reply.head.fields.get("grpc-status").map(|v| v.to_str().unwrap());
            assert_eq!(code, expected, "{status}");
            assert_eq!(matches!(reply.source, Source::Empty), expected.is_some());
            if expected.is_some() {
                assert_eq!(reply.head.status, StatusCode::OK);
            }
        };
        check(400, Some("13"));
        check(401, Some("16"));
        check(403, Some("7"));
        check(404, Some("12"));
        check(413, Some("8"));
        check(429, Some("8"));
        check(502, Some("14"));
        check(503, Some("14"));
        check(504, Some("14"));
        check(508, Some("2"));
        check(200, None);
        check(302, None);
    }
}
