//! What clients do that want something else than answers, and what has to become of it.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
};

use edgewit_harness::DEADLINE;

use crate::frames;

/// Hostile clients, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Hostile {
    /// Exchanges and connections that they have begun.
    pub(crate) acts: u64,
    /// What came of them that should not have.
    pub(crate) wrong: Vec<String>,
}

/// One of the things they do; says what is wrong with what came of it.
type Act = fn(SocketAddr) -> Result<(), String>;

const ACTS: [(&str, Act); 17] = [
    ("a length beside chunks", |to| refused(to, SMUGGLED, "HTTP/1.1 400 ")),
    ("two lengths", |to| refused(to, TWO_LENGTHS, "HTTP/1.1 400 ")),
    ("a path with two readings", |to| refused(to, TWO_READINGS, "HTTP/1.1 400 ")),
    ("a body with bad chunks", |to| refused(to, BAD_CHUNKS, "HTTP/1.1 400 ")),
    ("a head without end", large_head),
    ("noise", noise),
    ("half a head", |to| leave(to, b"GET /plain/a HTTP/1.1\r\nho")),
    ("an upload that is left", |to| leave(to, LONG_UPLOAD)),
    ("a response that is left", |to| leave(to, WHOLE_UPLOAD)),
    ("many connections", many_connections),
    ("streams that are reset", streams_that_are_reset),
    ("a filter that traps", |to| filtered(to, "trap", "HTTP/1.1 503 ")),
    ("a filter that spins", |to| filtered(to, "spin", "HTTP/1.1 503 ")),
    ("a filter that takes memory", |to| filtered(to, "memory_bomb", "HTTP/1.1 503 ")),
    ("a filter that recurses", |to| filtered(to, "recursion", "HTTP/1.1 503 ")),
    ("a filter that fails, and its quarantine", |to| filtered(to, "fail", "HTTP/1.1 503 ")),
    ("filters that flood", |to| {
        filtered(to, "log_flood", "HTTP/1.1 200 ")?;
        filtered(to, "metric_flood", "HTTP/1.1 200 ")
    }),
];

const SMUGGLED: &[u8] =
    b"POST /plain/a HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nG";
const TWO_LENGTHS: &[u8] =
    b"POST /plain/a HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab";
const TWO_READINGS: &[u8] = b"GET /plain/..%2fversion HTTP/1.1\r\nhost: a\r\n\r\n";
const BAD_CHUNKS: &[u8] =
    b"POST /plain/a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n-2\r\nab\r\n0\r\n\r\n";
const LONG_UPLOAD: &[u8] =
    b"POST /signed HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\nbegun";
const WHOLE_UPLOAD: &[u8] = b"POST /signed HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nwhole";
/// Connections at a time; a client may have more.
const MANY: usize = 40;
/// Words of what went wrong that are kept.
const MOST_WRONG: usize = 100;

impl Hostile {
    /// Has each of them happened that often?
    pub(crate) fn rounds(&self) -> u64 {
        self.acts / ACTS.len() as u64
    }

    /// The next one.
    pub(crate) fn act(&mut self, to: SocketAddr) {
        let (name, act) = ACTS[self.acts as usize % ACTS.len()];
        self.acts += 1;
        if let Err(wrong) = act(to)
            && self.wrong.len() < MOST_WRONG
        {
            self.wrong.push(format!("{name}: {wrong}"));
        }
    }
}

fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&to, DEADLINE)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    Ok(stream)
}

/// Sends, and reads until the other side closes. It need not take all of it.
fn exchange(to: SocketAddr, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut stream = connect(to).map_err(|error| format!("not connected: {error}"))?;
    let _ = stream.write_all(bytes); // refused before its end
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() != io::ErrorKind::ConnectionReset => Err(error.to_string()),
        _ => Ok(answer),
    }
}

/// Must be answered like this, and the connection must end.
fn refused(to: SocketAddr, bytes: &[u8], begin: &str) -> Result<(), String> {
    let answer = exchange(to, bytes)?;
    let text = String::from_utf8_lossy(&answer);
    // The reset of a connection that was written to after its end may overtake the answer.
    if text.is_empty() || text.starts_with(begin) { Ok(()) } else { Err(format!("{text:?}")) }
}

fn large_head(to: SocketAddr) -> Result<(), String> {
    let head = format!("GET /plain/a HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "x".repeat(100_000));
    refused(to, head.as_bytes(), "HTTP/1.1 431 ")
}

fn noise(to: SocketAddr) -> Result<(), String> {
    let bytes: Vec<u8> =
        (0..2_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    refused(to, &bytes, "HTTP/1.1 400 ")
}

/// Sends, and is gone.
fn leave(to: SocketAddr, bytes: &[u8]) -> Result<(), String> {
    let sent = connect(to).and_then(|mut stream| stream.write_all(bytes));
    sent.map_err(|error| error.to_string())
}

fn many_connections(to: SocketAddr) -> Result<(), String> {
    let many: io::Result<Vec<_>> = (0..MANY).map(|_| connect(to)).collect();
    let many = many.map_err(|error| error.to_string())?;
    for mut stream in &many {
        let _ = stream.write_all(b"GET /plain/a HTTP/1.1\r\n"); // it may be refused
    }
    Ok(())
}

/// Opens streams and takes them back at once, until the other side has enough.
fn streams_that_are_reset(to: SocketAddr) -> Result<(), String> {
    let answer = exchange(to, &frames::resets("a", "/plain/a", 2_000))?;
    match answer.is_empty() || frames::has_go_away(&answer) {
        true => Ok(()),
        false => Err(format!("no GOAWAY in {} bytes", answer.len())),
    }
}

fn filtered(to: SocketAddr, name: &str, begin: &str) -> Result<(), String> {
    let head = format!(
        "GET /hostile/{name} HTTP/1.1\r\nhost: a\r\nx-act: request\r\nconnection: close\r\n\r\n"
    );
    let answer = exchange(to, head.as_bytes())?;
    let text = String::from_utf8_lossy(&answer);
    if text.starts_with(begin) { Ok(()) } else { Err(format!("{text:?}")) }
}
