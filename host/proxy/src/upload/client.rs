//! A body as the client sends it, within bounds.

use std::{
    cell::Cell,
    error::Error,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use edgewit_upstream::checked_trailers;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::UploadLimits;
use crate::{patience::Patience, problem::Problem};

/// A body as the client sends it: counted, bounded, not waited for forever.
pub(super) struct ClientBody {
    incoming: Incoming,
    left: u64,
    read: Rc<Cell<u64>>,
    patience: Patience,
    failed: bool,
}

/// What a client did wrong with a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ClientFault {
    /// It is longer than allowed.
    #[error("the body is too long")]
    TooLarge,
    /// It came too slowly.
    #[error("the body came too slowly")]
    Slow,
    /// The connection broke.
    #[error("the connection broke in the body")]
    Gone,
    /// It is not what HTTP calls a body.
    #[error("the body is malformed")]
    Malformed,
}

impl From<ClientFault> for Problem {
    fn from(fault: ClientFault) -> Self {
        match fault {
            ClientFault::TooLarge => Problem::ContentTooLarge,
            ClientFault::Slow => Problem::RequestTimeout,
            ClientFault::Gone => Problem::BadRequest("the connection broke in the body"),
            ClientFault::Malformed => Problem::BadRequest("the body is malformed"),
        }
    }
}

impl ClientBody {
    pub(super) fn new(incoming: Incoming, limits: UploadLimits, read: Rc<Cell<u64>>) -> Self {
        let patience = Patience::new(limits.stall, limits.rate);
        Self { incoming, left: limits.size, read, patience, failed: false }
    }

    fn checked(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, ClientFault> {
        match frame.into_data() {
            Ok(chunk) => {
                let size = chunk.len() as u64;
                self.left = self.left.checked_sub(size).ok_or(ClientFault::TooLarge)?;
                self.read.set(self.read.get() + size);
                Ok(Frame::data(chunk))
            }
            Err(frame) => {
                let trailers = frame.into_trailers().unwrap_or_default();
                let checked = checked_trailers(trailers).map(Frame::trailers);
                checked.map_err(|_| ClientFault::Malformed)
            }
        }
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = ClientFault;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ClientFault>>> {
        let this = self.get_mut();
        if this.failed {
            return Poll::Ready(None);
        }
        let result = match Pin::new(&mut this.incoming).poll_frame(cx) {
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Ready(Some(Ok(frame))) => {
                this.patience.moved(frame.data_ref().map_or(0, Bytes::len));
                this.checked(frame)
            }
            Poll::Ready(Some(Err(error))) => Err(fault(&error)),
            Poll::Pending => match this.patience.poll_over(cx) {
                Poll::Ready(()) => Err(ClientFault::Slow),
                Poll::Pending => return Poll::Pending,
            },
        };
        this.failed = result.is_err();
        Poll::Ready(Some(result))
    }

    fn is_end_stream(&self) -> bool {
        !self.failed && self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// Whether the client is gone or sends nonsense.
fn fault(error: &hyper::Error) -> ClientFault {
    use io::ErrorKind::{InvalidData, InvalidInput, Other};
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    match io.map(io::Error::kind) {
        Some(InvalidData | InvalidInput | Other) => ClientFault::Malformed,
        _ => ClientFault::Gone,
    }
}
