//! The one place that turns errors into responses.

use edgewit_chain::{Failed, ResponseHead};
use edgewit_upstream::{BodyError, Failure, SendError};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::reply::{Reply, Source};

/// Seconds after which an upstream that has enough to do may be asked again (RFC 9110 10.2.3): the least that can be said,
/// because a burst is over in less.
const RETRY_AFTER: &str = "1";

/// Why a request gets an answer of the host. Clients see the status and its name, never more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Problem {
    /// The request is not one that every server reads alike; the reason is for the log.
    BadRequest(&'static str),
    /// The client stopped sending.
    RequestTimeout,
    /// The body is longer than the route allows.
    ContentTooLarge,
    /// An expectation other than `100-continue`.
    ExpectationFailed,
    /// No route.
    NotFound,
    /// No route for this method; those that there are.
    MethodNotAllowed(HeaderValue),
    /// A filter failed, and its `on-error` rejects.
    FilterFailed,
    /// A filter cut the body of the request.
    FilterCut,
    /// The upstream gave no acceptable response.
    BadGateway,
    /// The upstream gave no response in time.
    GatewayTimeout,
    /// The upstream has no endpoint.
    Unavailable,
    /// A filter wanted more of a response than it may have.
    ResponseTooLarge,
    /// The upstream has enough to do.
    Overloaded,
    /// The request goes round in a circle (RFC 5842 7.2).
    LoopDetected,
    /// The connection was made for another host (RFC 9110 15.5.20).
    Misdirected,
    /// The client has too many requests under way.
    TooManyRequests,
    /// The head has more fields, or more bytes of them, than allowed.
    HeadTooLarge,
}

impl Problem {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Problem::BadRequest(_) | Problem::FilterCut => StatusCode::BAD_REQUEST,
            Problem::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Problem::ContentTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Problem::ExpectationFailed => StatusCode::EXPECTATION_FAILED,
            Problem::NotFound => StatusCode::NOT_FOUND,
            Problem::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Problem::BadGateway | Problem::ResponseTooLarge => StatusCode::BAD_GATEWAY,
            Problem::LoopDetected => StatusCode::LOOP_DETECTED,
            Problem::GatewayTimeout => StatusCode::GATEWAY_TIMEOUT,
            Problem::Unavailable | Problem::FilterFailed | Problem::Overloaded => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Problem::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Problem::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Problem::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        }
    }

    /// A word of a closed set, for metrics and the access log.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Problem::BadRequest(_) => "bad-request",
            Problem::RequestTimeout => "request-timeout",
            Problem::ContentTooLarge => "request-too-large",
            Problem::ExpectationFailed => "expectation",
            Problem::NotFound => "no-route",
            Problem::MethodNotAllowed(_) => "no-method",
            Problem::FilterFailed => "filter-failed",
            Problem::FilterCut => "filter-cut",
            Problem::BadGateway => "upstream",
            Problem::GatewayTimeout => "upstream-timeout",
            Problem::Unavailable => "upstream-unavailable",
            Problem::ResponseTooLarge => "response-too-large",
            Problem::Overloaded => "overloaded",
            Problem::LoopDetected => "loop",
            Problem::Misdirected => "misdirected",
            Problem::TooManyRequests => "too-many-requests",
            Problem::HeadTooLarge => "head-too-large",
        }
    }

    /// Whether the connection cannot be trusted to be in step any more, or holds a body that nobody wants.
    fn closes(&self) -> bool {
        matches!(
            self,
            Problem::BadRequest(_)
                | Problem::RequestTimeout
                | Problem::ContentTooLarge
                | Problem::FilterCut
        )
    }

    /// The answer: RFC 9457 with nothing but the status, its name and the request's id.
    pub(crate) fn into_reply(self, request_id: &str) -> Reply {
        let status = self.status();
        let body = document(status, request_id);
        let mut fields = HeaderMap::with_capacity(8);
        fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        let (error, close) = (Some(self.word()), self.closes());
        match self {
            Problem::MethodNotAllowed(allow) => drop(fields.insert(header::ALLOW, allow)),
            Problem::TooManyRequests | Problem::Overloaded => {
                fields.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
            }
            _ => {}
        }
        let head = ResponseHead { status, fields };
        Reply { head, source: Source::Full(body.into()), error, close, trailers: None }
    }
}

/// What clients are told (RFC 9457).
pub(crate) fn document(status: StatusCode, request_id: &str) -> String {
    let title = status.canonical_reason().unwrap_or("Error");
    format!(
        "{{\"type\":\"about:blank\",\"title\":\"{title}\",\"status\":{},\"instance\":\"{request_id}\"}}\n",
        status.as_u16()
    )
}

impl From<Failed> for Problem {
    fn from(_: Failed) -> Self {
        Problem::FilterFailed // which one and why is in the log
    }
}

impl From<&SendError> for Problem {
    fn from(error: &SendError) -> Self {
        match error.kind {
            _ if error.is_timeout() => Problem::GatewayTimeout,
            Failure::Unavailable => Problem::Unavailable,
            Failure::Overloaded => Problem::Overloaded,
            _ => Problem::BadGateway,
        }
    }
}

impl From<BodyError> for Problem {
    /// A response that broke off before anything of it was sent.
    fn from(_: BodyError) -> Self {
        Problem::BadGateway
    }
}
