//! Where HTTP/1.1 messages of a client begin and end, read strictly.

/// Reads along with the parser and refuses what different servers frame differently (RFC 9112 6.3, 11.2).
///
/// hyper repairs some of it before anybody can see it: of two equal `content-length` fields one is left, beside
/// `transfer-encoding` none is, lines may end in a bare LF, chunk sizes may be followed by spaces. A proxy in front of us
/// may have read such a message otherwise. Here it is an error; everything else is left to hyper's parser, which reads
/// the same bytes afterwards.
#[derive(Debug)]
pub(crate) struct Framing {
    state: State,
    /// The begin of a line that has not come to its end, at most [`MAX_LINE`] bytes.
    line: Vec<u8>,
    /// Empty lines before a request line.
    blank: u8,
    length: Option<u64>,
    chunked: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before or in a request line.
    Start,
    Fields,
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
    Trailers,
    Refused,
}

/// A violation: at this position, and the byte to put there so that hyper's parser refuses it too.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) at: usize,
    pub(crate) poison: u8,
}

/// Bytes of a line that are kept if it comes in pieces: enough for the two fields that matter.
const MAX_LINE: usize = 128;
/// Empty lines that are ignored before a request (RFC 9112 2.2).
const MAX_BLANK: u8 = 1;
/// Bytes of a chunk extension; nobody uses them.
const MAX_EXTENSION: u16 = 256;
/// Digits of a chunk size: 2^60 bytes.
const MAX_DIGITS: u8 = 15;

impl Framing {
    pub(crate) fn new() -> Self {
        Self { state: State::Start, line: Vec::new(), blank: 0, length: None, chunked: false }
    }

    /// Has a head begun and not ended?
    pub(crate) fn is_in_head(&self) -> bool {
        match self.state {
            State::Start => !self.line.is_empty(),
            state => state == State::Fields,
        }
    }

    /// Reads the next bytes of the connection.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            match self.step(rest) {
                Ok(read) => at += read,
                Err(Violation { at: offset, poison }) => {
                    self.state = State::Refused;
                    return Err(Violation { at: at + offset, poison });
                }
            }
        }
        Ok(())
    }

    /// Reads some of the bytes and says how many.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, Violation> {
        match self.state {
            State::Start | State::Fields | State::Trailers => self.line(bytes),
            State::Body(left) => Ok(self.skip(left, bytes.len(), State::Body, State::Start)),
            State::Data(left) => Ok(self.skip(left, bytes.len(), State::Data, State::DataEnd)),
            State::Refused => Err(violation(0)),
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

    /// Everything in the framing of chunks but data and trailers (RFC 9112 7.1).
    fn chunk_byte(&self, byte: u8) -> Result<State, Violation> {
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
            (State::Extension { .. }, _) => Err(Violation { at: 0, poison: b'\n' }),
            (State::SizeEnd(0), b'\n') => Ok(State::Trailers),
            (State::SizeEnd(size), b'\n') => Ok(State::Data(size)),
            (State::DataEnd, b'\r') => Ok(State::DataEndLf),
            (State::DataEndLf, b'\n') => Ok(State::Size { size: 0, digits: 0 }),
            _ => Err(violation(0)),
        }
    }

    /// A line of a head or of trailers, or a part of it.
    fn line(&mut self, bytes: &[u8]) -> Result<usize, Violation> {
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            self.keep(bytes);
            return Ok(bytes.len());
        };
        let part = bytes.get(..end).unwrap_or_default();
        let ended = if self.line.is_empty() {
            self.line_ended(part)
        } else {
            self.keep(part);
            let mut line = std::mem::take(&mut self.line);
            let ended = self.line_ended(&line);
            line.clear();
            self.line = line;
            ended
        };
        ended.map(|()| end + 1).map_err(|()| violation(end))
    }

    /// Keeps the begin of a line and its last byte; one that is cut is longer than [`MAX_LINE`] with its CR.
    fn keep(&mut self, part: &[u8]) {
        let room = (MAX_LINE + 1).saturating_sub(self.line.len());
        let (kept, cut) = part.split_at(room.min(part.len()));
        self.line.extend_from_slice(kept);
        if let (Some(last), Some(slot)) = (cut.last(), self.line.last_mut()) {
            *slot = *last;
        }
    }

    /// `line` is without its LF and must end in CR. What was cut off its middle cannot matter.
    fn line_ended(&mut self, line: &[u8]) -> Result<(), ()> {
        let line = line.strip_suffix(b"\r").ok_or(())?;
        match (self.state, line) {
            (State::Start, []) => {
                self.blank += 1;
                if self.blank > MAX_BLANK { Err(()) } else { Ok(()) }
            }
            (State::Start, _) => {
                self.blank = 0;
                self.length = None;
                self.chunked = false;
                self.state = State::Fields;
                Ok(())
            }
            (State::Fields, []) => self.head_ended(),
            (State::Fields, line) => self.field(line),
            (_, []) => {
                self.state = State::Start;
                Ok(())
            }
            (_, line) => refuse_fold(line),
        }
    }

    fn field(&mut self, line: &[u8]) -> Result<(), ()> {
        refuse_fold(line)?;
        if !matches!(line.first(), Some(b'c' | b'C' | b't' | b'T')) {
            return Ok(());
        }
        let Some(colon) = line.iter().position(|b| *b == b':') else { return Ok(()) };
        let (name, value) = line.split_at(colon);
        let whole = line.len() < MAX_LINE;
        let value = value.get(1..).filter(|_| whole).unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"content-length") {
            if self.length.is_some() {
                return Err(());
            }
            self.length = Some(decimal(value).ok_or(())?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(());
            }
            self.chunked = true;
        }
        Ok(())
    }

    fn head_ended(&mut self) -> Result<(), ()> {
        self.state = match (self.chunked, self.length) {
            (true, Some(_)) => return Err(()),
            (true, None) => State::Size { size: 0, digits: 0 },
            (false, Some(length @ 1..)) => State::Body(length),
            (false, _) => State::Start,
        };
        Ok(())
    }
}

/// NUL is allowed nowhere.
fn violation(at: usize) -> Violation {
    Violation { at, poison: 0 }
}

/// A field that continues on another line (RFC 9112 5.2).
fn refuse_fold(line: &[u8]) -> Result<(), ()> {
    if matches!(line.first(), Some(b' ' | b'\t')) { Err(()) } else { Ok(()) }
}

fn decimal(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}

#[cfg(test)]
mod tests;
