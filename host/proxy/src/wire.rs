//! The bytes of a client's connection, under watch.

mod framing;

use std::{
    cell::Cell,
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};
use tokio_rustls::server::TlsStream;

use crate::patience::{MIN_RATE, Patience};
use framing::Framing;

/// The bytes of a client's connection, with the timers that hyper does not have: first head, begun head, idle, and a reader
/// that does not read. HTTP/1.1 is also checked for ambiguous framing before hyper sees it.
///
/// A violation becomes a byte that hyper refuses, then the end of the stream: hyper answers 400 and closes.
pub(crate) struct Wire<S: Tcp> {
    stream: S,
    /// Read before the protocol was known.
    front: Bytes,
    framing: Option<Framing>,
    refused: Refused,
    activity: Rc<Activity>,
    timeouts: Timeouts,
    timer: Option<Pin<Box<Sleep>>>,
    head_since: Option<Instant>,
    write: Patience,
}

/// Whether a violation was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refused {
    No,
    /// The poison was handed out; hyper may wait for the end of the head before it looks.
    Poisoned,
    Ended,
}

/// The end of any head.
const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// What requests and their connection tell each other.
#[derive(Debug)]
pub(crate) struct Activity {
    /// Requests whose response has not ended.
    pub(crate) in_flight: Cell<u32>,
    /// Requests so far.
    pub(crate) requests: Cell<u64>,
    /// Since when there was none in flight.
    pub(crate) idle_since: Cell<Instant>,
    /// The connection must not look as if it had ended cleanly.
    pub(crate) reset: Cell<bool>,
    /// No further request after those in flight.
    pub(crate) closing: Cell<bool>,
}

/// Bounds on waiting for a client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    pub(crate) header: Duration,
    pub(crate) idle: Duration,
    pub(crate) stall: Duration,
}

/// A stream over TCP.
pub(crate) trait Tcp: AsyncRead + AsyncWrite + Unpin + 'static {
    fn tcp(&self) -> &TcpStream;
}

impl Tcp for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Tcp for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

impl Activity {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self {
            in_flight: Cell::new(0),
            requests: Cell::new(0),
            idle_since: Cell::new(Instant::now()),
            reset: Cell::new(false),
            closing: Cell::new(false),
        })
    }

    /// A request began.
    pub(crate) fn begin(&self) {
        self.in_flight.set(self.in_flight.get() + 1);
        self.requests.set(self.requests.get() + 1);
    }

    /// Returns when there has been no request for so long, beginning now.
    pub(crate) async fn quiet_for(&self, pause: Duration) {
        let mut since = Instant::now();
        loop {
            sleep_until(since + pause).await;
            let latest = match self.in_flight.get() {
                0 => since.max(self.idle_since.get()),
                _ => Instant::now(),
            };
            if latest == since {
                return;
            }
            since = latest;
        }
    }

    /// A request ended.
    pub(crate) fn end(&self) {
        self.in_flight.set(self.in_flight.get().saturating_sub(1));
        self.idle_since.set(Instant::now());
    }
}

impl<S: Tcp> Wire<S> {
    /// `strict`: the protocol is HTTP/1.
    pub(crate) fn new(
        stream: S,
        front: Bytes,
        strict: bool,
        activity: Rc<Activity>,
        timeouts: Timeouts,
    ) -> Self {
        Self {
            stream,
            front,
            framing: strict.then(Framing::new),
            refused: Refused::No,
            activity,
            timeouts,
            timer: None,
            head_since: None,
            write: Patience::new(timeouts.stall, strict.then_some(MIN_RATE)),
        }
    }

    /// What comes from now on is no HTTP. Not so if something was wrong with what came.
    pub(crate) fn leave_http(&mut self) -> bool {
        self.framing = None;
        self.head_since = None;
        self.refused == Refused::No
    }

