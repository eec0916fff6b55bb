//! A closed loop of keep-alive connections that ask for the same thing.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

/// Connections at the same time.
const CONNECTIONS: usize = 64;
/// Bytes of the longest answer, head and body.
const MAX_ANSWER: usize = 16 << 10;
const REQUEST: &[u8] =
    b"GET /bench?x=1 HTTP/1.1\r\nhost: bench.example\r\nuser-agent: bench\r\naccept: */*\r\n\
x-tenant: a\r\nx-user: alice\r\n\r\n";

/// What one turn brought.
pub(crate) struct Sample {
    pub(crate) requests: u64,
    /// Microseconds, sorted.
    pub(crate) latencies: Vec<u32>,
}

/// Loads a server for a while.
pub(crate) fn run(address: SocketAddr, turn: Duration) -> Result<Sample> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let end = Instant::now() + turn;
        let mut connections = JoinSet::new();
        for _ in 0..CONNECTIONS {
            connections.spawn(connection(address, end));
        }
        let mut latencies = Vec::new();
        while let Some(done) = connections.join_next().await {
            latencies.extend(done??);
        }
        latencies.sort_unstable();
        Ok(Sample { requests: latencies.len() as u64, latencies })
    })
}

async fn connection(address: SocketAddr, end: Instant) -> Result<Vec<u32>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut latencies = Vec::new();
    let mut buffer = vec![0; MAX_ANSWER];
    while Instant::now() < end {
        let begun = Instant::now();
        stream.write_all(REQUEST).await?;
        let head = answer(&mut stream, &mut buffer).await?;
        if !head.starts_with(b"HTTP/1.1 200") {
            bail!("not 200: {}", String::from_utf8_lossy(head));
        }
        latencies.push(u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX));
    }
    Ok(latencies)
}

/// One request on a connection of its own: the answer's head, as text.
pub(crate) fn once(address: SocketAddr) -> Result<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(REQUEST).await?;
        let mut buffer = vec![0; MAX_ANSWER];
        let head = answer(&mut stream, &mut buffer).await?;
        Ok(String::from_utf8_lossy(head).to_ascii_lowercase())
    })
}

/// Reads one answer with a content-length to its end and returns its head.
async fn answer<'a>(stream: &mut TcpStream, buffer: &'a mut [u8]) -> Result<&'a [u8]> {
    let mut filled = 0;
    loop {
        let read = stream.read(buffer.get_mut(filled..).context("the answer is too long")?).await?;
        if read == 0 {
            bail!("the connection was closed");
        }
        filled += read;
        if let Some(end) = find(&buffer[..filled], b"\r\n\r\n") {
            let whole = end + 4 + content_length(&buffer[..end])?;
            while filled < whole {
                let rest = buffer.get_mut(filled..whole).context("the answer is too long")?;
                filled += stream.read_exact(rest).await?;
            }
            return Ok(&buffer[..end]);
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|w| w == what)
}

fn content_length(head: &[u8]) -> Result<usize> {
    let text = std::str::from_utf8(head)?;
    let value = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim())
    });
    value.context("no content-length")?.parse().context("a content-length that is no number")
}
