//! HTTP/1.1 connections: one request at a time.

use std::{
    rc::{Rc, Weak},
    sync::Arc,
    time::Duration,
};

use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1},
};
use hyper_util::rt::TokioIo;

use super::{Shelves, line::Line, line::LineId, switch::Switching};
use crate::{
    body::OutBody,
    circuit::Lines,
    connect::ConnectError,
    upstream::Endpoint,
    wire::{Gauge, Stream, Wire},
};

/// Bytes of a response head at most. Up to 100 fields: hyper's own limit, which costs least when left alone.
const MAX_HEAD: usize = 32 << 10;

/// Bytes that are read ahead of the client, or held for a slow upstream, for one connection at most: what filters see at once,
/// and a head before it, so that a body of that size comes in one piece.
const MAX_BUFFER: usize = (64 + 16) << 10;

/// Begins HTTP/1.1 on a new connection.
pub(super) async fn open(
    stream: Stream,
    endpoint: Arc<Endpoint>,
    keep: Keep,
) -> Result<Http1Lease, ConnectError> {
    let (idle, connection) = begin(stream, endpoint, &keep).await?;
    idle.drive(connection, keep.idle_timeout);
    Ok(Http1Lease::new(idle, keep, false))
}

/// The same for a request that wants to leave HTTP.
pub(super) async fn open_to_switch(
    stream: Stream,
    endpoint: Arc<Endpoint>,
    keep: Keep,
) -> Result<Switching, ConnectError> {
    let (idle, connection) = begin(stream, endpoint, &keep).await?;
    Ok(Switching::new(idle, connection, keep))
}

/// A connection that nobody drives yet.
async fn begin(
    stream: Stream,
    endpoint: Arc<Endpoint>,
    keep: &Keep,
) -> Result<(Idle, Connection), ConnectError> {
    let (wire, gauge) = Wire::new(stream, false);
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_BUFFER).max_header_size(MAX_HEAD);
    let handshake = builder.handshake(TokioIo::new(wire)).await;
    let (sender, connection) = handshake.map_err(ConnectError::Http)?;
    let line = Line::new(gauge, endpoint, keep);
    Ok((Idle { sender, line }, connection))
}

pub(super) type Connection = http1::Connection<TokioIo<Wire>, OutBody>;

/// A connection without a request.
pub(super) struct Idle {
    sender: http1::SendRequest<OutBody>,
    line: Rc<Line>,
}

/// Where an idle connection goes.
pub(super) struct Keep {
    pub(super) pools: Weak<Shelves>,
    /// Idle connections on the shelf at most.
    pub(super) most: usize,
    /// How long it may stay there.
    pub(super) idle_timeout: Duration,
    /// How long it may take requests at all.
    pub(super) max_age: Option<Duration>,
    /// Whoever waits for a connection, if their number is bounded.
    pub(super) lines: Option<Rc<Lines>>,
}

impl Idle {
    /// The connection that was used last, if it can be used. Those that cannot are closed on the way.
    pub(super) fn take(shelf: &mut Vec<Self>, idle_timeout: Duration) -> Option<Self> {
        while let Some(top) = shelf.pop() {
            if top.line.is_expired(idle_timeout) {
                shelf.clear(); // those below have been idle for longer
            } else if top.sender.is_ready() && !top.line.is_retired() {
                top.line.set_busy();
                return Some(top);
            }
        }
        None
    }

    pub(super) fn lease(self, keep: Keep) -> Http1Lease {
        Http1Lease::new(self, keep, true)
    }

    pub(super) fn id(&self) -> LineId {
        self.line.id
    }

    pub(super) fn gauge(&self) -> &Gauge {
        &self.line.gauge
    }

    pub(super) fn endpoint(&self) -> Arc<Endpoint> {
        self.line.shared_endpoint()
    }

    pub(super) fn is_within(&self, lines: &Rc<Lines>) -> bool {
        self.line.is_within(lines)
    }

    pub(super) fn close(self) {
        self.line.cut();
    }

    /// Gives the connection a task of its own.
    pub(super) fn drive(&self, connection: Connection, idle_timeout: Duration) {
        self.line.drive(connection, idle_timeout);
    }

    pub(super) fn send(
        &mut self,
        request: Request<OutBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<OutBody>>>> + use<>
    {
        self.sender.try_send_request(request)
    }
}

/// A connection that is busy with a request.
pub(crate) struct Http1Lease {
    sender: http1::SendRequest<OutBody>,
    line: CutOnDrop,
    keep: Keep,
    reused: bool,
}

/// Closes a connection unless it went back: what is left on it belongs to nobody.
struct CutOnDrop {
    line: Rc<Line>,
    armed: bool,
}

impl Http1Lease {
    pub(super) fn new(idle: Idle, keep: Keep, reused: bool) -> Self {
        let line = CutOnDrop { line: idle.line, armed: true };
        Self { sender: idle.sender, line, keep, reused }
    }

    pub(super) fn id(&self) -> LineId {
        self.line.line.id
    }

    pub(super) fn is_reused(&self) -> bool {
        self.reused
    }

    pub(super) fn gauge(&self) -> &Gauge {
        &self.line.line.gauge
    }

    /// Sends a request and waits for the response head. A request of which nothing was sent comes back in the error.
    pub(crate) fn send(
        &mut self,
        request: Request<OutBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<OutBody>>>> + use<>
    {
        self.sender.try_send_request(request)
    }

    /// The response came to its clean end. The connection goes back unless it is closing, or the request is still being
    /// sent (an early answer): then nobody wants the rest, and it is cut.
    pub(super) fn finish(self) {
        let Self { sender, mut line, keep, .. } = self;
        let is_usable = sender.is_ready() && !line.line.is_retired();
        let Some(pools) = keep.pools.upgrade().filter(|_| is_usable) else { return };
        line.armed = false;
        let line = line.line.clone();
        line.set_idle();
        let mut shelves = pools.borrow_mut();
        let shelf = &mut shelves.entry(line.endpoint().id()).or_default().idle;
        line.came_back();
        shelf.push(Idle { sender, line });
        if shelf.len() > keep.most {
            shelf.remove(0); // the one that has been idle for longest
        }
    }
}

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        if self.armed {
            self.line.cut();
        }
    }
}
