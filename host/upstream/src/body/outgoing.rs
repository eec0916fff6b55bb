//! The body of a request on its way to an upstream.

use std::{
    cell::{Cell, RefCell},
    fmt,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::BodyError;

/// The body of a request on its way to an upstream.
///
/// An empty or full body can be sent again ([`OutBody::replay`]); a stream cannot. A stream that fails aborts the
/// request: over HTTP/1.1 the connection is closed without the end of the message, over HTTP/2 the stream is reset, so
/// that the upstream never takes a part for the whole.
pub struct OutBody {
    kind: Kind,
    watch: Option<Rc<Watch>>,
}

enum Kind {
    Empty,
    Full(Bytes),
    Stream(Pin<Box<dyn Body<Data = Bytes, Error = BodyError>>>),
}

/// What became of a stream, seen by whoever sends it.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    error: RefCell<Option<BodyError>>,
    ended: Cell<Option<Instant>>,
}

impl OutBody {
    /// No body.
    pub fn empty() -> Self {
        Self { kind: Kind::Empty, watch: None }
    }

    /// A whole body, kept in memory. No bytes are an empty body.
    pub fn full(bytes: Bytes) -> Self {
        if bytes.is_empty() {
            return Self::empty();
        }
        Self { kind: Kind::Full(bytes), watch: None }
    }

    /// A body that comes piece by piece. Its `size_hint` decides the framing: an exact one becomes `content-length`,
    /// otherwise the body is chunked (RFC 9112 6).
    pub fn stream(body: impl Body<Data = Bytes, Error = BodyError> + 'static) -> Self {
        if body.is_end_stream() {
            return Self::empty();
        }
        Self { kind: Kind::Stream(Box::pin(body)), watch: None }
    }

    /// The same body once more; `None` if it is a stream.
    pub fn replay(&self) -> Option<Self> {
        match &self.kind {
            Kind::Empty => Some(Self::empty()),
            Kind::Full(bytes) => Some(Self::full(bytes.clone())),
            Kind::Stream(_) => None,
        }
    }

    /// Begins to watch a stream; other bodies cannot fail.
    pub(crate) fn watch(&mut self) -> Option<Rc<Watch>> {
        if !matches!(self.kind, Kind::Stream(_)) {
            return None;
        }
        Some(self.watch.get_or_insert_default().clone())
    }
}

impl Watch {
    /// The error that ended the stream, if one did.
    pub(crate) fn error(&self) -> Option<BodyError> {
        self.error.borrow().clone()
    }

    /// When the stream had been read to its end.
    pub(crate) fn ended(&self) -> Option<Instant> {
        self.ended.get()
    }

    pub(crate) fn end(&self) {
        self.ended.set(self.ended.get().or_else(|| Some(Instant::now())));
    }
}

impl Body for OutBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let stream = match &mut this.kind {
            Kind::Empty => return Poll::Ready(None),
            Kind::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                this.kind = Kind::Empty;
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            Kind::Stream(stream) => stream,
        };
        let frame = ready!(stream.as_mut().poll_frame(cx));
        if let Some(watch) = &this.watch {
            match &frame {
                Some(Err(error)) => *watch.error.borrow_mut() = Some(error.clone()),
                Some(Ok(_)) if !stream.is_end_stream() => {}
                _ => watch.end(),
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Empty => true,
            Kind::Full(_) => false,
            Kind::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Stream(stream) => stream.size_hint(),
        }
    }
}

impl Default for OutBody {
    fn default() -> Self {
        Self::empty()
    }
}

impl From<Bytes> for OutBody {
    fn from(bytes: Bytes) -> Self {
        Self::full(bytes)
    }
}

impl fmt::Debug for OutBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Empty => "empty",
            Kind::Full(_) => "full",
            Kind::Stream(_) => "stream",
        };
        f.debug_tuple("OutBody").field(&kind).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use http_body_util::{BodyExt, Full};

    use super::*;
    use crate::Cause;

    struct Frames(VecDeque<Result<Frame<Bytes>, BodyError>>);

    impl Body for Frames {
        type Data = Bytes;
        type Error = BodyError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
            Poll::Ready(self.0.pop_front())
        }
    }

    fn frames<const N: usize>(frames: [Result<Frame<Bytes>, BodyError>; N]) -> Frames {
        Frames(frames.into())
    }

    #[test]
    fn only_a_body_in_memory_can_be_sent_again() {
        assert!(OutBody::empty().replay().is_some());
        assert!(OutBody::full(Bytes::from_static(b"abc")).replay().is_some());
        assert!(OutBody::stream(frames([])).replay().is_none());
    }

    #[test]
    fn framing_facts_are_exact() {
        let check = |body: OutBody, end: bool, size: Option<u64>| {
            assert_eq!((body.is_end_stream(), body.size_hint().exact()), (end, size));
        };
        check(OutBody::empty(), true, Some(0));
        check(OutBody::full(Bytes::new()), true, Some(0));
        check(OutBody::full(Bytes::from_static(b"abc")), false, Some(3));
        check(OutBody::stream(frames([])), false, None);
        let full = Full::new(Bytes::from_static(b"abcd")).map_err(|never| match never {});
        check(OutBody::stream(full), false, Some(4));
    }

    #[tokio::test]
    async fn a_full_body_is_read_once() {
        let body = OutBody::full(Bytes::from_static(b"abc"));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "abc");
    }

    #[tokio::test]
    async fn the_error_of_a_stream_is_seen_by_its_watch() {
        let lost = BodyError::Client(Cause::new("gone"));
        let mut body =
            OutBody::stream(frames([Ok(Frame::data(Bytes::from_static(b"a"))), Err(lost)]));
        let watch = body.watch().unwrap();
        assert!(watch.error().is_none());
        assert!(body.collect().await.is_err());
        assert!(matches!(watch.error(), Some(BodyError::Client(_))));
    }
}
