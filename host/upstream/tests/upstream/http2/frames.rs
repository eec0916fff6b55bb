//! HTTP/2 frames, written by hand (RFC 9113 4).

use std::collections::VecDeque;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::Raw;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;

/// END_STREAM, and ACK of settings and pings.
pub(crate) const END: u8 = 1;
const END_HEADERS: u8 = 4;

/// REFUSED_STREAM.
pub(crate) const REFUSED: u32 = 7;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What an upstream allows.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Settings {
    pub(crate) max_streams: Option<u32>,
}

/// The upstream's end of a connection.
pub(crate) struct Connection {
    tcp: TcpStream,
    /// Frames that came while another was waited for.
    waiting: VecDeque<FrameIn>,
}

#[derive(Debug)]
struct FrameIn {
    kind: u8,
    flags: u8,
    stream: u32,
}

impl Connection {
    pub(crate) async fn accept(raw: &Raw, settings: Settings) -> Self {
        let (mut tcp, _) = raw.listener().accept().await.unwrap();
        tcp.set_nodelay(true).unwrap(); // else a reset takes back what was said before it
        let mut preface = [0; 24];
        tcp.read_exact(&mut preface).await.unwrap();
        assert_eq!(preface, PREFACE);
        let mut connection = Self { tcp, waiting: VecDeque::new() };
        let max = settings.max_streams.map(|max| [&[0, 3][..], &max.to_be_bytes()].concat());
        connection.write(SETTINGS, 0, 0, &max.unwrap_or_default()).await;
        connection
    }

    /// The id of the next stream that is opened; `None` at the end of the connection.
    pub(crate) async fn request(&mut self) -> Option<u32> {
        if let Some(at) = self.waiting.iter().position(|frame| frame.kind == HEADERS) {
            return self.waiting.remove(at).map(|frame| frame.stream);
        }
        loop {
            let frame = self.read().await?;
            match frame.kind {
                HEADERS => return Some(frame.stream),
                _ => self.waiting.push_back(frame),
            }
        }
    }

    /// How the client ends a stream.
    pub(crate) async fn upload(&mut self, stream: u32) -> Result<(), &'static str> {
        loop {
            let frame = self.read().await.ok_or("closed")?;
            match (frame.stream == stream, frame.kind) {
                (true, RESET) => return Err("reset"),
                (true, DATA) if frame.flags & END != 0 => return Ok(()),
                _ => self.waiting.push_back(frame),
            }
        }
    }

    /// `204`, the whole answer.
    pub(crate) async fn no_content(&mut self, stream: u32) {
        self.write(HEADERS, END_HEADERS | END, stream, &[0x89]).await;
    }

    /// `200` and the length of the body that follows.
    pub(crate) async fn ok(&mut self, stream: u32, length: Option<&str>) {
        let mut block = vec![0x88];
        if let Some(length) = length {
            // Name 28 of the static table, value as it is (RFC 7541 6.2.2).
            block.extend([0x0f, 0x0d, length.len() as u8]);
            block.extend(length.as_bytes());
        }
        self.write(HEADERS, END_HEADERS, stream, &block).await;
    }

    pub(crate) async fn data(&mut self, stream: u32, data: &str, flags: u8) {
        self.write(DATA, flags, stream, data.as_bytes()).await;
    }

    pub(crate) async fn reset(&mut self, stream: u32, reason: u32) {
        self.write(RESET, 0, stream, &reason.to_be_bytes()).await;
    }

    pub(crate) async fn go_away(&mut self, last: u32) {
        let payload = [last.to_be_bytes(), 0_u32.to_be_bytes()].concat();
        self.write(GO_AWAY, 0, 0, &payload).await;
    }

    /// Ends the connection in order: what was said before is not lost to a reset.
    pub(crate) async fn close(mut self) {
        let _ = self.tcp.shutdown().await;
        self.drain().await;
    }

    /// Reads up to the end of the connection.
    pub(crate) async fn drain(&mut self) {
        while self.read().await.is_some() {}
    }

    async fn read(&mut self) -> Option<FrameIn> {
        loop {
            let mut head = [0; 9];
            self.tcp.read_exact(&mut head).await.ok()?;
            let [a, b, c, kind, flags, s0, s1, s2, s3] = head;
            let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
            self.tcp.read_exact(&mut payload).await.ok()?;
            match (kind, flags & END) {
                (SETTINGS, 0) => self.write(SETTINGS, END, 0, &[]).await,
                (PING, 0) => self.write(PING, END, 0, &payload).await,
                _ => {
                    let stream = u32::from_be_bytes([s0, s1, s2, s3]);
                    return Some(FrameIn { kind, flags, stream });
                }
            }
        }
    }

    async fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let [_, a, b, c] = (payload.len() as u32).to_be_bytes();
        let [s0, s1, s2, s3] = stream.to_be_bytes();
        let mut frame = vec![a, b, c, kind, flags, s0, s1, s2, s3];
        frame.extend(payload);
        let _ = self.tcp.write_all(&frame).await; // the other end may have had enough
    }
}
