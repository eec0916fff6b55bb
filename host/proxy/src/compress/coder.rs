//! A body on its way through an encoder.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use async_compression::{
    Level,
    brotli::EncoderParams,
    tokio::write::{BrotliEncoder, GzipEncoder, ZstdEncoder},
    zstd::CParameter,
};
use bytes::Bytes;
use edgewit_model::Encoding;
use http::HeaderMap;
use http_body::{Body, Frame};
use tokio::io::AsyncWrite;

use crate::piped::{Halt, Part, Piped};

/// Encodes what a body hands out, a chunk at a time. When the body pauses, everything so far is flushed, so that what was
/// sent can be read. A body that breaks off leaves no proper end.
pub(crate) struct Coder {
    encoder: Encoder,
    /// What came and was not written yet.
    left: Bytes,
    /// Something was written and not flushed.
    unflushed: bool,
    trailers: Option<HeaderMap>,
    ended: bool,
    _running: Running,
}

/// Bodies that are being encoded at a time, on each worker: with 0.8 MiB each they hold 200 MiB. Further responses are sent
/// as they are, so that clients which do not read cannot fill the memory.
const MOST: usize = 256;

/// Bytes that are encoded before what came out is handed on: a filter may pass a body on as one chunk of many MiB.
const PIECE: usize = 64 << 10;

thread_local! {
    /// Of this worker.
    static RUNNING: Cell<usize> = const { Cell::new(0) };
}

/// One of them.
struct Running;

/// Writing into memory, none of these ever waits.
enum Encoder {
    Gzip(GzipEncoder<Vec<u8>>),
    Brotli(Box<BrotliEncoder<Vec<u8>>>),
    Zstd(ZstdEncoder<Vec<u8>>),
}

/// What each body holds is bounded by these: 0.3 MiB for gzip, 0.8 MiB for brotli and 0.7 MiB for zstd, as measured.
const GZIP_LEVEL: i32 = 5;
/// Of 11; higher ones are for what is compressed once. 4 saves 5 % more and holds twice the memory.
const BROTLI_LEVEL: i32 = 3;
const ZSTD_LEVEL: i32 = 3;
/// As a power of two, for brotli and zstd: 128 KiB.
const WINDOW: u8 = 17;
/// As a power of two: entries of the tables in which zstd finds repetitions.
const ZSTD_TABLE: u32 = 15;

impl Coder {
    /// Whether this worker may begin another one.
    pub(crate) fn has_room() -> bool {
        RUNNING.get() < MOST
    }

    pub(crate) fn new(encoding: Encoding) -> Self {
        let encoder = match encoding {
            Encoding::Gzip => {
                let level = Level::Precise(GZIP_LEVEL);
                Encoder::Gzip(GzipEncoder::with_quality(Vec::new(), level))
            }
            Encoding::Brotli => {
                let params = EncoderParams::default().quality(Level::Precise(BROTLI_LEVEL));
                let params = params.window_size(WINDOW.into()).block_size(16);
                Encoder::Brotli(Box::new(BrotliEncoder::with_params(Vec::new(), params)))
            }
            Encoding::Zstd => {
                let bounds = [
                    CParameter::window_log(WINDOW.into()),
                    CParameter::hash_log(ZSTD_TABLE),
                    CParameter::chain_log(ZSTD_TABLE),
                ];
                let level = Level::Precise(ZSTD_LEVEL);
                Encoder::Zstd(ZstdEncoder::with_quality_and_params(Vec::new(), level, &bounds))
            }
        };
        let _running = Running::begin();
        Self {
            encoder,
            left: Bytes::new(),
            unflushed: false,
            trailers: None,
            ended: false,
            _running,
        }
    }

    /// Whether everything was handed out.
    pub(crate) fn is_end_stream(&self) -> bool {
        self.ended && self.trailers.is_none() && self.encoder.written().is_empty()
    }

    /// The next part of the encoded body.
    pub(crate) fn poll_next<B: Body<Data = Bytes> + Unpin>(
        &mut self,
        body: &mut Piped<B>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Part<B::Error>>> {
        loop {
            if let Some(chunk) = self.encoder.take() {
                return Poll::Ready(Some(Ok(Frame::data(chunk))));
            }
            if !self.left.is_empty() {
                let piece = self.left.split_to(self.left.len().min(PIECE));
                self.unflushed = true;
                match self.encoder.write(cx, &piece) {
                    Poll::Ready(Ok(())) => continue,
                    _ => return self.broken(),
                }
            }
            if self.ended {
                return Poll::Ready(self.trailers.take().map(|t| Ok(Frame::trailers(t))));
            }
            let next = body.poll_next(cx);
            if next.is_pending() && !self.unflushed {
                return Poll::Pending;
            }
            let done = match next {
                Poll::Pending => {
                    self.unflushed = false;
                    self.encoder.flush(cx)
                }
                Poll::Ready(Some(Err(halt))) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(halt)));
                }
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(chunk) => {
                        self.left = chunk;
                        continue;
                    }
                    Err(frame) => {
                        self.trailers = frame.into_trailers().ok();
                        self.finish(cx)
                    }
                },
                Poll::Ready(None) => self.finish(cx),
            };
            if !matches!(done, Poll::Ready(Ok(()))) {
                return self.broken();
            }
        }
    }

    fn broken<E>(&mut self) -> Poll<Option<Part<E>>> {
        self.ended = true;
        self.left = Bytes::new();
        Poll::Ready(Some(Err(Halt::Cut)))
    }

    fn finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.ended = true;
        Pin::new(self.encoder.writer()).poll_shutdown(cx)
    }
}

impl Running {
    fn begin() -> Self {
        RUNNING.set(RUNNING.get() + 1);
        Self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.set(RUNNING.get().saturating_sub(1));
    }
}

impl Encoder {
    fn writer(&mut self) -> &mut (dyn AsyncWrite + Unpin) {
        match self {
            Self::Gzip(encoder) => encoder,
            Self::Brotli(encoder) => &mut **encoder,
            Self::Zstd(encoder) => encoder,
        }
    }

    fn written(&self) -> &Vec<u8> {
        match self {
            Self::Gzip(encoder) => encoder.get_ref(),
            Self::Brotli(encoder) => encoder.get_ref(),
            Self::Zstd(encoder) => encoder.get_ref(),
        }
    }

    /// What was encoded so far, if anything.
    fn take(&mut self) -> Option<Bytes> {
        let written = match self {
            Self::Gzip(encoder) => encoder.get_mut(),
            Self::Brotli(encoder) => encoder.get_mut(),
            Self::Zstd(encoder) => encoder.get_mut(),
        };
        (!written.is_empty()).then(|| std::mem::take(written).into())
    }

    fn write(&mut self, cx: &mut Context<'_>, mut chunk: &[u8]) -> Poll<io::Result<()>> {
        while !chunk.is_empty() {
            let taken = ready!(Pin::new(self.writer()).poll_write(cx, chunk))?;
            if taken == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            chunk = chunk.get(taken..).unwrap_or_default();
        }
        Poll::Ready(Ok(()))
    }

    fn flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.writer()).poll_flush(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_bodies_are_encoded_at_a_time_and_no_more() {
        let mut all: Vec<Coder> = Vec::new();
        while Coder::has_room() {
            all.push(Coder::new(Encoding::Gzip));
        }
        assert_eq!(all.len(), MOST);
        all.pop();
        assert!(Coder::has_room());
        drop(all);
        assert_eq!(RUNNING.get(), 0);
    }
}
