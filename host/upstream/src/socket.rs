//! The socket of one connection, read when asked even if the runtime knows of nothing to read.

use std::{
    cell::Cell,
    io::{self, Read},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::circuit::Place;

/// Bytes that a look at the socket reads at most.
const LOOK: usize = 8 << 10;

/// The socket of one connection.
///
/// The runtime learns of a close only when it next asks the kernel, and until then a kept connection looks alive. With
/// its mark set, the next read asks the kernel itself. hyper reads before it writes, so a close, a `GOAWAY` or a TLS alert
/// that has arrived is seen before the request goes out, and the request is given back unsent.
pub(crate) struct Socket {
    tcp: TcpStream,
    look: Rc<Cell<bool>>,
    _place: Option<Place>,
}

impl Socket {
    /// `place`: the leave to have it open, if it takes one.
    pub(crate) fn new(tcp: TcpStream, place: Option<Place>) -> Self {
        Self { tcp, look: Rc::default(), _place: place }
    }

    /// The mark that makes the next read look at the socket itself.
    pub(crate) fn mark(&self) -> Rc<Cell<bool>> {
        self.look.clone()
    }

    /// Whatever closes the connection, it will be a reset.
    pub(crate) fn reset(&self) {
        let _ = SockRef::from(&self.tcp).set_linger(Some(Duration::ZERO)); // if not, it is closed all the same
    }

    fn look(&self, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let space = buf.initialize_unfilled_to(buf.remaining().min(LOOK));
        let read = (&mut &*SockRef::from(&self.tcp)).read(space);
        match read {
            Ok(read) => {
                buf.advance(read);
                Poll::Ready(Ok(()))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.look.take() {
            let looked = this.look(buf);
            if looked.is_ready() {
                return looked;
            }
        }
        Pin::new(&mut this.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tcp).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tcp).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncReadExt, net::TcpListener};

    use super::*;

    #[tokio::test]
    async fn a_look_sees_what_the_runtime_does_not_know_yet() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tcp = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut socket = Socket::new(tcp, None);
        drop(listener.accept().await.unwrap());
        let mark = socket.mark();
        let mut byte = [0];
        let mut read = |socket: &mut Socket| {
            let mut cx = Context::from_waker(std::task::Waker::noop());
            Pin::new(socket).poll_read(&mut cx, &mut ReadBuf::new(&mut byte))
        };
        assert!(read(&mut socket).is_pending(), "closed, but nobody has asked the kernel");
        mark.set(true);
        assert!(matches!(read(&mut socket), Poll::Ready(Ok(()))));
        assert!(!mark.get());
        assert_eq!(socket.read(&mut [0]).await.unwrap(), 0);
    }
}
