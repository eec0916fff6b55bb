//! What comes in over HTTP/1 on its way to the parser.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, ReadBuf};

use super::{
    Refusal,
    framing::{Framing, HeadLimits, Violation},
};

/// Checks what comes in over HTTP/1 and keeps heads back until they are whole, so that the parser sees each once and none
/// that was refused. Whole heads and bodies go straight into the parser's buffer.
#[derive(Debug)]
pub(super) struct Intake {
    framing: Framing,
    /// Checked, and not handed out yet.
    ready: Bytes,
    /// The begin of a head.
    held: BytesMut,
    /// `held` is what was read before the protocol was known.
    unchecked: bool,
    /// `ready` ends in what makes the parser refuse a body.
    is_bad: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    Open,
    /// A byte that the parser refuses was handed out; it may wait for the end of trailers before it looks.
    Poisoned,
    Ended,
    /// A head was refused; what came before it goes on. It, and what came with it.
    Refused(Refusal, Bytes),
}

/// What the parser gets.
pub(super) enum Intook {
    /// What is in its buffer; nothing: the client has closed.
    Bytes,
    /// A body is not framed as one. What is in the buffer makes the parser see it too.
    BadBody,
    /// No more after a bad body; the request that it belongs to has still to be answered.
    Nothing,
    /// No more: what follows is no head, for this reason; it, and what came with it.
    Refused(Refusal, Bytes),
}

/// Bytes that are read at once while a head is not whole.
const STEP: usize = 4 << 10;
/// The end of trailers.
const END: &[u8] = b"\r\n\r\n";

impl Intake {
    /// `front`: read before the protocol was known.
    pub(super) fn new(limits: HeadLimits, front: Bytes) -> Self {
        Self {
            framing: Framing::new(limits),
            ready: Bytes::new(),
            unchecked: !front.is_empty(),
            is_bad: false,
            held: front.into(),
            state: State::Open,
        }
    }

    /// Heads that were handed out.
    pub(super) fn heads(&self) -> u64 {
        self.framing.heads()
    }

    /// Has a head begun and not ended?
    pub(super) fn is_in_head(&self) -> bool {
        !self.held.is_empty()
    }

    /// May the client send more that belongs to what it has begun?
    pub(super) fn is_in_message(&self) -> bool {
        self.is_in_head() || self.framing.is_in_body()
    }

    /// Has all that came been handed out, and was it whole messages?
    pub(super) fn is_between_messages(&self) -> bool {
        matches!(self.state, State::Open) && self.ready.is_empty() && !self.is_in_message()
    }

