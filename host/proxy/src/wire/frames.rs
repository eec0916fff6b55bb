//! The frames of an HTTP/2 connection, seen from outside: how many of a kind, never what is in them.

mod header;

use std::time::Duration;

use tokio::time::Instant;

use super::Refusal;
use header::{FrameReader, Seen};

/// Counts the frames of a client that cost it nothing and us something, and knows where ours begin and end.
///
/// h2 bounds what it keeps (resets that wait, header lists, continuations) but not how often it is made to work
/// (CVE-2019-9511 to 9518, CVE-2023-44487). Only the nine bytes before each payload are read (RFC 9113 4.1), and of our
/// own RST_STREAM and GOAWAY the error code.
#[derive(Debug)]
pub(crate) struct Frames {
    read: FrameReader,
    written: FrameReader,
    /// Control frames a second; also what may come at once, and a quarter more.
    rate: u32,
    tokens: f64,
    filled: Option<Instant>,
    /// Frames that what we sent has earned: windows are opened for data.
    earned: u32,
    /// A head has begun and not ended.
    in_head: bool,
    highest_stream: u32,
    /// DATA that was written since it was asked for.
    data_written: usize,
}

/// Types of frames (RFC 9113 6).
mod kind {
    pub(super) const DATA: u8 = 0;
    pub(super) const HEADERS: u8 = 1;
    pub(super) const PRIORITY: u8 = 2;
    pub(super) const RST_STREAM: u8 = 3;
    pub(super) const PING: u8 = 6;
    pub(super) const GOAWAY: u8 = 7;
    pub(super) const WINDOW_UPDATE: u8 = 8;
    pub(super) const CONTINUATION: u8 = 9;
    /// RFC 9218 7.1.
    pub(super) const PRIORITY_UPDATE: u8 = 16;
}

/// Flags of frames (RFC 9113 6).
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;

/// Frames that each DATA frame of ours earns, and one more for so many bytes of it: clients open stream and connection, and
/// some open them for each 4 KiB that they read; gRPC also measures the round trip with a PING.
const EARNED: u32 = 3;
const BYTES_TO_EARN: u32 = 2 << 10;
/// What is earned and not used does not grow without end.
const MOST_EARNED: u32 = 10_000;

/// `ENHANCE_YOUR_CALM` (RFC 9113 7).
pub(crate) const CALM: u32 = 11;
/// Error codes by which we end a stream for an error of the client: PROTOCOL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED,
/// FRAME_SIZE_ERROR, REFUSED_STREAM, COMPRESSION_ERROR.
const FAULTS: [u32; 6] = [1, 3, 5, 6, 7, 9];

impl Frames {
    /// `rate`: control frames a second.
    pub(crate) fn new(rate: u32) -> Self {
        let most = most(rate);
        Self {
            read: FrameReader::of_client(),
            written: FrameReader::of_server(),
            rate,
            tokens: most,
            filled: None,
            earned: 0,
            in_head: false,
            highest_stream: 0,
            data_written: 0,
        }
    }

    /// Reads what the client sent; an error: these are too many.
    pub(crate) fn read(&mut self, mut bytes: &[u8]) -> Result<(), Refusal> {
        while !bytes.is_empty() {
            let seen;
            (seen, bytes) = self.read.next(bytes);
            if let Some(seen) = seen {
                self.came(&seen)?;
            }
        }
        Ok(())
    }

    fn came(&mut self, frame: &Seen) -> Result<(), Refusal> {
        match frame.kind {
            kind::HEADERS => {
                self.highest_stream = self.highest_stream.max(frame.stream);
                self.in_head = frame.flags & END_HEADERS == 0;
                self.earn(1); // its priority may change once (RFC 9218 7.1)
                Ok(())
            }
            kind::CONTINUATION => {
                self.in_head = frame.flags & END_HEADERS == 0;
                self.spend()
            }
            kind::DATA if frame.flags & END_STREAM != 0 => Ok(()),
            kind::DATA if frame.length > u32::from(frame.flags & PADDED != 0) => Ok(()),
            kind::WINDOW_UPDATE | kind::PING | kind::PRIORITY | kind::PRIORITY_UPDATE
                if self.earned > 0 =>
            {
                self.earned -= 1;
                Ok(())
            }
            _ => self.spend(),
        }
    }

    fn earn(&mut self, frames: u32) {
        self.earned = self.earned.saturating_add(frames).min(MOST_EARNED);
    }

    fn spend(&mut self) -> Result<(), Refusal> {
        if self.tokens < 1.0 || self.filled.is_none() {
            self.fill(Instant::now());
        }
        self.tokens -= 1.0;
        if self.tokens < 0.0 { Err(Refusal::ControlFrames) } else { Ok(()) }
    }

    fn fill(&mut self, now: Instant) {
        let since = self.filled.replace(now).map_or(Duration::ZERO, |filled| now - filled);
        let fresh = since.as_secs_f64() * f64::from(self.rate);
        self.tokens = (self.tokens + fresh).min(most(self.rate));
    }

    /// Sees what we sent; the words of what we refused by it.
    pub(crate) fn wrote(&mut self, mut bytes: &[u8]) -> Option<Refusal> {
        let mut refused = None;
        while !bytes.is_empty() {
            let seen;
            (seen, bytes) = self.written.next(bytes);
            let Some(seen) = seen else { continue };
            match seen.kind {
                kind::DATA => {
                    self.earn(EARNED.saturating_add(seen.length / BYTES_TO_EARN));
                    self.data_written = self.data_written.saturating_add(seen.length as usize);
                }
                kind::RST_STREAM if FAULTS.contains(&seen.code) => refused = Some(Refusal::Stream),
                kind::GOAWAY if seen.code == CALM => refused = Some(Refusal::ControlFrames),
                kind::GOAWAY if seen.code != 0 => refused = Some(Refusal::Protocol),
                _ => {}
            }
        }
        refused
    }

    /// Bytes of DATA that were written since this was asked last.
    pub(crate) fn take_data_written(&mut self) -> usize {
        std::mem::take(&mut self.data_written)
    }

    /// Has a head begun and not ended, or another frame but DATA? Nothing else of the connection can be read before.
    pub(crate) fn is_in_head(&self) -> bool {
        self.in_head || self.read.is_in(|kind| kind != kind::DATA)
    }

    /// GOAWAY with `ENHANCE_YOUR_CALM` (RFC 9113 6.8), if a frame may begin here.
    pub(crate) fn calm(&self) -> Option<[u8; 17]> {
        if !self.written.is_between() {
            return None;
        }
        let mut frame = [0, 0, 8, kind::GOAWAY, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let (_, payload) = frame.split_at_mut(9);
        let (stream, code) = payload.split_at_mut(4);
        stream.copy_from_slice(&self.highest_stream.to_be_bytes());
        code.copy_from_slice(&CALM.to_be_bytes());
        Some(frame)
    }
}

/// What may come at once: a browser that leaves a page resets up to 100 streams.
fn most(rate: u32) -> f64 {
    f64::from(rate) * 1.25
}

#[cfg(test)]
mod tests;
