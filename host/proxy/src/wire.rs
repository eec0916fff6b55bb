//! The bytes of a client's connection, under watch.

mod activity;

mod closing;

mod frames;

pub(crate) mod framing;

mod intake;

mod refusal;

mod rest;

use std::{
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use edgewit_model::ListenerLimits;
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};
use tokio_rustls::server::TlsStream;

use crate::{connection::Connection, patience::Patience, refused};
pub(crate) use activity::Activity;
use closing::Closing;
use frames::Frames;
use framing::HeadLimits;
use intake::{Intake, Intook};
pub(crate) use refusal::Refusal;

/// The bytes of a client's connection, with the timers that hyper does not have: first head, begun head, idle, and a reader
/// that does not read. HTTP/1.1 is read strictly before hyper sees it, and what is refused is answered here; of HTTP/2
/// frames are counted.
pub(crate) struct Wire<S: Tcp> {
    stream: S,
    protocol: Protocol,
    connection: Rc<Connection>,
    timeouts: Timeouts,
    timer: Option<Pin<Box<Sleep>>>,
    head_since: Option<Instant>,
    write: Patience,
    /// What is said to a client that was refused, when all that came before is answered.
    last_words: Bytes,
    closing: Option<Closing>,
}

/// How the bytes are watched.
enum Protocol {
    Http1(Intake),
    Http2 {
        frames: Frames,
        /// Read before the protocol was known.
        front: Bytes,
        /// The client was told to calm down, and nothing more is taken from it.
        ended: bool,
    },
    /// Not at all: HTTP was left. What came before that and belongs to the other protocol.
    Other(Bytes),
}

/// Bounds on waiting for a client.
#[derive(Debug, Clone, Copy)]
struct Timeouts {
    header: Duration,
    idle: Duration,
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

impl Timeouts {
    fn new(limits: &ListenerLimits) -> Self {
        Self { header: limits.header_timeout, idle: limits.idle_timeout }
    }
}

impl<S: Tcp> Wire<S> {
    /// `front`: read before the protocol was known.
    pub(crate) fn new(
        stream: S,
        front: Bytes,
        is_http2: bool,
        connection: &Rc<Connection>,
    ) -> Self {
        let limits = &connection.settings.config.limits;
        let protocol = match is_http2 {
            true => {
                Protocol::Http2 { frames: Frames::new(limits.control_frames), front, ended: false }
            }
            false => {
                let bytes = limits.header_bytes.as_usize();
                Protocol::Http1(Intake::new(HeadLimits { bytes, fields: limits.headers }, front))
            }
        };
        Self {
            stream,
            protocol,
            timeouts: Timeouts::new(limits),
            timer: None,
            head_since: None,
            write: Patience::new(limits.stall_timeout, limits.body_rate),
            last_words: Bytes::new(),
            closing: None,
            connection: Rc::clone(connection),
        }
    }

    /// What comes from now on is no HTTP. Not so if something was wrong with what came.
    pub(crate) fn leave_http(&mut self) -> bool {
        let Protocol::Http1(intake) = &mut self.protocol else { return false };
        let Some(front) = intake.leave() else { return false };
        self.protocol = Protocol::Other(front);
        self.head_since = None;
        true
    }

    fn poll_other(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Protocol::Other(front) = &mut self.protocol else { return Poll::Ready(Ok(())) };
        if front.has_remaining() {
            let length = front.len().min(buf.remaining());
            buf.put_slice(&front.split_to(length));
            return Poll::Ready(Ok(()));
        }
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if read.is_pending() { self.poll_overdue(cx) } else { read }
    }

