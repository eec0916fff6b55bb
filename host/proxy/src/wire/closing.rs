//! How a client's connection ends.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// The last words to a client, the end of ours, and a short look at what it still sends.
///
/// A socket that is closed with bytes unread answers with a reset, and that takes an answer away from a client that is
/// still sending (RFC 9112 9.6). So what it sends is thrown away for a moment, in bounds.
#[derive(Debug)]
pub(super) enum Closing {
    /// What is left to say.
    Speaking(Bytes),
    Flushing,
    Ending,
    Lingering {
        left: usize,
        until: Pin<Box<Sleep>>,
    },
    Ended,
}

/// Bytes that are thrown away at most (THREATS A14).
const LINGER_BYTES: usize = 64 << 10;
/// And for so long at most: some round trips.
const LINGER: Duration = Duration::from_secs(1);
/// Bytes that are thrown away at once.
const STEP: usize = 4 << 10;

impl Closing {
    pub(super) fn new(last_words: Bytes) -> Self {
        Self::Speaking(last_words)
    }

    /// Ready: it has ended. `lingers`: the client may be sending.
    pub(super) fn poll(
        &mut self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        lingers: bool,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            match self {
                Closing::Speaking(words) if words.has_remaining() => {
                    let written = ready!(Pin::new(&mut *stream).poll_write(cx, words))?;
                    if written == 0 {
                        return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                    }
                    words.advance(written);
                }
                Closing::Speaking(_) => *self = Closing::Flushing,
                Closing::Flushing => {
                    ready!(Pin::new(&mut *stream).poll_flush(cx))?;
                    *self = Closing::Ending;
                }
                Closing::Ending => {
                    ready!(Pin::new(&mut *stream).poll_shutdown(cx))?;
                    *self = match lingers {
                        true => {
                            let until = Box::pin(sleep(LINGER));
                            Closing::Lingering { left: LINGER_BYTES, until }
                        }
                        false => Closing::Ended,
                    };
                }
                Closing::Lingering { left, until } => {
                    let is_over = until.as_mut().poll(cx).is_ready();
                    if is_over || *left == 0 || !ready!(thrown_away(stream, left, cx)) {
                        *self = Closing::Ended;
                    }
                }
                Closing::Ended => return Poll::Ready(Ok(())),
            }
        }
    }
}

/// Throws away what has come; `false`: the client has closed too.
fn thrown_away(
    stream: &mut (impl AsyncRead + Unpin),
    left: &mut usize,
    cx: &mut Context<'_>,
) -> Poll<bool> {
    let mut space = [0; STEP];
    let room = space.get_mut(..STEP.min(*left)).unwrap_or_default();
    let mut room = ReadBuf::new(room);
    let read = ready!(Pin::new(stream).poll_read(cx, &mut room));
    *left = left.saturating_sub(room.filled().len());
    Poll::Ready(read.is_ok() && !room.filled().is_empty())
}
