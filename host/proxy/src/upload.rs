//! The body of a request, from the client to whoever wants it.

mod client;

use std::{
    cell::{Cell, RefCell},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use edgewit_chain::Direction;
use edgewit_upstream::{BodyError, Cause, OutBody};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::{
    piped::{Halt, Piped},
    problem::Problem,
    reply::Reply,
    shared_run::SharedRun,
};
use client::ClientBody;
pub(crate) use client::ClientFault;

/// The body of a request on its way through limits, timers and filters.
pub(crate) struct Upload {
    piped: Piped<ClientBody>,
    halt: Halted,
}

/// Why an upload went no further, if it did not; seen also after the upload was handed away.
pub(crate) type Halted = Rc<RefCell<Option<Halt<ClientFault>>>>;

/// What a client may send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UploadLimits {
    /// Bytes in all.
    pub(crate) size: u64,
    /// Time without progress.
    pub(crate) stall: Duration,
    /// Bytes a second on average.
    pub(crate) rate: Option<u32>,
}

impl Upload {
    /// A body, whose bytes are counted in `read`. Refused at once if it says that it is too long.
    pub(crate) fn new(
        incoming: Incoming,
        limits: UploadLimits,
        run: &Rc<SharedRun>,
        read: &Rc<Cell<u64>>,
    ) -> Result<Self, Problem> {
        if incoming.size_hint().lower() > limits.size {
            return Err(Problem::ContentTooLarge);
        }
        let client = ClientBody::new(incoming, limits, Rc::clone(read));
        let piped = Piped::new(client, Some(run), Direction::Request);
        Ok(Self { piped, halt: Halted::default() })
    }

    pub(crate) fn halted(&self) -> &Halted {
        &self.halt
    }

    /// Reads until no filter holds the body back any more.
    pub(crate) async fn release(&mut self) -> Result<(), Halt<ClientFault>> {
        self.piped.release().await
    }

    /// The body for an upstream. One that is all here is taken whole. One of a known size up to `replay` is read first, so that it can be sent again; one of
    /// unknown size is not, since its sender may wait for the response.
    pub(crate) async fn into_out(
        mut self,
        replay: Option<usize>,
    ) -> Result<OutBody, Halt<ClientFault>> {
        if self.piped.is_end_stream() {
            return Ok(OutBody::empty());
        }
        if self.piped.has_all() {
            // What filters see, or have kept back, is no stream: it has a length, and can be sent again.
            if let Some(whole) = self.piped.collect(usize::MAX).await? {
                return Ok(OutBody::full(whole));
            }
        }
        if let Some(most) = replay {
            let size = self.piped.size_hint().exact().and_then(|n| usize::try_from(n).ok());
            if size.is_some_and(|size| size <= most)
                && let Some(whole) = self.piped.collect(most).await?
            {
                return Ok(OutBody::full(whole));
            }
        }
        Ok(OutBody::stream(self))
    }

    /// Nothing, once the filters have seen that there is no body. One that a filter made up instead would be read as the
    /// begin of the other protocol, so it cuts the request.
    pub(crate) async fn into_none(mut self) -> Result<OutBody, Halt<ClientFault>> {
        match self.piped.collect(0).await? {
            Some(_) => Ok(OutBody::empty()),
            None => Err(Halt::Cut),
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        this.piped.poll_next(cx).map_err(|halt| {
            let error = match &halt {
                Halt::Broken(fault) => BodyError::Client(Cause::new(fault.to_string())),
                _ => BodyError::Filter(Cause::new("the filter let it go no further")),
            };
            *this.halt.borrow_mut() = Some(halt);
            error
        })
    }

    fn is_end_stream(&self) -> bool {
        self.piped.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.piped.size_hint()
    }
}

/// What the client gets when its upload went no further before there was a response.
pub(crate) fn halted(halt: Halt<ClientFault>, request_id: &str) -> Reply {
    let problem = match halt {
        Halt::Answer(answer) => return Reply { close: true, ..Reply::answer(*answer) },
        Halt::Broken(fault) => fault.into(),
        Halt::Cut => Problem::FilterCut,
        Halt::TooLarge => Problem::ContentTooLarge,
        Halt::Failed(failed) => failed.into(),
    };
    problem.into_reply(request_id)
}
