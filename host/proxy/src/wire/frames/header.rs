//! Frame headers in a stream of bytes (RFC 9113 4.1).

/// Finds frame headers in the bytes of one direction, however they come, and skips payloads.
#[derive(Debug)]
pub(super) struct FrameReader {
    /// Bytes to skip: the preface, or what is left of a payload.
    skip: u32,
    kind: u8,
    /// Of a header, and for our own errors the begin of the payload.
    head: [u8; LONGEST],
    length: usize,
    /// Whether payloads of RST_STREAM and GOAWAY are read.
    reads_codes: bool,
}

/// A frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) kind: u8,
    pub(super) flags: u8,
    /// Bytes of its payload.
    pub(super) length: u32,
    pub(super) stream: u32,
    /// Error code, 0 if the frame has none or it was not read.
    pub(super) code: u32,
}

const HEADER: usize = 9;
/// The header and payload of GOAWAY without debug data.
const LONGEST: usize = HEADER + 8;
/// Bytes of the client's preface (RFC 9113 3.4).
const PREFACE: u32 = 24;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;

impl FrameReader {
    pub(super) fn of_client() -> Self {
        Self { skip: PREFACE, kind: 0, head: [0; LONGEST], length: 0, reads_codes: false }
    }

    pub(super) fn of_server() -> Self {
        Self { skip: 0, reads_codes: true, ..Self::of_client() }
    }

    /// Reads some of the bytes: a frame if its header ends in them, and the rest. Never returns all that it got.
    pub(super) fn next<'a>(&mut self, bytes: &'a [u8]) -> (Option<Seen>, &'a [u8]) {
        if self.skip > 0 {
            let there = u32::try_from(bytes.len()).unwrap_or(u32::MAX).min(self.skip);
            self.skip -= there;
            return (None, bytes.get(there as usize..).unwrap_or_default());
        }
        let needed = self.needed();
        let room = self.head.get_mut(self.length..needed).unwrap_or_default();
        let take = room.len().min(bytes.len());
        let (mine, rest) = bytes.split_at(take);
        if let Some(room) = room.get_mut(..take) {
            room.copy_from_slice(mine);
        }
        self.length += take;
        if self.length < self.needed() {
            return (None, rest);
        }
        (Some(self.ended()), rest)
    }

    /// Bytes until a frame is known.
    fn needed(&self) -> usize {
        let [a, b, c, kind, ..] = self.head;
        if self.length < HEADER || !self.reads_codes {
            return HEADER;
        }
        match (kind, u32::from_be_bytes([0, a, b, c])) {
            (RST_STREAM, 4) => HEADER + 4,
            (GOAWAY, 8..) => HEADER + 8,
            _ => HEADER,
        }
    }

    fn ended(&mut self) -> Seen {
        let [a, b, c, kind, flags, s0, s1, s2, s3, p0, p1, p2, p3, q0, q1, q2, q3] = self.head;
        let length = u32::from_be_bytes([0, a, b, c]);
        let code = match self.length - HEADER {
            4 => u32::from_be_bytes([p0, p1, p2, p3]),
            8 => u32::from_be_bytes([q0, q1, q2, q3]),
            _ => 0,
        };
        let read = u32::try_from(self.length - HEADER).unwrap_or_default();
        self.skip = length.saturating_sub(read);
        self.kind = kind;
        self.length = 0;
        let stream = u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]);
        Seen { kind, flags, length, stream, code }
    }

    /// Is a frame of such a type, or its header, under way?
    pub(super) fn is_in(&self, of: impl Fn(u8) -> bool) -> bool {
        self.length > 0 || (self.skip > 0 && of(self.kind))
    }

    /// May a frame begin here?
    pub(super) fn is_between(&self) -> bool {
        self.length == 0 && self.skip == 0
    }
}
