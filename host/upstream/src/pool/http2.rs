//! HTTP/2 connections: many requests at a time.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http2},
    rt::Executor,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::task::spawn_local;

use super::{http1::Keep, line::Line, line::LineId};
use crate::{
    body::OutBody,
    circuit::Lines,
    connect::ConnectError,
    upstream::Endpoint,
    wire::{Gauge, Stream, Wire},
};

/// Connections for one endpoint and worker at most. A further one is opened when the upstream allows no more streams on
/// those that are there; beyond this number requests wait for a stream.
const MAX_CONNECTIONS: usize = 16;

/// Bytes of a response's header list at most (RFC 9113 6.5.2).
const MAX_HEADER_LIST: u32 = 32 << 10;

/// Bytes that the upstream may send ahead of the client: of one response, of all on a connection.
const WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;

/// Bytes of one request that are held for a slow upstream.
const SEND_BUFFER: usize = 64 << 10;

/// A connection with open streams is asked for a sign of life so often, and given up after so long. Without it all
/// requests would share a dead connection until the kernel gives up, a quarter of an hour later.
const PING_EVERY: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(5);

type Connection = http2::Connection<TokioIo<Wire>, OutBody, OnThisThread>;

/// Streams that may be opened before the upstream has said how many it allows: nobody does, because [`open`] waits for that.
const UNTOLD: usize = 0;

/// Begins HTTP/2 on a new connection. It is ready when the upstream's `SETTINGS` came: a stream that was opened before
/// could be one more than is allowed (RFC 9113 5.1.2), and be refused.
pub(super) async fn open(
    stream: Stream,
    endpoint: Arc<Endpoint>,
    keep: Keep,
) -> Result<Rc<Shared>, ConnectError> {
    let (wire, gauge) = Wire::new(stream, true);
    let handshake = http2::Builder::new(OnThisThread)
        .timer(TokioTimer::new())
        .initial_max_send_streams(UNTOLD)
        .max_header_list_size(MAX_HEADER_LIST)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT)
        .handshake(TokioIo::new(wire));
    let (sender, connection) = handshake.await.map_err(ConnectError::Http)?;
    if !gauge.greeted().await {
        return Err(ConnectError::NoHttp2);
    }
    let line = Line::new(gauge, endpoint, &keep);
    let connection = Rc::new(RefCell::new(Some(connection)));
    line.drive(Driven(connection.clone()), keep.idle_timeout);
    Ok(Rc::new(Shared { line, sender, connection, streams: Cell::new(0) }))
}

/// A connection that serves many requests.
pub(super) struct Shared {
    line: Rc<Line>,
    sender: http2::SendRequest<OutBody>,
    connection: Rc<RefCell<Option<Connection>>>,
    streams: Cell<usize>,
}

impl Shared {
    pub(super) fn id(&self) -> LineId {
        self.line.id
    }

    /// A share of a connection that has room for a stream. `None` means that another connection should be made.
    pub(super) fn pick(shelf: &mut Vec<Rc<Self>>, avoid: Option<LineId>) -> Option<Http2Lease> {
        shelf.retain(|shared| !shared.sender.is_closed() && !shared.line.is_retired());
        let newer = |shared: &&Rc<Self>| avoid.is_none_or(|old| shared.id() > old);
        if let Some(free) = shelf.iter().filter(newer).find(|shared| shared.has_room()) {
            return Some(free.lease(true));
        }
        let full = shelf.len() >= MAX_CONNECTIONS;
        let emptiest = shelf.iter().filter(|_| full).min_by_key(|shared| shared.streams.get());
        emptiest.map(|shared| shared.lease(true))
    }

    pub(super) fn is_unused_within(&self, lines: &Rc<Lines>) -> bool {
        self.streams.get() == 0 && self.line.is_within(lines)
    }

    pub(super) fn close(&self) {
        self.line.cut();
    }

    pub(super) fn came_back(&self) {
        self.line.came_back();
    }

    /// The first share of a connection that was just made.
    pub(super) fn fresh_lease(self: &Rc<Self>) -> Http2Lease {
        self.lease(false)
    }

    fn lease(self: &Rc<Self>, reused: bool) -> Http2Lease {
        self.streams.set(self.streams.get() + 1);
        self.line.set_busy();
        Http2Lease { shared: self.clone(), reused }
    }

    /// Whether the upstream allows one more stream (RFC 9113 5.1.2).
    fn has_room(&self) -> bool {
        let connection = self.connection.try_borrow();
        let allowed = connection.ok().and_then(|c| Some(c.as_ref()?.current_max_send_streams()));
        allowed.is_some_and(|allowed| self.streams.get() < allowed)
    }
}

/// A share of a connection for one request.
pub(crate) struct Http2Lease {
    shared: Rc<Shared>,
    reused: bool,
}

impl Http2Lease {
    pub(super) fn id(&self) -> LineId {
        self.shared.id()
    }

    pub(super) fn is_reused(&self) -> bool {
        self.reused
    }

    pub(super) fn gauge(&self) -> &Gauge {
        &self.shared.line.gauge
    }

    /// Sends a request and waits for the response head. A request of which nothing was sent comes back in the error.
    pub(crate) fn send(
        &mut self,
        request: Request<OutBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<OutBody>>>> + use<>
    {
        self.shared.sender.clone().try_send_request(request)
    }
}

impl Drop for Http2Lease {
    fn drop(&mut self) {
        let left = self.shared.streams.get().saturating_sub(1);
        self.shared.streams.set(left);
        self.shared.line.came_back();
        if left == 0 {
            self.shared.line.set_idle();
        }
    }
}

/// Drives a connection that others look at in between.
struct Driven(Rc<RefCell<Option<Connection>>>);

impl Future for Driven {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut slot = self.0.borrow_mut();
        let polled = slot.as_mut().map(|connection| Pin::new(connection).poll(cx).is_ready());
        if polled == Some(false) {
            return Poll::Pending;
        }
        *slot = None;
        Poll::Ready(())
    }
}

/// Runs hyper's tasks where the connection is.
#[derive(Debug, Clone, Copy)]
struct OnThisThread;

impl<F: Future + 'static> Executor<F> for OnThisThread
where
    F::Output: 'static,
{
    fn execute(&self, task: F) {
        spawn_local(task);
    }
}
