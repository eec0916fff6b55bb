//! What the gateway says about an answer of its own (RFC 9209).

use edgewit_upstream::Reason;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// Why the gateway answered by itself: registered error types (RFC 9209 2.3). They name no host, address or file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProxyError {
    DnsError,
    DestinationNotFound,
    DestinationUnavailable,
    ConnectionRefused,
    ConnectionTerminated,
    ConnectionTimeout,
    ConnectionLimit,
    TlsProtocol,
    TlsCertificate,
    TlsAlert,
    RequestError,
    RequestDenied,
    ResponseIncomplete,
    HeaderSection,
    BodySize,
    TransferCoding,
    ResponseTimeout,
    UpgradeFailed,
    Protocol,
    Internal,
    Loop,
}

impl ProxyError {
    /// The whole field.
    fn value(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::DnsError => "edgewit; error=dns_error",
            Self::DestinationNotFound => "edgewit; error=destination_not_found",
            Self::DestinationUnavailable => "edgewit; error=destination_unavailable",
            Self::ConnectionRefused => "edgewit; error=connection_refused",
            Self::ConnectionTerminated => "edgewit; error=connection_terminated",
            Self::ConnectionTimeout => "edgewit; error=connection_timeout",
            Self::ConnectionLimit => "edgewit; error=connection_limit_reached",
            Self::TlsProtocol => "edgewit; error=tls_protocol_error",
            Self::TlsCertificate => "edgewit; error=tls_certificate_error",
            Self::TlsAlert => "edgewit; error=tls_alert_received",
            Self::RequestError => "edgewit; error=http_request_error",
            Self::RequestDenied => "edgewit; error=http_request_denied",
            Self::ResponseIncomplete => "edgewit; error=http_response_incomplete",
            Self::HeaderSection => "edgewit; error=http_response_header_section_size",
            Self::BodySize => "edgewit; error=http_response_body_size",
            Self::TransferCoding => "edgewit; error=http_response_transfer_coding",
            Self::ResponseTimeout => "edgewit; error=http_response_timeout",
            Self::UpgradeFailed => "edgewit; error=http_upgrade_failed",
            Self::Protocol => "edgewit; error=http_protocol_error",
            Self::Internal => "edgewit; error=proxy_internal_error",
            Self::Loop => "edgewit; error=proxy_loop_detected",
        })
    }
}

impl From<Reason> for ProxyError {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Dns => Self::DnsError,
            Reason::ConnectionRefused => Self::ConnectionRefused,
            Reason::ConnectionTimeout => Self::ConnectionTimeout,
            Reason::Unavailable => Self::DestinationUnavailable,
            Reason::TlsCertificate => Self::TlsCertificate,
            Reason::TlsAlert => Self::TlsAlert,
            Reason::TlsProtocol => Self::TlsProtocol,
            Reason::ConnectionTerminated => Self::ConnectionTerminated,
            Reason::ResponseTimeout => Self::ResponseTimeout,
            Reason::HeaderSection => Self::HeaderSection,
            Reason::TransferCoding => Self::TransferCoding,
            Reason::UpgradeFailed => Self::UpgradeFailed,
            Reason::Protocol => Self::Protocol,
            Reason::ConnectionLimit => Self::ConnectionLimit,
            Reason::Request => Self::RequestError,
        }
    }
}

/// Says why. `word`: that of the [`Problem`](crate::problem::Problem); `blamed`: what went wrong with the upstream, if it
/// was asked.
pub(crate) fn write(
    fields: &mut HeaderMap,
    word: &str,
    status: StatusCode,
    blamed: Option<ProxyError>,
) {
    if let Some(error) = of_problem(word, status, blamed) {
        fields.insert(PROXY_STATUS, error.value());
    }
}

fn of_problem(word: &str, status: StatusCode, blamed: Option<ProxyError>) -> Option<ProxyError> {
    Some(match word {
        "no-route" => ProxyError::DestinationNotFound,
        "loop" => ProxyError::Loop,
        "filter-failed" | "filter-cut" => ProxyError::Internal,
        "response-too-large" => ProxyError::BodySize,
        _ => match status.as_u16() {
            502..=504 => blamed.unwrap_or(match status {
                StatusCode::GATEWAY_TIMEOUT => ProxyError::ResponseTimeout,
                StatusCode::SERVICE_UNAVAILABLE => ProxyError::DestinationUnavailable,
                _ => ProxyError::Protocol,
            }),
            429 => ProxyError::ConnectionLimit,
            403 | 405 | 421 => ProxyError::RequestDenied,
            400..=499 => ProxyError::RequestError,
            500..=599 => ProxyError::Internal,
            _ => return None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_of_the_host_says_why() {
        let check = |word, status, blamed, expected: Option<&str>| {
            let mut fields = HeaderMap::new();
            write(&mut fields, word, StatusCode::from_u16(status).unwrap(), blamed);
            let value = fields.get("proxy-status").map(|v| v.to_str().unwrap());
            assert_eq!(value, expected, "{word} {status} {blamed:?}");
        };
        let refused = Some(ProxyError::ConnectionRefused);
        check("upstream", 502, refused, Some("edgewit; error=connection_refused"));
        check("upstream", 502, None, Some("edgewit; error=http_protocol_error"));
        check("upstream-timeout", 504, None, Some("edgewit; error=http_response_timeout"));
        let unavailable = Some("edgewit; error=destination_unavailable");
        check("upstream-unavailable", 503, None, unavailable);
        check("filter-failed", 503, refused, Some("edgewit; error=proxy_internal_error"));
        check("no-route", 404, None, Some("edgewit; error=destination_not_found"));
        check("loop", 508, None, Some("edgewit; error=proxy_loop_detected"));
        check("bad-request", 400, refused, Some("edgewit; error=http_request_error"));
        check("no-method", 405, None, Some("edgewit; error=http_request_denied"));
        check("anything", 200, None, None);
    }
}
