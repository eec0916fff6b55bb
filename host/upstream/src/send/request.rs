//! The head of a request in the form of its connection.

use http::{
    HeaderValue, Method, Request, Uri, Version,
    header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING},
    uri::{Authority, PathAndQuery, Scheme},
};
use http_body::Body;

use super::{Failure, Processed, SendError};
use crate::{body::OutBody, upstream::Endpoint};

/// Whether the caller says for which host the request is.
pub(super) fn has_host(request: &Request<OutBody>) -> bool {
    request.headers().contains_key(HOST) || request.uri().authority().is_some()
}

/// Takes the host out of a request again.
pub(super) fn forget_host(request: &mut Request<OutBody>) {
    request.headers_mut().remove(HOST);
    if request.uri().authority().is_some() {
        *request.uri_mut() = Uri::from(path(request.uri()));
    }
}

/// Puts the head of a request into the form of its connection: target, host, version, framing. What was prepared for one
/// protocol can be prepared for the other.
pub(super) fn prepare(
    request: &mut Request<OutBody>,
    endpoint: &Endpoint,
    http2: bool,
) -> Result<(), SendError> {
    if http2 {
        name_in_target(request, endpoint)?
    } else {
        name_in_field(request, endpoint)?
    }
    frame(request, http2);
    Ok(())
}

/// HTTP/1.1: origin form and a `host` field (RFC 9112 3.2.1). `*` stays what it is.
fn name_in_field(request: &mut Request<OutBody>, endpoint: &Endpoint) -> Result<(), SendError> {
    *request.version_mut() = Version::HTTP_11;
    if !request.headers().contains_key(HOST) {
        let host = match request.uri().authority() {
            Some(authority) => HeaderValue::from_str(authority.as_str()).map_err(wrong)?,
            None => endpoint.host_field().clone(),
        };
        request.headers_mut().insert(HOST, host);
    }
    if request.uri().scheme().is_some() || request.uri().authority().is_some() {
        *request.uri_mut() = Uri::from(path(request.uri()));
    }
    Ok(())
}

/// HTTP/2: the host stands in `:authority` alone (RFC 9113 8.3.1).
fn name_in_target(request: &mut Request<OutBody>, endpoint: &Endpoint) -> Result<(), SendError> {
    *request.version_mut() = Version::HTTP_2;
    let authority = match request.headers_mut().remove(HOST) {
        Some(host) => Authority::try_from(host.as_bytes()).map_err(wrong)?,
        None => request.uri().authority().unwrap_or(endpoint.authority()).clone(),
    };
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(if endpoint.is_tls() { Scheme::HTTPS } else { Scheme::HTTP });
    parts.authority = Some(authority);
    parts.path_and_query = Some(path(request.uri()));
    *request.uri_mut() = Uri::from_parts(parts).map_err(wrong)?;
    Ok(())
}

fn path(uri: &Uri) -> PathAndQuery {
    uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"))
}

/// Framing as the body has it, whatever the fields said before (RFC 9112 6.3).
fn frame(request: &mut Request<OutBody>, http2: bool) {
    let length = match request.body() {
        body if body.is_end_stream() => Some(0),
        body => body.size_hint().exact(),
    };
    let expects_body = matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH);
    let fields = request.headers_mut();
    fields.remove(TRANSFER_ENCODING);
    fields.remove(CONTENT_LENGTH);
    match length {
        Some(0) if !expects_body => {}
        Some(length) => {
            fields.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        // Left to itself, hyper sends a `GET` of unknown length without its body.
        None if !http2 => {
            fields.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        None => {}
    }
}

fn wrong(error: impl Into<http::Error>) -> SendError {
    SendError::new(Failure::Request, Processed::No, error.into())
}
