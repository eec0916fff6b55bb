//! The body of a response on its way from an upstream.

use std::{
    fmt,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep};

use super::{BodyError, Cause, Watch, trailers};
use crate::{
    pool::Lease,
    tunnel::Tunnel,
    upstream::{EndpointId, InFlight},
};

/// The body of a response on its way from an upstream.
///
/// It holds the connection. Read to its clean end it gives the connection back to the pool; dropped earlier, or broken,
/// it closes it (HTTP/1.1) or resets the stream (HTTP/2). A body that breaks off ends with [`BodyError::Upstream`], never
/// with a clean end: a missing terminator, fewer bytes than `content-length`, a reset, and a pause between two reads
/// longer than the upstream's `stall`. Trailers that may not stand in trailers are left out (RFC 9110 6.5.1).
pub struct InBody {
    incoming: Incoming,
    hold: Option<Hold>,
    stall: Stall,
    failed: bool,
    tunnel: Option<Box<Tunnel>>,
}

/// What a response keeps while its body is read.
pub(crate) struct Hold {
    pub(crate) lease: Lease,
    /// The body of the request, which may still be on its way.
    pub(crate) upload: Option<Rc<Watch>>,
    pub(crate) in_flight: InFlight,
}

impl InBody {
    pub(crate) fn new(incoming: Incoming, hold: Hold, stall: Duration) -> Self {
        let mut body = Self {
            incoming,
            hold: Some(hold),
            stall: Stall { limit: stall, timer: None, armed: false },
            failed: false,
            tunnel: None,
        };
        if body.incoming.is_end_stream() {
            body.release();
        }
        body
    }

    /// The body of a `101`, which is none, with the connection that belongs to another protocol now.
    pub(crate) fn switched(incoming: Incoming, tunnel: Tunnel) -> Self {
        let stall = Stall { limit: Duration::MAX, timer: None, armed: false }; // never asked
        Self { incoming, hold: None, stall, failed: false, tunnel: Some(Box::new(tunnel)) }
    }

    /// The connection, if the upstream changed the protocol as it was asked to. Dropping the body closes it.
    pub fn into_tunnel(self) -> Option<Box<Tunnel>> {
        self.tunnel
    }

    /// The endpoint that answers; `None` once the body has ended.
    pub fn endpoint(&self) -> Option<EndpointId> {
        self.hold.as_ref().map(|hold| hold.in_flight.endpoint().id())
    }

    /// Clean end: the connection may serve the next request.
    fn release(&mut self) {
        if let Some(hold) = self.hold.take() {
            hold.lease.finish();
        }
    }

    fn fail(&mut self, cause: Cause) -> BodyError {
        self.failed = true;
        let hold = self.hold.take(); // dropping it closes the connection
        let upload = hold.and_then(|hold| hold.upload).and_then(|watch| watch.error());
        upload.unwrap_or(BodyError::Upstream(cause))
    }

    /// hyper ends an HTTP/2 body cleanly when the upstream resets the stream with `NO_ERROR` or `CANCEL`, so the end must
    /// be confirmed by the stream itself (RFC 9113 8.1).
    fn is_truncated(&self) -> bool {
        let shared = self.hold.as_ref().is_some_and(|hold| hold.lease.is_http2());
        shared && !self.incoming.is_end_stream()
    }
}

impl Body for InBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if this.failed {
            return Poll::Ready(None);
        }
        loop {
            let frame = match Pin::new(&mut this.incoming).poll_frame(cx) {
                Poll::Ready(frame) => frame,
                Poll::Pending if this.stall.is_over(cx) => {
                    return Poll::Ready(Some(
                        Err(this.fail(Cause::new(Stalled(this.stall.limit)))),
                    ));
                }
                Poll::Pending => return Poll::Pending,
            };
            this.stall.armed = false;
            let frame = match frame {
                None if this.is_truncated() => Err(this.fail(Cause::new("the stream was reset"))),
                None => {
                    this.release();
                    return Poll::Ready(None);
                }
                Some(Err(error)) => Err(this.fail(Cause::new(error))),
                Some(Ok(frame)) => match trailers::checked(frame) {
                    Ok(Some(frame)) => Ok(frame),
                    Ok(None) => continue,
                    Err(error) => Err(this.fail(Cause::new(error))),
                },
            };
            if frame.is_ok() && this.incoming.is_end_stream() {
                this.release();
            }
            return Poll::Ready(Some(frame));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.hold.is_none() && !self.failed
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl fmt::Debug for InBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("InBody").field(&self.incoming).finish()
    }
}

/// Measures the pause between two reads. The timer is made at the first pause: most responses have none.
struct Stall {
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    armed: bool,
}

impl Stall {
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        let limit = self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        if !self.armed {
            self.armed = true;
            timer.as_mut().reset(Instant::now() + limit);
        }
        timer.as_mut().poll(cx).is_ready()
    }
}

/// No byte of the response came for this long.
#[derive(Debug, thiserror::Error)]
#[error("no data for {0:?}")]
struct Stalled(Duration);
