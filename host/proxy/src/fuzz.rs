//! What holds of all bytes that clients send. For fuzzers: each function panics where it does not hold.

use std::{
    cell::RefCell,
    convert::Infallible,
    io,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, Wake, Waker},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::wire::framing::{Framing, HeadLimits, Violation};

/// Bytes of HTTP/1 that the front door lets through: hyper and the plainest possible reading find the same requests with
/// the same bodies in them, and how the bytes are cut into packets changes nothing.
///
/// # Panics
///
/// If it does not hold.
pub fn framing(data: &[u8]) {
    let passed = passed(data, usize::MAX);
    let piece = data.first().map_or(1, |b| usize::from(*b) % 17 + 1);
    assert_eq!(self::passed(data, piece), passed, "in pieces of {piece}: {}", shown(data));
    let ours = plainly(&passed);
    let theirs = by_hyper(&passed);
    assert!(theirs.len() <= ours.len(), "hyper sees {theirs:?} in {}", shown(data));
    assert_eq!(theirs, ours.get(..theirs.len()).unwrap_or_default(), "in {}", shown(data));
    let lower = String::from_utf8_lossy(&passed).to_ascii_lowercase();
    if !["connection", "http/1.0", "connect ", "upgrade"].iter().any(|word| lower.contains(word)) {
        assert_eq!(theirs.len(), ours.len(), "hyper sees less in {}", shown(data));
    }
}

const LIMITS: HeadLimits = HeadLimits { bytes: 8 << 10, fields: 50 };

fn shown(data: &[u8]) -> String {
    data.escape_ascii().to_string()
}

/// What the front door lets through.
fn passed(data: &[u8], piece: usize) -> Vec<u8> {
    let mut framing = Framing::new(LIMITS);
    let (mut held, mut out) = (Vec::new(), Vec::new());
    for part in data.chunks(piece.min(data.len()).max(1)) {
        held.extend_from_slice(part);
        let (pass, is_over) = match framing.read(&held) {
            Ok(read) => (read, false),
            Err(Violation::Head { at, .. } | Violation::Body { at, .. }) => (at, true),
        };
        out.extend(held.drain(..pass));
        if is_over {
            break;
        }
    }
    out
}

/// Method, target and body.
type Message = (String, String, Vec<u8>);

/// The whole messages in bytes that were checked, read as RFC 9112 says and nothing else.
fn plainly(mut rest: &[u8]) -> Vec<Message> {
    let mut out = Vec::new();
    while let Some((message, after)) = plain_message(rest) {
        out.push(message);
        rest = after;
    }
    out
}

fn plain_message(bytes: &[u8]) -> Option<(Message, &[u8])> {
    let bytes = bytes.strip_prefix(b"\r\n").unwrap_or(bytes);
    let end = find(bytes, b"\r\n\r\n")?;
    let (head, rest) = bytes.split_at(end + 4);
    let head = String::from_utf8_lossy(head).into_owned();
    let mut lines = head.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let method = words.next()?.to_owned();
    let target: http::Uri = words.next()?.parse().ok()?; // so that both are written alike
    let field = |wanted: &str| {
        lines.clone().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case(wanted).then(|| value.trim().to_owned())
        })
    };
    let (body, rest) = if field("transfer-encoding").is_some() {
        plain_chunks(rest)?
    } else {
        let length = field("content-length").map_or(0, |text| text.parse().expect("a number"));
        (rest.get(..length)?.to_vec(), rest.get(length..)?)
    };
    Some(((method, target.to_string(), body), rest))
}

fn plain_chunks(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut body = Vec::new();
    loop {
        let end = find(rest, b"\r\n")?;
        let line = std::str::from_utf8(rest.get(..end)?.split(|b| *b == b';').next()?).ok()?;
        let size = usize::from_str_radix(line, 16).expect("a size");
        rest = rest.get(end + 2..)?;
        if size == 0 {
            break;
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size..)?.strip_prefix(b"\r\n")?;
    }
    loop {
        let end = find(rest, b"\r\n")?;
        rest = rest.get(end + 2..)?;
        if end == 0 {
            return Some((body, rest));
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, what)
}

/// The whole messages that hyper sees.
fn by_hyper(bytes: &[u8]) -> Vec<Message> {
    let seen: Rc<RefCell<Vec<Message>>> = Rc::default();
    let of_service = Rc::clone(&seen);
    let service = service_fn(move |request: Request<Incoming>| {
        let seen = Rc::clone(&of_service);
        async move {
            let (parts, body) = request.into_parts();
            if let Some(body) = collected(body).await {
                seen.borrow_mut().push((parts.method.to_string(), parts.uri.to_string(), body));
            }
            let mut response = Response::new(String::new());
            *response.status_mut() = http::StatusCode::BAD_REQUEST;
            Ok::<_, Infallible>(response)
        }
    });
    let io = TokioIo::new(Memory(Bytes::copy_from_slice(bytes)));
    let mut builder = http1::Builder::new();
    let connection = builder.header_read_timeout(None).serve_connection(io, service);
    let mut connection = Box::pin(connection);
    // Nothing is ever waited for but the next request; hyper only yields now and then.
    let woken = Arc::new(Woken(AtomicBool::new(true)));
    let waker = Waker::from(Arc::clone(&woken));
    let mut cx = Context::from_waker(&waker);
    while woken.0.swap(false, Relaxed) && connection.as_mut().poll(&mut cx).is_pending() {}
    drop(connection);
    seen.take()
}

/// Whether there is something to do.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Relaxed);
    }
}

async fn collected(mut body: Incoming) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        if let Some(data) = frame.ok()?.data_ref() {
            out.extend_from_slice(data);
        }
    }
    Some(out)
}

/// A client that has sent everything, reads everything and does not close.
struct Memory(Bytes);

impl AsyncRead for Memory {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self(left) = self.get_mut();
        if left.is_empty() {
            return Poll::Pending;
        }
        let length = left.len().min(buf.remaining());
        buf.put_slice(&left.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Memory {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
