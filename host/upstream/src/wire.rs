//! The bytes of one connection, watched where hyper does not look.

mod interim;

mod greeting;

use std::{
    cell::Cell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;

use crate::socket::Socket;
use greeting::Greeting;
use interim::Interim;

/// Bytes read before the response head is complete at most, heads of informational responses (RFC 9110 15.2) included.
/// hyper bounds one head, this bounds their number. It lies above what hyper reads ahead of a slow reader.
const MAX_HEADS: usize = 256 << 10;

/// A connection to an endpoint.
pub(crate) enum Stream {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
}

/// The bytes of one connection.
///
/// - It counts what was read and written for the current request, so that a failure can be told from another.
/// - A failed write does not fail the connection, because what the upstream said before it closed is in our socket already:
///   an early answer (RFC 9112 9.5), a `GOAWAY`. Reading decides, and comes to the end soon. Until then writing stands
///   still with HTTP/1.1 and goes nowhere with HTTP/2, which would not read while it cannot write.
pub(crate) struct Wire {
    stream: Stream,
    gauge: Rc<Gauge>,
    http2: bool,
}

/// What is known about the current request of a connection.
#[derive(Debug)]
pub(crate) struct Gauge {
    look: Rc<Cell<bool>>,
    awaits_head: Cell<bool>,
    read: Cell<usize>,
    wrote: Cell<bool>,
    flooded: Cell<bool>,
    write_failed: Cell<bool>,
    interim: Cell<Interim>,
    greeting: Option<Greeting>,
}

impl Gauge {
    fn new(look: Rc<Cell<bool>>, http2: bool) -> Self {
        Self {
            look,
            awaits_head: Cell::new(false),
            read: Cell::new(0),
            wrote: Cell::new(false),
            flooded: Cell::new(false),
            write_failed: Cell::new(false),
            interim: Cell::new(Interim::new()),
            greeting: http2.then(Greeting::new),
        }
    }

    /// Asks the kernel, before anything more is sent, whether the peer has closed the connection.
    pub(crate) fn look(&self, look: bool) {
        self.look.set(look);
    }

    /// A request begins that has the connection for itself.
    pub(crate) fn begin(&self, look: bool) {
        self.look(look);
        self.awaits_head.set(true);
        self.read.set(0);
        self.wrote.set(false);
        self.interim.set(Interim::new());
    }

    /// The response head came.
    pub(crate) fn head_came(&self) {
        self.awaits_head.set(false);
    }

    /// Whether any byte of an answer came.
    pub(crate) fn has_read(&self) -> bool {
        self.read.get() > 0
    }

    /// Whether any byte of the request went out.
    pub(crate) fn has_written(&self) -> bool {
        self.wrote.get()
    }

    /// Whether the upstream sent more than may stand before a response.
    pub(crate) fn is_flooded(&self) -> bool {
        self.flooded.get()
    }

    /// Waits until the upstream has said how it speaks HTTP/2; `false`: it never will.
    pub(crate) async fn greeted(&self) -> bool {
        match &self.greeting {
            Some(greeting) => greeting.came().await,
            None => true,
        }
    }

    fn ended(&self) {
        if let Some(greeting) = &self.greeting {
            greeting.end();
        }
    }

    fn count_read(&self, fresh: &[u8]) -> io::Result<()> {
        let bytes = fresh.len();
        if bytes == 0 && self.write_failed.get() {
            return Err(io::ErrorKind::ConnectionReset.into()); // the write took the socket's error, this is no clean end
        }
        self.read.set(self.read.get().saturating_add(bytes));
        if let Some(greeting) = &self.greeting {
            greeting.read(fresh);
        }
        if !self.awaits_head.get() {
            return Ok(());
        }
        let mut interim = self.interim.get();
        let too_many = interim.read(fresh);
        self.interim.set(interim);
        if too_many || self.read.get() > MAX_HEADS {
            self.flooded.set(true);
            return Err(io::Error::other("more before the response than is allowed"));
        }
        Ok(())
    }
}

impl Stream {
    fn look(&self) -> Rc<Cell<bool>> {
        match self {
            Self::Plain(socket) => socket.mark(),
            Self::Tls(tls) => tls.get_ref().0.mark(),
        }
    }
}

impl Wire {
    pub(crate) fn new(stream: Stream, http2: bool) -> (Self, Rc<Gauge>) {
        let gauge = Rc::new(Gauge::new(stream.look(), http2));
        (Self { stream, gauge: gauge.clone(), http2 }, gauge)
    }

    /// From now on the connection closes with a reset.
    pub(crate) fn reset(&self) {
        match &self.stream {
            Stream::Plain(socket) => socket.reset(),
            Stream::Tls(tls) => tls.get_ref().0.reset(),
        }
    }

    fn count_write(
        &self,
        result: Poll<io::Result<usize>>,
        asked: usize,
    ) -> Poll<io::Result<usize>> {
        match ready!(result) {
            Ok(bytes) => {
                self.gauge.wrote.set(self.gauge.wrote.get() || bytes > 0);
                Poll::Ready(Ok(bytes))
            }
            Err(error) if is_closed(&error) => {
                self.gauge.write_failed.set(true);
                // Nobody needs to wake us: a dead socket is ready to be read.
                if self.http2 { Poll::Ready(Ok(asked)) } else { Poll::Pending }
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.gauge.ended();
    }
}

fn is_closed(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset)
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        match &mut this.stream {
            Stream::Plain(socket) => ready!(Pin::new(socket).poll_read(cx, buf))?,
            Stream::Tls(tls) => ready!(Pin::new(tls).poll_read(cx, buf))?,
        }
        Poll::Ready(this.gauge.count_read(buf.filled().get(before..).unwrap_or_default()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = match &mut this.stream {
            Stream::Plain(socket) => Pin::new(socket).poll_write(cx, buf),
            Stream::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        };
        this.count_write(result, buf.len())
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = match &mut this.stream {
            Stream::Plain(socket) => Pin::new(socket).poll_write_vectored(cx, bufs),
            Stream::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
        };
        this.count_write(result, bufs.iter().map(|buf| buf.len()).sum())
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(socket) => socket.is_write_vectored(),
            Stream::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = match &mut this.stream {
            Stream::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_flush(cx),
        };
        this.count_write(result.map_ok(|()| 0), 0).map_ok(|_| ())
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
