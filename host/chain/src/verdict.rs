//! What filters are told beyond the exchange, and what they decide. The host's side of the records in `wit/`.

use bytes::Bytes;
use http::StatusCode;

use crate::header_out::HeaderOut;

/// One change of the header, not yet checked against the host's rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// Replaces every field of that name.
    Set(String, Vec<u8>),
    /// Adds a field.
    Append(String, Vec<u8>),
    /// Removes every field of that name.
    Remove(String),
}

/// A complete response made by a filter; its fields have passed [`HeaderOut`].
#[derive(Debug, Clone)]
pub struct Answer {
    /// 200 to 599.
    pub status: StatusCode,
    /// Checked fields.
    pub fields: HeaderOut,
    /// May be empty.
    pub body: Bytes,
}

/// `auth.authenticate`.
#[derive(Debug)]
pub enum AuthVerdict {
    /// No objection.
    Allow {
        /// Who it is, if this filter knows.
        subject: Option<String>,
        /// Changes of the request.
        edits: Vec<Edit>,
    },
    /// Final.
    Deny(Answer),
}

/// `routing.route`.
#[derive(Debug)]
pub enum RoutingVerdict {
    /// As the route has it.
    Stay,
    /// Elsewhere.
    Choose {
        /// An upstream of the route's list.
        upstream: Option<String>,
        /// Path with optional query.
        path: Option<String>,
        /// Changes of the request.
        edits: Vec<Edit>,
    },
    /// Answered here.
    Answer(Answer),
}

/// `request.on-request`.
#[derive(Debug)]
pub enum RequestVerdict {
    /// Goes on with these changes.
    Proceed(Vec<Edit>),
    /// Answered here.
    Answer(Answer),
}

/// `request-body.on-request-body` and `response-body.on-response-body`.
#[derive(Debug)]
pub enum BodyVerdict {
    /// The bytes go on as they are.
    Pass,
    /// These go on instead.
    Replace(Bytes),
    /// Answered here.
    Answer(Answer),
    /// Cut.
    Cut,
}

/// `response.on-response`.
#[derive(Debug)]
pub enum ResponseVerdict {
    /// Goes on with these changes.
    Proceed {
        /// Another status.
        status: Option<StatusCode>,
        /// Changes of the response.
        edits: Vec<Edit>,
    },
    /// Replaced.
    Replace(Answer),
}

/// `retry.judge`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryVerdict {
    /// The client gets this result.
    Finish,
    /// A proposal to try again.
    Again {
        /// Pause in milliseconds.
        after_ms: u32,
        /// Avoid endpoints already tried.
        elsewhere: bool,
    },
}

/// What `retry.judge` is told. If the attempt brought a response, its head is in the exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// 1 for the first.
    pub number: u32,
    /// What came of it.
    pub ending: Ending,
    /// Milliseconds since the first attempt began.
    pub elapsed_ms: u32,
    /// Milliseconds until the deadline.
    pub remaining_ms: u32,
}

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// A response; its head is in the exchange.
    Response,
    /// None.
    Failure(Failure),
}

/// Why an attempt brought no response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No connection.
    Connect,
    /// The connection broke before a response head came.
    Reset,
    /// The time of this attempt was over.
    Timeout,
    /// No HTTP came back.
    Protocol,
    /// No endpoint was available.
    Unavailable,
}

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SummaryEnding {
    /// The response went out whole.
    Complete,
    /// The client went away.
    ClientGone,
    /// The upstream cut its response.
    UpstreamCut,
    /// The host or a filter cut the response.
    HostCut,
}

impl SummaryEnding {
    /// Its name in the access log.
    pub fn as_str(self) -> &'static str {
        match self {
            SummaryEnding::Complete => "complete",
            SummaryEnding::ClientGone => "client-gone",
            SummaryEnding::UpstreamCut => "upstream-cut",
            SummaryEnding::HostCut => "host-cut",
        }
    }
}

/// What `telemetry.record` is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Status that the client saw; 0 if no head went out.
    pub status: u16,
    /// How it ended.
    pub ending: SummaryEnding,
    /// Microseconds from the end of the request's head to the end of the response.
    pub duration_us: u64,
    /// Attempts to reach an upstream.
    pub attempts: u32,
    /// Bytes of the request body that were read.
    pub request_bytes: u64,
    /// Bytes of the response body that were sent.
    pub response_bytes: u64,
}

impl Answer {
    /// The head of the response that this answer is.
    pub fn into_head(self) -> crate::ResponseHead {
        crate::ResponseHead { status: self.status, fields: self.fields.into_fields() }
    }
}
