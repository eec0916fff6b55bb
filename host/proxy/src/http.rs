//! HTTP/1 and HTTP/2 on one connection, and how it ends.

mod budget;

mod stream;

mod switch;

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use hyper::{
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{io::AsyncWriteExt, sync::watch, time::Instant};

use crate::{
    connection::Connection,
    exchange, refused,
    wire::{Refusal, Tcp, Wire},
};
pub(crate) use budget::Budget;
pub(crate) use stream::{StreamWatch, Streams};
use switch::Switchboard;

/// Fields of a head for which hyper needs no allocation.
const USUAL_FIELDS: usize = 100;
/// hyper insists on this much.
const MIN_BUFFER: usize = 8 << 10;
/// A head and the begin of a body.
const BUFFER_BEYOND_HEAD: usize = 16 << 10;
/// Bytes of the header list of an HTTP/2 request (THREATS 3), as RFC 9113 6.5.2 counts them.
pub(crate) const HEADER_LIST: u32 = 16 << 10;
/// Beyond this h2 answers 431 by itself, unseen; between the two we do.
const HEADER_LIST_H2: u32 = 2 * HEADER_LIST;
/// Window of a stream, and of a connection: what a client may send before the upstream takes it.
const WINDOWS: (u32, u32) = (64 << 10, 1 << 20);
/// Bytes of a response that are kept in h2 for a stream whose client does not read, and the chunk that goes beyond: one
/// frame, so that the socket has something while the next chunk is fetched.
const SEND_BUFFER: usize = 16 << 10;
/// Streams that were reset before they were served; more are an attack (CVE-2023-44487).
const PENDING_RESETS: usize = 20;
/// Streams that were reset for errors of the client.
const ERROR_RESETS: usize = 100;
/// An HTTP/2 client that does not answer a ping for this long, asked this often, is gone.
const PING: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));
/// A client of HTTP/2 that was told that this is the end, and has nothing to wait for, has so long to say that it knows. Most
/// say it within a round trip; one that is suspended never does.
const UNANSWERED: Duration = Duration::from_secs(5);
/// A client that uses its connection just before the end may still send a request for this long.
pub(crate) const LAST_REQUEST: Duration = Duration::from_secs(1);

/// Serves HTTP/1.0 and HTTP/1.1 until client or `stop` end it.
pub(crate) async fn serve_http1<S: Tcp>(
    connection: Rc<Connection>,
    mut wire: Wire<S>,
    mut stop: watch::Receiver<()>,
) -> hyper::Result<()> {
    loop {
        // Boxed, so that a connection that rests has no room for it.
        let served = Box::pin(serve_until_rest(&connection, wire, &stop)).await?;
        let Some(resting) = served else { return Ok(()) };
        wire = resting.wire;
        if !resting.unread.is_empty() || !wire.may_rest(Instant::now()) {
            // Nobody knows what comes after that, and a connection may end between requests at any time.
            let _ = wire.shutdown().await;
            return Ok(());
        }
        drop(resting.unread); // the whole buffer is with it
        tracing::trace!("a connection rests");
        tokio::select! {
            () = wire.rested() => {}
            _ = stop.changed() => stop.mark_changed(),
        }
    }
}

/// Serves it until there is nothing to do for some time; `None`: it has ended.
///
/// All that can be made before the future is made then: what is moved into a future and on within it has room there twice.
fn serve_until_rest<'a, S: Tcp>(
    connection: &'a Rc<Connection>,
    wire: Wire<S>,
    stop: &'a watch::Receiver<()>,
) -> impl Future<Output = hyper::Result<Option<Resting<S>>>> + 'a {
    let limits = &connection.settings.config.limits;
    let head = limits.header_bytes.as_usize();
    let mut builder = http1::Builder::new();
    builder
        .header_read_timeout(None) // the wire has better timers
        .max_header_size(head)
        .max_buf_size(head.saturating_add(BUFFER_BEYOND_HEAD).max(MIN_BUFFER));
    if limits.headers != USUAL_FIELDS {
        builder.max_headers(limits.headers);
    }
    let of_requests = Rc::clone(connection);
    let service = service_fn(move |request| exchange::serve(&of_requests, request, None));
    let mut serving = builder.serve_connection(TokioIo::new(wire), service);
    async move {
        let switchboard = Switchboard(connection);
        let served = match drive(Pin::new(&mut serving), connection, stop).await {
            Driven::Ended(served) => served,
            Driven::Stopped => {
                let shut_down = http1::Connection::graceful_shutdown;
                finish(Pin::new(&mut serving), shut_down, connection, true).await
            }
            Driven::Rests => {
                let parts = serving.into_parts();
                return Ok(Some(Resting { wire: parts.io.into_inner(), unread: parts.read_buf }));
            }
        };
        if served.as_ref().is_err_and(|error| error.is_parse()) {
            refused::count(connection, Refusal::Parser);
        }
        served?;
        if let Some(relay) = switchboard.take() {
            Box::pin(switch::take_over(serving.into_parts(), *relay)).await; // boxed, because it is large and rare
        }
        Ok(None)
    }
}

