//! Why a connection's bytes are refused before they are a request.

use http::StatusCode;

/// Why the front door refuses bytes that are not, or not yet, a request. A closed set: each is a value of the label `reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The request line is not `method SP target SP version`, or too many empty lines stand before it.
    RequestLine,
    /// The request line is longer than a head may be, or the target than any server takes.
    TargetTooLong,
    /// A version other than HTTP/1.0 and HTTP/1.1.
    Version,
    /// A field line that servers read differently: bare CR or LF, fold, space before the colon, control bytes.
    Field,
    /// The head has more bytes than allowed.
    HeadTooLarge,
    /// The head has more fields than allowed.
    TooManyFields,
    /// `content-length` and `transfer-encoding` leave room for two readings.
    Framing,
    /// The framing of a body; the request itself was let in and gets its own answer.
    BodyFraming,
    /// hyper refused what our own check let through.
    Parser,
    /// More HTTP/2 control frames than an honest client needs.
    ControlFrames,
    /// An HTTP/2 stream was reset by us for an error of the client.
    Stream,
    /// An HTTP/2 connection was ended by us for an error of the client.
    Protocol,
}

impl Refusal {
    /// The label `reason`, and `error.type` of the access log.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Refusal::RequestLine => "request-line",
            Refusal::TargetTooLong => "target-too-long",
            Refusal::Version => "version",
            Refusal::Field => "field",
            Refusal::HeadTooLarge => "head-too-large",
            Refusal::TooManyFields => "too-many-fields",
            Refusal::Framing => "framing",
            Refusal::BodyFraming => "body-framing",
            Refusal::Parser => "parser",
            Refusal::ControlFrames => "control-frames",
            Refusal::Stream => "stream",
            Refusal::Protocol => "protocol",
        }
    }

    /// The status of the answer (RFC 9110 15.5, RFC 6585 5).
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Refusal::TargetTooLong => StatusCode::URI_TOO_LONG,
            Refusal::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Refusal::HeadTooLarge | Refusal::TooManyFields => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            _ => StatusCode::BAD_REQUEST,
        }
    }
}