    fn poll_http1(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Protocol::Http1(intake) = &mut self.protocol else { return Poll::Ready(Ok(())) };
        let read = intake.poll_read(&mut self.stream, cx, buf);
        let (is_in_head, heads) = (intake.is_in_head(), intake.heads());
        self.head_is_begun(is_in_head);
        match read {
            Poll::Ready(Ok(Intook::Bytes)) => Poll::Ready(Ok(())),
            Poll::Ready(Ok(Intook::BadBody)) => {
                refused::count(&self.connection, Refusal::BodyFraming);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Ok(Intook::Nothing)) => {
                self.connection.activity.poll_quiet(heads, cx).map(Ok)
            }
            Poll::Ready(Ok(Intook::Refused(refusal, head))) => {
                let activity = &self.connection.activity;
                ready!(activity.poll_quiet(heads, cx));
                if self.last_words.is_empty() {
                    self.last_words = refused::answer(&self.connection, refusal, &head);
                }
                Poll::Ready(Ok(())) // as if the client had closed: hyper ends, and closing speaks
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => self.poll_overdue(cx),
        }
    }

    fn poll_http2(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Protocol::Http2 { frames, front, ended } = &mut self.protocol else {
            return Poll::Ready(Ok(()));
        };
        if *ended {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let before = buf.filled().len();
        if front.has_remaining() {
            let length = front.len().min(buf.remaining());
            buf.put_slice(&front.split_to(length));
        } else {
            match Pin::new(&mut self.stream).poll_read(cx, buf) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return self.poll_overdue(cx),
            }
        }
        let read = frames.read(buf.filled().get(before..).unwrap_or_default());
        let is_in_head = frames.is_in_head();
        if let Err(refusal) = read {
            *ended = true;
            if let Some(goaway) = frames.calm() {
                // A client that does not read does not get it.
                let _ = Pin::new(&mut self.stream).poll_write(cx, &goaway);
                let _ = Pin::new(&mut self.stream).poll_flush(cx);
            }
            refused::count(&self.connection, refusal);
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        self.head_is_begun(is_in_head);
        Poll::Ready(Ok(()))
    }

    fn head_is_begun(&mut self, is_begun: bool) {
        self.head_since =
            if is_begun { self.head_since.or_else(|| Some(Instant::now())) } else { None };
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
            let may_rest = self.may_rest(now);
            let look = deadline.min(now + shortest).min(self.rest_at(now).unwrap_or(deadline));
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
            self.connection.activity.rests.set(may_rest);
            timer.as_mut().reset(look);
        }
    }

    /// Until when the client must have sent something, and whether it is idle until then.
    fn deadline(&self, now: Instant) -> (Instant, bool) {
        let activity = &self.connection.activity;
        if let (Protocol::Http2 { .. }, Some(since)) = (&self.protocol, self.head_since) {
            return (since + self.timeouts.header, false); // nothing else can come before its end
        }
        if activity.in_flight.get() > 0 {
            return (now + self.timeouts.idle, true); // bodies have timers of their own
        }
        let idle_since = activity.idle_since.get();
        match self.head_since {
            Some(since) => (since + self.timeouts.header, false),
            None if activity.requests.get() == 0 => (idle_since + self.timeouts.header, false),
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
        let was_blocked = self.connection.activity.is_blocked.replace(result.is_pending());
        match result {
            Poll::Ready(result) => {
                if was_blocked {
                    self.connection.activity.wake();
                }
                self.write.moved(result.as_ref().map_or(0, bytes));
                Poll::Ready(result)
            }
            Poll::Pending => match self.write.poll_over(cx) {
                Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
                Poll::Pending => Poll::Pending,
            },
        }
    }

    /// Sees what was written over HTTP/2.
    fn wrote(&mut self, bytes: &[u8]) {
        if let Protocol::Http2 { frames, .. } = &mut self.protocol {
            let refused = frames.wrote(bytes);
            self.connection.budget.written(frames.take_data_written());
            if let Some(refusal) = refused {
                refused::count(&self.connection, refusal);
            }
        }
    }

    fn has_ended(&self) -> bool {
        matches!(self.protocol, Protocol::Http2 { ended: true, .. })
    }

    /// May the client be sending what nobody reads?
    fn lingers(&self) -> bool {
        let is_refused =
            matches!(&self.protocol, Protocol::Http1(intake) if intake.is_in_message());
        (is_refused || !self.last_words.is_empty()) && !self.connection.activity.reset.get()
    }
}

impl<S: Tcp> AsyncRead for Wire<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match this.protocol {
            Protocol::Http1(_) => this.poll_http1(cx, buf),
            Protocol::Http2 { .. } => this.poll_http2(cx, buf),
            Protocol::Other(_) => this.poll_other(cx, buf),
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
        if this.has_ended() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let result = Pin::new(&mut this.stream).poll_write(cx, buf);
        if let Poll::Ready(Ok(written)) = result {
            this.wrote(buf.get(..written).unwrap_or_default());
        }
        this.written(cx, result, |n| *n)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.has_ended() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let result = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        if let Poll::Ready(Ok(mut written)) = result {
            for buf in bufs {
                let part = buf.get(..written).unwrap_or(buf);
                this.wrote(part);
                written -= part.len();
            }
        }
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
        let lingers = this.lingers();
        let last_words = &this.last_words;
        let closing = this.closing.get_or_insert_with(|| Closing::new(last_words.clone()));
        let result = closing.poll(&mut this.stream, lingers, cx);
        this.written(cx, result, |()| 0)
    }
}

impl<S: Tcp> Drop for Wire<S> {
    fn drop(&mut self) {
        if self.connection.activity.reset.get() {
            // Closed by a reset: a response that ends with its connection must not look whole (RFC 9112 6.3).
            let _ = SockRef::from(self.stream.tcp()).set_linger(Some(Duration::ZERO));
        }
    }
}
