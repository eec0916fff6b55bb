//! What went wrong with a request on a connection.

use std::error::Error;

use http::Request;
use hyper::client::conn::TrySendError;

use super::{Failure, Processed, ProtocolError, SendError, spare::Spare};
use crate::{
    body::{OutBody, Watch},
    pool::Lease,
    wire::Gauge,
};

/// What went wrong with a request on a connection.
pub(super) struct Failed {
    error: SendError,
    /// The connection ended without a byte of an answer.
    silent: bool,
}

impl Failed {
    pub(super) fn new(
        failed: TrySendError<Request<OutBody>>,
        lease: &Lease,
        upload: Option<&Watch>,
    ) -> Self {
        Self::on(failed, lease.gauge(), upload)
    }

    /// `gauge`: what is known about the request, if it had the connection for itself.
    pub(super) fn on(
        mut failed: TrySendError<Request<OutBody>>,
        gauge: Option<&Gauge>,
        upload: Option<&Watch>,
    ) -> Self {
        let unsent = failed.take_message();
        let error = failed.into_error();
        let silent = gauge.is_none_or(|gauge| !gauge.has_read());
        let (kind, processed) = match unsent {
            Some(_) => (Failure::Reset, Processed::No),
            None => kind_of(&error, gauge),
        };
        let mut error = match upload.and_then(Watch::error) {
            Some(body) => SendError::new(Failure::Request, processed, body),
            None if gauge.is_some_and(Gauge::is_flooded) => ProtocolError::Flood.into(),
            None => SendError::new(kind, processed, error),
        };
        error.unsent = unsent.map(Box::new);
        Self { silent: silent && error.kind == Failure::Reset, error }
    }

    /// The request to send on another connection: always if the upstream says that it did nothing, else only if this one may
    /// have been closed before the request came, and twice does no harm (`repeatable`).
    pub(super) fn resend(
        self,
        spare: Option<Spare>,
        repeatable: bool,
    ) -> Result<(Request<OutBody>, Processed), SendError> {
        let Self { mut error, silent } = self;
        if let Some(unsent) = error.unsent.take() {
            return Ok((*unsent, Processed::No));
        }
        let unprocessed = error.processed == Processed::No && error.kind == Failure::Reset;
        let spare = spare.filter(|_| unprocessed || (silent && repeatable));
        match spare.and_then(Spare::into_request) {
            Some(again) => Ok((again, error.processed)),
            None => Err(error),
        }
    }

    pub(super) fn into_error(self) -> SendError {
        self.error
    }
}

fn kind_of(error: &hyper::Error, gauge: Option<&Gauge>) -> (Failure, Processed) {
    if let Some(error) = error.source().and_then(|e| e.downcast_ref::<h2::Error>()) {
        return kind_of_http2(error);
    }
    let untouched = gauge.is_some_and(|gauge| !gauge.has_written());
    let processed = if untouched { Processed::No } else { Processed::Maybe };
    match error {
        // The body was shorter than its exact `size_hint`.
        e if e.is_body_write_aborted() => (Failure::Request, processed),
        e if e.is_parse() => (Failure::Protocol, Processed::Maybe),
        _ => (Failure::Reset, processed),
    }
}

/// A refused stream was not processed (RFC 9113 8.7), nor was one above the last id of a `GOAWAY` (6.8): h2 ends only
/// those with the upstream's `GOAWAY`.
fn kind_of_http2(error: &h2::Error) -> (Failure, Processed) {
    let refused = error.is_remote() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
    if refused || (error.is_remote() && error.is_go_away()) {
        (Failure::Reset, Processed::No)
    } else if error.is_library() {
        (Failure::Protocol, Processed::Maybe)
    } else {
        (Failure::Reset, Processed::Maybe)
    }
}
