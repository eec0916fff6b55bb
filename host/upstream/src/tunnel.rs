//! A connection to an endpoint that no longer speaks HTTP.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{pool::Open, upstream::InFlight, wire::Wire};

/// A connection to an endpoint that no longer speaks HTTP (RFC 9110 7.8). Dropping it closes the connection. Until then it
/// counts as a request that the endpoint is busy with.
pub struct Tunnel {
    wire: Wire,
    /// Read together with the head of the `101`.
    front: Bytes,
    _open: Open,
    _in_flight: Option<InFlight>,
}

impl Tunnel {
    pub(crate) fn new(wire: Wire, front: Bytes, open: Open) -> Self {
        Self { wire, front, _open: open, _in_flight: None }
    }

    /// From now on the connection does not look as if it had ended in order, whenever it is dropped.
    pub fn reset(&self) {
        self.wire.reset();
    }

    pub(crate) fn holding(self, in_flight: InFlight) -> Self {
        Self { _in_flight: Some(in_flight), ..self }
    }
}

impl std::fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tunnel").finish_non_exhaustive()
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.front.has_remaining() {
            let length = this.front.len().min(buf.remaining());
            buf.put_slice(&this.front.split_to(length));
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.wire).poll_read(cx, buf)
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().wire).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().wire).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().wire).poll_shutdown(cx)
    }
}