    pub(super) fn poll_read(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<Intook>> {
        loop {
            if self.ready.has_remaining() {
                let length = self.ready.len().min(buf.remaining());
                buf.put_slice(&self.ready.split_to(length));
                let is_bad = self.ready.is_empty() && std::mem::take(&mut self.is_bad);
                return Poll::Ready(Ok(if is_bad { Intook::BadBody } else { Intook::Bytes }));
            }
            match &self.state {
                State::Open => {}
                State::Refused(refusal, head) => {
                    return Poll::Ready(Ok(Intook::Refused(*refusal, head.clone())));
                }
                State::Ended => return Poll::Ready(Ok(Intook::Nothing)),
                State::Poisoned => {
                    self.state = State::Ended;
                    self.ready = Bytes::from_static(END);
                    continue;
                }
            }
            if !self.held.is_empty() {
                if !std::mem::take(&mut self.unchecked) && ready!(self.poll_more(stream, cx))? == 0
                {
                    return Poll::Ready(Ok(Intook::Bytes)); // gone in the middle of a head
                }
                self.check_held();
                continue;
            }
            let before = buf.filled().len();
            ready!(Pin::new(&mut *stream).poll_read(cx, buf))?;
            let fresh = buf.filled().len() - before;
            let bad = self.check(buf, before);
            if bad {
                return Poll::Ready(Ok(Intook::BadBody));
            }
            if fresh == 0 || buf.filled().len() > before {
                return Poll::Ready(Ok(Intook::Bytes));
            }
        }
    }

    /// What came after the last request that was let through, for another protocol; `None` if a server might have read a
    /// request in it that we refused.
    pub(super) fn leave(&mut self) -> Option<Bytes> {
        let rest = match &self.state {
            State::Open => std::mem::take(&mut self.held).freeze(),
            State::Refused(_, rest) if memchr::memchr(b'\n', rest).is_none() => rest.clone(),
            _ => return None,
        };
        match self.ready.is_empty() {
            true => Some(rest),
            false => Some([std::mem::take(&mut self.ready), rest].concat().into()),
        }
    }

    /// Reads some more of a head and says how much.
    fn poll_more(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut more = [0; STEP];
        let mut more = ReadBuf::new(&mut more);
        ready!(Pin::new(stream).poll_read(cx, &mut more))?;
        self.held.extend_from_slice(more.filled());
        Poll::Ready(Ok(more.filled().len()))
    }

    /// Checks what was read into the parser's buffer and takes back what may not go on. `true`: a body is bad.
    fn check(&mut self, buf: &mut ReadBuf<'_>, before: usize) -> bool {
        let fresh = buf.filled().get(before..).unwrap_or_default();
        let pass = match self.framing.read(fresh) {
            Ok(read) => {
                self.held.extend_from_slice(fresh.get(read..).unwrap_or_default());
                read
            }
            Err(Violation::Head { at, refusal }) => {
                self.state = refused(refusal, fresh.get(at..).unwrap_or_default());
                at
            }
            Err(Violation::Body { at, poison }) => {
                if let Some(byte) = buf.filled_mut().get_mut(before + at) {
                    *byte = poison;
                }
                buf.set_filled(before + at + 1);
                self.state = State::Poisoned;
                return true;
            }
        };
        buf.set_filled(before + pass);
        false
    }

    /// Checks the head that is held back, with what follows it.
    fn check_held(&mut self) {
        let pass = match self.framing.read(&self.held) {
            Ok(read) => read,
            Err(Violation::Head { at, refusal }) => {
                self.state = refused(refusal, self.held.get(at..).unwrap_or_default());
                at
            }
            Err(Violation::Body { at, poison }) => {
                if let Some(byte) = self.held.get_mut(at) {
                    *byte = poison;
                }
                self.state = State::Poisoned;
                self.is_bad = true;
                at + 1
            }
        };
        self.ready = self.held.split_to(pass.min(self.held.len())).freeze();
        if self.held.is_empty() || !matches!(self.state, State::Open) {
            self.held = BytesMut::new(); // not the memory of the longest head for all the connection's life
        }
    }
}

fn refused(refusal: Refusal, head: &[u8]) -> State {
    State::Refused(refusal, Bytes::copy_from_slice(head))
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    /// What the parser gets of these bytes, and what is left for another protocol.
    fn taken(bytes: &[u8]) -> (Vec<u8>, Option<Bytes>) {
        let limits = HeadLimits { bytes: 4_096, fields: 10 };
        let mut intake = Intake::new(limits, Bytes::copy_from_slice(bytes));
        let (mut space, mut nothing) = ([0; 4_096], tokio::io::empty());
        let mut buf = ReadBuf::new(&mut space);
        let mut cx = Context::from_waker(Waker::noop());
        let _ = intake.poll_read(&mut nothing, &mut cx, &mut buf);
        (buf.filled().to_vec(), intake.leave())
    }

    #[test]
    fn what_follows_the_last_request_is_left_for_another_protocol() {
        let get = b"GET / HTTP/1.1\r\nupgrade: x\r\n\r\n".as_slice();
        let check = |rest: &[u8], expected: Option<&[u8]>| {
            let (passed, left) = taken(&[get, rest].concat());
            assert_eq!(passed, get);
            assert_eq!(left.as_deref(), expected, "{rest:?}");
        };
        check(b"", Some(b""));
        check(b"hello", Some(b"hello"));
        check(b"\x81\x85frame", Some(b"\x81\x85frame"));
        check(b"x y z\r\n", None);
        check(b"GET / HTTP/1.1\r\nhost: a", Some(b"GET / HTTP/1.1\r\nhost: a"));
        check(b"GET / HTTP/1.1\r\nx y: a\r\n\r\n", None);
    }
}