    fn poll_stream(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.front.has_remaining() {
            let length = self.front.len().min(buf.remaining());
            buf.put_slice(&self.front.split_to(length));
            if buf.remaining() > 0 {
                // What is here too comes with it; an error will come again.
                let _ = Pin::new(&mut self.stream).poll_read(cx, buf);
            }
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }

    /// Checks what was read; takes back what comes after a violation.
    fn check(&mut self, buf: &mut ReadBuf<'_>, before: usize) {
        let Some(framing) = &mut self.framing else { return };
        let fresh = buf.filled().get(before..).unwrap_or_default();
        if let Err(violation) = framing.read(fresh) {
            let at = before + violation.at;
            if let Some(byte) = buf.filled_mut().get_mut(at) {
                *byte = violation.poison;
            }
            buf.set_filled(at + 1);
            self.refused = Refused::Poisoned;
        }
        let in_head = framing.is_in_head();
        self.head_since =
            if in_head { self.head_since.or_else(|| Some(Instant::now())) } else { None };
    }

    /// Nothing came. Whether that is so for too long.
    ///
    /// hyper does not look again when a response has ended, and then another bound may hold; so the timer never runs for
    /// longer than the shortest of them, and is set anew when it was too early.
    fn poll_overdue(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shortest = self.timeouts.header.min(self.timeouts.idle);
        loop {
            let now = Instant::now();
            let (deadline, is_idle) = self.deadline(now);
            let look = deadline.min(now + shortest);
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(look)));
            if look < timer.deadline() {
                timer.as_mut().reset(look);
            }
            ready!(timer.as_mut().poll(cx));
            if deadline <= now {
                // As if an idle client had closed.
                let end = if is_idle { Ok(()) } else { Err(io::ErrorKind::TimedOut.into()) };
                return Poll::Ready(end);
            }
            timer.as_mut().reset(look);
        }
    }

    /// Until when the client must have sent something, and whether it is idle until then.
    fn deadline(&self, now: Instant) -> (Instant, bool) {
        if self.activity.in_flight.get() > 0 {
            return (now + self.timeouts.idle, true); // bodies have timers of their own
        }
        let idle_since = self.activity.idle_since.get();
        match self.head_since {
            Some(since) => (since + self.timeouts.header, false),
            None if self.activity.requests.get() == 0 => (idle_since + self.timeouts.header, false),
            None => (idle_since + self.timeouts.idle, true),
        }
    }

    /// The result of a write, or an error if the client does not read.
    fn written<T>(
        &mut self,
        cx: &mut Context<'_>,
        result: Poll<io::Result<T>>,
        bytes: impl FnOnce(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        match result {
            Poll::Ready(result) => {
                self.write.moved(result.as_ref().map_or(0, bytes));
                Poll::Ready(result)
            }
            Poll::Pending => match self.write.poll_over(cx) {
                Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
                Poll::Pending => Poll::Pending,
            },
        }
    }
}

impl<S: Tcp> AsyncRead for Wire<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.refused != Refused::No {
            if this.refused == Refused::Poisoned && buf.remaining() >= END_OF_HEAD.len() {
                buf.put_slice(END_OF_HEAD);
            }
            this.refused = Refused::Ended;
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        match this.poll_stream(cx, buf) {
            Poll::Ready(Ok(())) => {
                this.check(buf, before);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => this.poll_overdue(cx),
        }
    }
}

impl<S: Tcp> AsyncWrite for Wire<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.written(cx, result, |n| *n)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.written(cx, result, |n| *n)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_flush(cx);
        this.written(cx, result, |()| 0)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_shutdown(cx);
        this.written(cx, result, |()| 0)
    }
}

impl<S: Tcp> Drop for Wire<S> {
    fn drop(&mut self) {
        if self.activity.reset.get() {
            // Closed by a reset: a response that ends with its connection must not look whole (RFC 9112 6.3).
            let _ = SockRef::from(self.stream.tcp()).set_linger(Some(Duration::ZERO));
        }
    }
}
