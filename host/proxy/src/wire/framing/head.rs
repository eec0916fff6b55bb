//! One head of an HTTP/1 request, read strictly, line by line as it comes.

use crate::wire::Refusal;

/// What a head may use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadLimits {
    /// Bytes with all lines.
    pub(crate) bytes: usize,
    /// Field lines.
    pub(crate) fields: usize,
}

/// How the message goes on after its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    Nothing,
    Length(u64),
    Chunks,
}

/// A head that may not have come to its end.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// Where the line begins that has not ended.
    line: usize,
    /// Bytes that were looked at for an end of line.
    scanned: usize,
    /// The request line was read.
    begun: bool,
    blank: u8,
    fields: usize,
    is_1_0: bool,
    length: Option<u64>,
    chunked: bool,
}

/// Empty lines that are ignored before a request (RFC 9112 2.2).
const MAX_BLANK: u8 = 1;
/// Bytes of a method; the longest that is registered has 17.
const MAX_METHOD: usize = 32;
/// Bytes of a target; hyper takes no more, and RFC 9112 3 asks for 8,000.
const MAX_TARGET: usize = u16::MAX as usize - 1;

impl Head {
    /// Reads a head. `bytes` begins where the head does, each time, and has grown at its end. Says how the message goes on
    /// and how long the head is, once it has ended.
    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        limits: &HeadLimits,
    ) -> Result<Option<(usize, After)>, Refusal> {
        while let Some(end) = memchr::memchr(b'\n', bytes.get(self.scanned..).unwrap_or_default()) {
            let end = self.scanned + end;
            let line = bytes.get(self.line..end).unwrap_or_default();
            if end >= limits.bytes {
                return Err(self.too_large());
            }
            self.line = end + 1;
            self.scanned = self.line;
            let line = line.strip_suffix(b"\r").ok_or(self.malformed())?;
            if self.line(line, limits)? {
                let after = self.after()?;
                let length = self.line;
                *self = Self::default();
                return Ok(Some((length, after)));
            }
        }
        self.scanned = bytes.len();
        if !self.begun {
            check_begin(bytes.get(self.line..).unwrap_or_default())?;
        }
        if bytes.len() >= limits.bytes { Err(self.too_large()) } else { Ok(None) }
    }

    /// Reads a line; `true`: it was the last one.
    fn line(&mut self, line: &[u8], limits: &HeadLimits) -> Result<bool, Refusal> {
        match (self.begun, line) {
            (false, []) => {
                self.blank += 1;
                if self.blank > MAX_BLANK { Err(Refusal::RequestLine) } else { Ok(false) }
            }
            (false, line) => {
                self.is_1_0 = request_line(line)?;
                self.begun = true;
                Ok(false)
            }
            (true, []) => Ok(true),
            (true, line) => {
                self.fields += 1;
                if self.fields > limits.fields {
                    return Err(Refusal::TooManyFields);
                }
                self.field(line).map(|()| false)
            }
        }
    }

    fn field(&mut self, line: &[u8]) -> Result<(), Refusal> {
        let colon = memchr::memchr(b':', line).ok_or(Refusal::Field)?;
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default();
        if !is_name(name) || !is_text(value) {
            return Err(Refusal::Field);
        }
        if !matches!(name.first(), Some(b'c' | b'C' | b't' | b'T')) {
            return Ok(());
        }
        let value = value.trim_ascii();
        if name.eq_ignore_ascii_case(b"content-length") {
            if self.length.is_some() {
                return Err(Refusal::Framing);
            }
            self.length = Some(decimal(value).ok_or(Refusal::Framing)?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Refusal::Framing);
            }
            self.chunked = true;
        }
        Ok(())
    }

    fn after(&self) -> Result<After, Refusal> {
        match (self.chunked, self.length) {
            (true, Some(_)) => Err(Refusal::Framing),
            (true, None) if self.is_1_0 => Err(Refusal::Framing), // RFC 9112 6.1
            (true, None) => Ok(After::Chunks),
            (false, Some(length @ 1..)) => Ok(After::Length(length)),
            (false, _) => Ok(After::Nothing),
        }
    }

    fn too_large(&self) -> Refusal {
        if self.begun { Refusal::HeadTooLarge } else { Refusal::TargetTooLong }
    }

    fn malformed(&self) -> Refusal {
        if self.begun { Refusal::Field } else { Refusal::RequestLine }
    }
}

/// What can be said before the request line has ended: a client that speaks something else is told at once.
fn check_begin(begin: &[u8]) -> Result<(), Refusal> {
    let begin = begin.strip_suffix(b"\r").unwrap_or(begin);
    let method = begin.split(|b| *b == b' ').next().unwrap_or_default();
    let is_empty = method.is_empty() && !begin.is_empty();
    let is_method = method.len() <= MAX_METHOD && method.iter().all(|b| is_token(*b));
    if is_empty || !is_method { Err(Refusal::RequestLine) } else { Ok(()) }
}

/// Reads `method SP target SP version` (RFC 9112 3) and says whether the version is 1.0.
fn request_line(line: &[u8]) -> Result<bool, Refusal> {
    let mut parts = line.split(|b| *b == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Refusal::RequestLine);
    };
    let is_method = !method.is_empty() && method.len() <= MAX_METHOD;
    if !is_method || !method.iter().all(|b| is_token(*b)) {
        return Err(Refusal::RequestLine);
    }
    check_target(method, target)?;
    match version {
        b"HTTP/1.1" => Ok(false),
        b"HTTP/1.0" => Ok(true),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => Err(Refusal::Version),
        _ => Err(Refusal::RequestLine),
    }
}

/// The four forms of a target (RFC 9112 3.2). What it means is for the guard.
fn check_target(method: &[u8], target: &[u8]) -> Result<(), Refusal> {
    if target.len() > MAX_TARGET {
        return Err(Refusal::TargetTooLong);
    }
    if target.is_empty() || !target.iter().all(|b| is_in_target(*b)) {
        return Err(Refusal::RequestLine);
    }
    if target.starts_with(b"/") || target == b"*" {
        return Ok(());
    }
    let is_url = target.get(..7).is_some_and(|t| t.eq_ignore_ascii_case(b"http://"))
        || target.get(..8).is_some_and(|t| t.eq_ignore_ascii_case(b"https://"));
    let is_whole = (is_url || method == b"CONNECT") && http::Uri::try_from(target).is_ok();
    if is_whole { Ok(()) } else { Err(Refusal::RequestLine) }
}

/// Visible ASCII without what no URI has (RFC 3986 2), as far as every client escapes it. A fragment is never sent.
fn is_in_target(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'#' | b'<' | b'>' | b'`')
}

/// RFC 9110 5.6.2.
pub(super) fn is_token(byte: u8) -> bool {
    TOKENS.get(usize::from(byte)).copied().unwrap_or_default()
}

/// Looked up rather than compared: every byte of every name goes through here.
static TOKENS: [bool; 256] = {
    let mut table = [false; 256];
    let mut rest: &[u8] =
        b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    while let [byte, more @ ..] = rest {
        table[*byte as usize] = true;
        rest = more;
    }
    table
};

/// RFC 9110 5.5. All bytes are looked at without a branch, which a compiler makes into vectors.
fn is_text(value: &[u8]) -> bool {
    let is_bad = |byte: u8| (byte < b' ' && byte != b'\t') | (byte == 0x7f);
    !value.iter().fold(false, |bad, byte| bad | is_bad(*byte))
}

/// A name of a field.
fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().fold(true, |good, byte| good & is_token(*byte))
}

fn decimal(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}