/// A connection that its parser was taken from.
struct Resting<S: Tcp> {
    wire: Wire<S>,
    /// What the parser had and is no request, such as a blank line.
    unread: Bytes,
}

/// Serves HTTP/2 until client or `stop` end it.
pub(crate) async fn serve_http2<S: Tcp>(
    connection: Rc<Connection>,
    wire: Wire<S>,
    stop: watch::Receiver<()>,
) -> hyper::Result<()> {
    let limits = &connection.settings.config.limits;
    let streams = Streams::new(limits.stall_timeout, limits.body_rate, &connection.budget);
    let mut builder = http2::Builder::new(streams.clone());
    builder
        .timer(TokioTimer::new())
        .enable_connect_protocol() // whether a route allows it is another question
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(HEADER_LIST_H2)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(ERROR_RESETS)
        .initial_stream_window_size(WINDOWS.0)
        .initial_connection_window_size(WINDOWS.1)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(PING.0)
        .keep_alive_timeout(PING.1);
    let of_requests = Rc::clone(&connection);
    let service = service_fn(move |request| {
        let (connection, watch) = (Rc::clone(&of_requests), streams.begin());
        // Nothing is done before the task of the stream runs: if it panics, other streams do not notice.
        async move { exchange::serve(&connection, request, Some(watch)).await }
    });
    let mut serving = std::pin::pin!(builder.serve_connection(TokioIo::new(wire), service));
    match drive(serving.as_mut(), &connection, &stop).await {
        Driven::Ended(served) => served,
        Driven::Stopped | Driven::Rests => {
            finish(serving, http2::Connection::graceful_shutdown, &connection, false).await
        }
    }
}

/// What became of a connection.
enum Driven {
    Ended(hyper::Result<()>),
    /// It shall end.
    Stopped,
    /// It does nothing, and need not keep a parser for that.
    Rests,
}

/// Drives a connection until it ends or something else is to be done with it. Whether `stop` came is one load of an atomic
/// each time the connection has something to do: to wait for both anew would be a lock.
///
/// A panic of a request ends this task (HTTP/1) or that of its stream (HTTP/2), which tokio catches: other connections
/// of the worker do not notice.
async fn drive(
    mut serving: Pin<&mut impl Future<Output = hyper::Result<()>>>,
    connection: &Connection,
    stop: &watch::Receiver<()>,
) -> Driven {
    let mut waits = stop.clone();
    let mut stopped = std::pin::pin!(waits.changed());
    let mut is_waiting = false;
    poll_fn(|cx| {
        connection.activity.rests.set(false); // what was said before is over
        if let Poll::Ready(ended) = serving.as_mut().poll(cx) {
            return Poll::Ready(Driven::Ended(ended));
        }
        // The task's waker stays the same, so that waiting has to begin only once.
        if !(is_waiting && matches!(stop.has_changed(), Ok(false))) {
            is_waiting = true;
            if stopped.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Driven::Stopped);
            }
        }
        if connection.activity.rests.get() { Poll::Ready(Driven::Rests) } else { Poll::Pending }
    })
    .await
}

/// Drives a connection that shall end: it only finishes what it has begun.
async fn finish<C: Future<Output = hyper::Result<()>>>(
    mut serving: Pin<&mut C>,
    shut_down: impl FnOnce(Pin<&mut C>),
    connection: &Connection,
    is_http1: bool,
) -> hyper::Result<()> {
    let activity = &connection.activity;
    activity.closing.set(true);
    if is_http1 || activity.requests.get() == 0 {
        // Its next request may be on its way, and HTTP/1 cannot say that it will not be served; the answer will say that it
        // was the last one.
        tokio::select! {
            ended = serving.as_mut() => return ended,
            () = activity.quiet_for(LAST_REQUEST) => {}
        }
    }
    shut_down(serving.as_mut());
    if is_http1 {
        return serving.await;
    }
    tokio::select! {
        ended = serving => ended,
        () = all_said(connection) => Ok(()),
    }
}

/// Returns when nothing was asked for some time and all that was answered has gone out. Until the client has answered the
/// ping that goes with GOAWAY, h2 waits for requests that may be on their way.
async fn all_said(connection: &Connection) {
    loop {
        connection.activity.quiet_for(UNANSWERED).await;
        if !connection.activity.is_blocked.get() && connection.budget.unsent() == 0 {
            return;
        }
    }
}
