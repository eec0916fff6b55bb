//! Where HTTP/1.1 messages of a client begin and end, read strictly.

mod head;

use super::Refusal;
pub(crate) use head::HeadLimits;
use head::{After, Head, is_token};

/// Reads before the parser does and refuses what different servers read differently (RFC 9112 6.3, 11.2).
///
/// hyper repairs some of it before anybody can see it: of two equal `content-length` fields one is left, beside
/// `transfer-encoding` none is, lines may end in a bare LF, chunk sizes may be followed by spaces. A proxy in front of us
/// may have read such a message otherwise. Here it is an error.
///
/// A head is let through in one piece, once its end is there: hyper would begin anew with each packet of it.
#[derive(Debug)]
pub(crate) struct Framing {
    state: State,
    head: Head,
    limits: HeadLimits,
    heads: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before or in a head.
    Head,
    /// Bytes of a body with `content-length` that are missing.
    Body(u64),
    Size {
        size: u64,
        digits: u8,
    },
    Extension {
        size: u64,
        length: u16,
    },
    SizeEnd(u64),
    Data(u64),
    DataEnd,
    DataEndLf,
    /// Before a line of trailers.
    Trailer,
    TrailerName,
    TrailerValue,
    TrailerLineLf,
    TrailersEndLf,
    Refused,
}

/// What is wrong, and where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Violation {
    /// With the head that begins here.
    Head { at: usize, refusal: Refusal },
    /// With the body, at this position, and the byte to put there so that hyper's parser refuses it too.
    Body { at: usize, poison: u8 },
}

/// Bytes of a chunk extension; nobody uses them.
const MAX_EXTENSION: u16 = 256;
/// Digits of a chunk size: 2^60 bytes.
const MAX_DIGITS: u8 = 15;

impl Framing {
    pub(crate) fn new(limits: HeadLimits) -> Self {
        Self { state: State::Head, head: Head::default(), limits, heads: 0 }
    }

    /// Heads that were let through.
    pub(crate) fn heads(&self) -> u64 {
        self.heads
    }

    /// Is a message under way?
    pub(crate) fn is_in_body(&self) -> bool {
        self.state != State::Head
    }

    /// Reads the next bytes of the connection and says how many may go on. What may not is a head that has not ended; it
    /// must come again with what follows it.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Result<usize, Violation> {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let read = match self.state {
                State::Head => match self.read_head(rest) {
                    Ok(Some(read)) => read,
                    Ok(None) => break,
                    Err(refusal) => {
                        self.state = State::Refused;
                        return Err(Violation::Head { at, refusal });
                    }
                },
                _ => match self.read_body(rest) {
                    Ok(read) => read,
                    Err(poison) => {
                        self.state = State::Refused;
                        return Err(Violation::Body { at, poison });
                    }
                },
            };
            at += read;
        }
        Ok(at)
    }

    fn read_head(&mut self, bytes: &[u8]) -> Result<Option<usize>, Refusal> {
        let Some((length, after)) = self.head.read(bytes, &self.limits)? else { return Ok(None) };
        self.heads += 1;
        self.state = match after {
            After::Nothing => State::Head,
            After::Length(length) => State::Body(length),
            After::Chunks => State::Size { size: 0, digits: 0 },
        };
        Ok(Some(length))
    }

    /// Reads some of a body and says how much, or what to put in the place of a byte that is wrong.
    fn read_body(&mut self, bytes: &[u8]) -> Result<usize, u8> {
        match self.state {
            State::Body(left) => Ok(self.skip(left, bytes.len(), State::Body, State::Head)),
            State::Data(left) => Ok(self.skip(left, bytes.len(), State::Data, State::DataEnd)),
            _ => {
                let byte = bytes.first().copied().unwrap_or_default();
                self.state = self.chunk_byte(byte)?;
                Ok(1)
            }
        }
    }

    fn skip(
        &mut self,
        left: u64,
        there: usize,
        more: impl FnOnce(u64) -> State,
        done: State,
    ) -> usize {
        let read = usize::try_from(left).unwrap_or(usize::MAX).min(there);
        let left = left.saturating_sub(read as u64);
        self.state = if left == 0 { done } else { more(left) };
        read
    }

    /// Everything in the framing of chunks but data (RFC 9112 7.1).
    fn chunk_byte(&self, byte: u8) -> Result<State, u8> {
        match (self.state, byte) {
            (State::Size { size, digits }, _)
                if byte.is_ascii_hexdigit() && digits < MAX_DIGITS =>
            {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                Ok(State::Size { size: size * 16 + u64::from(digit), digits: digits + 1 })
            }
            (State::Size { size, digits: 1.. }, b';') => Ok(State::Extension { size, length: 0 }),
            (State::Size { size, digits: 1.. } | State::Extension { size, .. }, b'\r') => {
                Ok(State::SizeEnd(size))
            }
            (State::Extension { size, length }, b'\t' | 0x20..=0x7e | 0x80..)
                if length < MAX_EXTENSION =>
            {
                Ok(State::Extension { size, length: length + 1 })
            }
            (State::Extension { .. }, _) => Err(b'\n'), // hyper takes a NUL here
            (State::SizeEnd(0), b'\n') => Ok(State::Trailer),
            (State::SizeEnd(size), b'\n') => Ok(State::Data(size)),
            (State::DataEnd, b'\r') => Ok(State::DataEndLf),
            (State::DataEndLf, b'\n') => Ok(State::Size { size: 0, digits: 0 }),
            _ => self.trailer_byte(byte),
        }
    }

    /// Trailers are fields whose lines end in CRLF and do not go on in the next one (RFC 9112 7.1.2).
    fn trailer_byte(&self, byte: u8) -> Result<State, u8> {
        match (self.state, byte) {
            (State::Trailer, b'\r') => Ok(State::TrailersEndLf),
            (State::TrailerName, b':') => Ok(State::TrailerValue),
            (State::Trailer | State::TrailerName, _) if is_token(byte) => Ok(State::TrailerName),
            (State::TrailerValue, b'\t' | 0x20..=0x7e | 0x80..) => Ok(State::TrailerValue),
            (State::TrailerValue, b'\r') => Ok(State::TrailerLineLf),
            (State::TrailerLineLf, b'\n') => Ok(State::Trailer),
            (State::TrailersEndLf, b'\n') => Ok(State::Head),
            _ => Err(0), // NUL is allowed nowhere
        }
    }
}

#[cfg(test)]
mod tests;
