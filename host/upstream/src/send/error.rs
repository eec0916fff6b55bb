//! Why an attempt brought no response.

use std::{error::Error, fmt};

use http::Request;

use super::ProtocolError;
use crate::{
    body::{BodyError, OutBody},
    connect::ConnectError,
};

/// Why an attempt brought no response.
///
/// The upstream's fault, except for [`Failure::Request`]. The client may see that there was no good answer (502, 504 if
/// [`SendError::is_timeout`], 503 for [`Failure::Unavailable`] and [`Failure::Overloaded`]), never the text.
#[derive(Debug)]
pub struct SendError {
    /// What happened.
    pub kind: Failure,
    /// Whether the upstream may have processed the request.
    pub processed: Processed,
    /// The request itself, body and all, if nothing of it was sent: another attempt can take it as it is.
    pub unsent: Option<Box<Request<OutBody>>>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What happened to an attempt. The first five are the cases of `failure` in the contract's `retry`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// No connection: nothing was sent.
    Connect,
    /// The connection broke, or the stream was reset, before a response head came.
    Reset,
    /// The time of this attempt was over.
    Timeout,
    /// The upstream sent something that is no acceptable HTTP.
    Protocol,
    /// No endpoint was available; nothing was sent.
    Unavailable,
    /// The request itself broke off, or cannot be sent: not the upstream's fault. See [`SendError::body_error`].
    Request,
    /// The circuit has no room for it, or no connection; nothing was sent.
    Overloaded,
}

/// Whether an upstream may have processed a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Processed {
    /// Certainly not: it may be sent again whatever its method.
    No,
    /// It may have been.
    Maybe,
}

impl SendError {
    pub(super) fn new(
        kind: Failure,
        processed: Processed,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self { kind, processed, unsent: None, source: Some(source.into()) }
    }

    pub(super) fn connect(error: ConnectError, unsent: Request<OutBody>) -> Self {
        let full = matches!(error, ConnectError::Limit);
        let kind = if full { Failure::Overloaded } else { Failure::Connect };
        let error = Self::new(kind, Processed::No, error);
        Self { unsent: Some(Box::new(unsent)), ..error }
    }

    pub(super) fn unavailable(unsent: Request<OutBody>) -> Self {
        Self {
            kind: Failure::Unavailable,
            processed: Processed::No,
            unsent: Some(Box::new(unsent)),
            source: None,
        }
    }

    pub(super) fn overloaded(unsent: Request<OutBody>) -> Self {
        Self { kind: Failure::Overloaded, ..Self::unavailable(unsent) }
    }

    pub(super) fn timeout(processed: Processed) -> Self {
        Self { kind: Failure::Timeout, processed, unsent: None, source: None }
    }

    /// The same error after an earlier try that ended like this.
    pub(super) fn after(self, earlier: Processed) -> Self {
        Self { processed: self.processed.max(earlier), ..self }
    }

    /// Whether time was the reason, also that for a connection: 504 rather than 502.
    pub fn is_timeout(&self) -> bool {
        let connect = self.source.as_ref().and_then(|e| e.downcast_ref::<ConnectError>());
        self.kind == Failure::Timeout || matches!(connect, Some(ConnectError::Timeout(_)))
    }

    /// Why the body of the request broke off, and whose fault that was.
    pub fn body_error(&self) -> Option<&BodyError> {
        self.source.as_ref()?.downcast_ref()
    }
}

impl From<ProtocolError> for SendError {
    fn from(error: ProtocolError) -> Self {
        Self::new(Failure::Protocol, Processed::Maybe, error)
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Failure::Connect => "no connection to the upstream",
            Failure::Reset => "the connection to the upstream broke before a response came",
            Failure::Timeout => "no response from the upstream in time",
            Failure::Protocol => "the upstream sent no acceptable response",
            Failure::Unavailable => "the upstream has no available endpoint",
            Failure::Request => "the request could not be sent to its end",
            Failure::Overloaded => "the upstream has enough to do",
        })
    }
}

impl Error for SendError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|error| error as &(dyn Error + 'static))
    }
}
