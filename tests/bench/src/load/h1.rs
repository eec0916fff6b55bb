//! Keep-alive connections of HTTP/1.1 that ask for the same thing again and again.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use memchr::memmem;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

use super::{CONCURRENCY, micros};
use crate::ask::{Answer, Ask};

/// Bytes of the longest answer, head and body in chunks.
const MAX_ANSWER: usize = 128 << 10;
const HEAD_END: &[u8] = b"\r\n\r\n";
/// How a body in chunks ends. Bodies here have letters only, so that it stands nowhere else.
const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";

/// A connection and what it asks.
pub(crate) struct Line {
    stream: TcpStream,
    request: Vec<u8>,
    buffer: Vec<u8>,
}

/// Loads a server for a while, in a closed loop. Microseconds of each request.
pub(crate) async fn run(address: SocketAddr, ask: &Ask, turn: Duration) -> Result<Vec<u32>> {
    let end = Instant::now() + turn;
    let mut lines = JoinSet::new();
    for _ in 0..CONCURRENCY {
        let mut line = Line::connect(address, ask).await?;
        lines.spawn_local(async move {
            let mut latencies = Vec::new();
            while Instant::now() < end {
                let begun = Instant::now();
                line.exchange().await?;
                latencies.push(micros(begun));
            }
            Ok::<_, anyhow::Error>(latencies)
        });
    }
    gather(lines).await
}

/// What all lines measured.
pub(crate) async fn gather(mut lines: JoinSet<Result<Vec<u32>>>) -> Result<Vec<u32>> {
    let mut latencies = Vec::new();
    while let Some(done) = lines.join_next().await {
        latencies.extend(done??);
    }
    Ok(latencies)
}

/// One request on a connection of its own.
pub(crate) async fn once(address: SocketAddr, ask: &Ask) -> Result<Answer> {
    let mut line = Line::connect(address, ask).await?;
    let (head, whole) = line.ask().await?;
    let text = String::from_utf8_lossy(&line.buffer[..head]).to_ascii_lowercase();
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let status = first.split(' ').nth(1).context("no status")?;
    let fields: Vec<&str> = lines.collect();
    let head_text = format!("status: {status}\n{}", fields.join("\n"));
    Ok(Answer { head: head_text, body: line.buffer[head + HEAD_END.len()..whole].to_vec() })
}

impl Line {
    /// Opens a connection.
    pub(crate) async fn connect(address: SocketAddr, ask: &Ask) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, request: ask.bytes(), buffer: vec![0; MAX_ANSWER] })
    }

    /// Asks and reads the answer, which must be good.
    pub(crate) async fn exchange(&mut self) -> Result<()> {
        let (head, _) = self.ask().await?;
        if !self.buffer.starts_with(b"HTTP/1.1 200") {
            bail!("not 200: {}", String::from_utf8_lossy(&self.buffer[..head]));
        }
        Ok(())
    }

    /// Bytes of the head without its end, and of the whole answer.
    async fn ask(&mut self) -> Result<(usize, usize)> {
        self.stream.write_all(&self.request).await?;
        let mut filled = 0;
        let head = loop {
            filled += self.read(filled).await?;
            if let Some(end) = memmem::find(&self.buffer[..filled], HEAD_END) {
                break end;
            }
        };
        let body = head + HEAD_END.len();
        match content_length(&self.buffer[..head])? {
            Some(length) => {
                while filled < body + length {
                    filled += self.read(filled).await?;
                }
            }
            // The head's end is a part of the search: an empty body begins with its last chunk.
            None => {
                while !self.buffer[head + 2..filled].ends_with(LAST_CHUNK) {
                    filled += self.read(filled).await?;
                }
            }
        }
        Ok((head, filled))
    }

    async fn read(&mut self, at: usize) -> Result<usize> {
        let room = self.buffer.get_mut(at..).filter(|room| !room.is_empty());
        let read = self.stream.read(room.context("the answer is too long")?).await?;
        if read == 0 { bail!("the connection was closed") } else { Ok(read) }
    }
}

/// `None`: the body comes in chunks.
fn content_length(head: &[u8]) -> Result<Option<usize>> {
    let text = std::str::from_utf8(head)?;
    for line in text.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("content-length") {
            return Ok(Some(value.trim().parse()?));
        }
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return Ok(None);
        }
    }
    match text.split(' ').nth(1) {
        Some("204" | "304") => Ok(Some(0)),
        _ => bail!("neither content-length nor chunks: {text}"),
    }
}
