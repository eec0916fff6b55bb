//! Bytes in one direction.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::patience::Patience;

/// Bytes that are read at a time, and held at most while the other side does not take them.
const CHUNK: usize = 16 << 10;

/// Bytes in one direction, to the end that the sender gives them. What is read is written before more is read. A flow that
/// carries nothing holds no memory, and a receiver that takes nothing does not keep it for long.
#[derive(Debug)]
pub(super) struct Flow {
    held: Bytes,
    state: State,
    moved: usize,
    patience: Patience,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// The sender has ended.
    Ending,
    /// The receiver knows.
    Ended,
}

/// Which side broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    From,
    To,
}

impl Flow {
    /// `held` has been read already. `stall`: how long the receiver may take nothing of what there is for it.
    pub(super) fn new(held: Bytes, stall: Duration) -> Self {
        Self { held, state: State::Open, moved: 0, patience: Patience::new(stall, None) }
    }

    /// Bytes that were written since the last time.
    pub(super) fn take_moved(&mut self) -> usize {
        std::mem::take(&mut self.moved)
    }

    /// Moves what can be moved. Ready when the sender's end was passed on, or a side broke.
    pub(super) fn poll<F, T>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut F,
        to: &mut T,
    ) -> Poll<Result<(), Fault>>
    where
        F: AsyncRead + Unpin,
        T: AsyncWrite + Unpin,
    {
        while self.state != State::Ended {
            ready!(self.write(cx, to)).map_err(|_| Fault::To)?;
            if self.state == State::Ending {
                ready!(Pin::new(&mut *to).poll_shutdown(cx)).map_err(|_| Fault::To)?;
                self.state = State::Ended;
            } else if self.read(cx, from).map_err(|_| Fault::From)?.is_pending() {
                // Nobody waits for the flush: it goes on with the next byte or the next look.
                let flushed = Pin::new(&mut *to).poll_flush(cx);
                return match flushed {
                    Poll::Ready(Err(_)) => Poll::Ready(Err(Fault::To)),
                    _ => Poll::Pending,
                };
            }
        }
        Poll::Ready(Ok(()))
    }

    fn write<T: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut T,
    ) -> Poll<io::Result<()>> {
        while self.held.has_remaining() {
            let Poll::Ready(written) = Pin::new(&mut *to).poll_write(cx, &self.held) else {
                return self.patience.poll_over(cx).map(|()| Err(io::ErrorKind::TimedOut.into()));
            };
            let written = written?;
            self.patience.moved(written);
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.held.advance(written);
            self.moved += written;
        }
        self.held = Bytes::new();
        Poll::Ready(Ok(()))
    }

    fn read<F: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut F,
    ) -> Poll<io::Result<()>> {
        let mut space = [MaybeUninit::uninit(); CHUNK];
        let mut space = ReadBuf::uninit(&mut space);
        ready!(Pin::new(from).poll_read(cx, &mut space))?;
        match space.filled() {
            [] => self.state = State::Ending,
            bytes => self.held = Bytes::copy_from_slice(bytes),
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const STALL: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn everything_arrives_in_order_and_then_the_end() {
        let (mut sender, mut from) = duplex(1_000);
        let (mut to, mut receiver) = duplex(100);
        let sent: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
        let expected = [b"front".as_slice(), &sent].concat();
        let mut flow = Flow::new(Bytes::from_static(b"front"), STALL);
        let write = async {
            sender.write_all(&sent).await.unwrap();
            sender.shutdown().await.unwrap();
        };
        let mut received = Vec::new();
        let read = receiver.read_to_end(&mut received);
        let flows = poll_fn(|cx| flow.poll(cx, &mut from, &mut to));
        let ((), read, ended) = tokio::join!(write, read, flows);
        assert_eq!((read.unwrap(), ended), (expected.len(), Ok(())));
        assert!(received == expected);
        assert_eq!(flow.take_moved(), expected.len());
    }

    #[tokio::test]
    async fn no_more_is_read_than_the_receiver_takes() {
        let (mut sender, mut from) = duplex(1 << 20);
        let (mut to, _receiver) = duplex(100);
        sender.write_all(&vec![0; 1 << 20]).await.unwrap();
        let mut flow = Flow::new(Bytes::new(), STALL);
        let polled = poll_fn(|cx| Poll::Ready(flow.poll(cx, &mut from, &mut to))).await;
        assert!(polled.is_pending());
        assert_eq!(flow.take_moved(), 100);
        let mut left = Vec::new();
        drop(sender);
        from.read_to_end(&mut left).await.unwrap();
        assert_eq!(left.len(), (1 << 20) - CHUNK);
    }

    #[tokio::test(start_paused = true)]
    async fn a_receiver_that_takes_nothing_is_given_up() {
        let (mut sender, mut from) = duplex(1_000);
        let (mut to, _receiver) = duplex(100);
        sender.write_all(&[0; 200]).await.unwrap();
        let mut flow = Flow::new(Bytes::new(), STALL);
        let begun = tokio::time::Instant::now();
        let ended = poll_fn(|cx| flow.poll(cx, &mut from, &mut to)).await;
        assert_eq!((ended, begun.elapsed().as_secs()), (Err(Fault::To), STALL.as_secs()));
    }

    #[tokio::test]
    async fn the_side_that_broke_is_named() {
        let (mut sender, mut from) = duplex(100);
        let (mut to, receiver) = duplex(100);
        drop(receiver);
        sender.write_all(b"lost").await.unwrap();
        let mut flow = Flow::new(Bytes::new(), STALL);
        let ended = poll_fn(|cx| flow.poll(cx, &mut from, &mut to)).await;
        assert_eq!(ended, Err(Fault::To));
    }
}
