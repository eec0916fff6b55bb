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

use hyper::{
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::watch;

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
    wire: Wire<S>,
    stop: watch::Receiver<()>,
) -> hyper::Result<()> {
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
    let of_requests = Rc::clone(&connection);
    let service = service_fn(move |request| exchange::serve(&of_requests, request, None));
    let switchboard = Switchboard(&connection);
    let mut serving = builder.serve_connection(TokioIo::new(wire), service);
    let shut_down = |c: Pin<&mut &mut http1::Connection<_, _>>| {
        Pin::new(&mut **c.get_mut()).graceful_shutdown();
    };
    let served = drive(&mut serving, shut_down, &connection, stop, true).await;
    if served.as_ref().is_err_and(|error| error.is_parse()) {
        refused::count(&connection, Refusal::Parser);
    }
    served?;
    if let Some(relay) = switchboard.take() {
        Box::pin(switch::take_over(serving.into_parts(), *relay)).await; // boxed, because it is large and rare
    }
    Ok(())
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
    let serving = builder.serve_connection(TokioIo::new(wire), service);
    drive(serving, http2::Connection::graceful_shutdown, &connection, stop, false).await
}

/// Drives a connection to its end; from `stop` on it only finishes what it has begun.
///
/// A panic of a request ends this task (HTTP/1) or that of its stream (HTTP/2), which tokio catches: other connections
/// of the worker do not notice.
async fn drive<C: Future<Output = hyper::Result<()>>>(
    serving: C,
    shut_down: impl FnOnce(Pin<&mut C>),
    connection: &Connection,
    stop: watch::Receiver<()>,
    is_http1: bool,
) -> C::Output {
    let mut serving = std::pin::pin!(serving);
    let activity = &connection.activity;
    if let Some(ended) = until_stopped(serving.as_mut(), stop).await {
        return ended;
    }
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

/// The end of a connection; `None` if `stop` comes first. Whether it came is one load of an atomic each time the connection
/// has something to do: to wait for both anew would be a lock.
async fn until_stopped<C: Future>(
    mut serving: Pin<&mut C>,
    stop: watch::Receiver<()>,
) -> Option<C::Output> {
    let mut waits = stop.clone();
    let mut stopped = std::pin::pin!(waits.changed());
    let mut is_waiting = false;
    poll_fn(|cx| {
        if let Poll::Ready(ended) = serving.as_mut().poll(cx) {
            return Poll::Ready(Some(ended));
        }
        // The task's waker stays the same, so that waiting has to begin only once.
        if is_waiting && matches!(stop.has_changed(), Ok(false)) {
            return Poll::Pending;
        }
        is_waiting = true;
        stopped.as_mut().poll(cx).map(|_| None)
    })
    .await
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
