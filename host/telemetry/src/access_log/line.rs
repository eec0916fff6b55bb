//! The text of a line. Whatever a client sent, a line stays one line and its values stay inside their quotes.

use std::io::Write;

use edgewit_model::AccessLogFormat;

use super::{Line, time};

pub(super) fn format(format: AccessLogFormat, line: &Line<'_>, out: &mut Vec<u8>) {
    match format {
        AccessLogFormat::Json => json(line, out),
        AccessLogFormat::Common => common(line, out),
    }
    out.push(b'\n');
}

/// One object; names of OpenTelemetry's attributes where it has one.
fn json(line: &Line<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"timestamp\":\"");
    time::rfc3339(line.time, out);
    out.push(b'"');
    text("request_id", line.request_id.as_bytes(), out);
    text("trace_id", line.trace_id.as_bytes(), out);
    text("listener", line.listener.as_bytes(), out);
    key("client.address", out);
    let _ = write!(out, "\"{}\"", line.client);
    optional("client_identity", line.client_identity.map(str::as_bytes), out);
    optional("enduser.id", line.subject.map(str::as_bytes), out);
    text("url.scheme", line.scheme.as_bytes(), out);
    text("network.protocol.version", line.version.as_bytes(), out);
    text("http.request.method", line.method.as_bytes(), out);
    text("server.address", line.authority.as_bytes(), out);
    text("url.path", line.path.as_bytes(), out);
    optional("user_agent.original", line.user_agent, out);
    number("http.response.status_code", line.status.into(), out);
    text("ending", line.ending.as_bytes(), out);
    optional("error.type", line.error.map(str::as_bytes), out);
    key("duration_ms", out);
    let _ = write!(out, "{}.{:03}", line.duration.as_millis(), line.duration.as_micros() % 1_000);
    number("http.request.body.size", line.request_bytes, out);
    number("http.response.body.size", line.response_bytes, out);
    optional("route", line.route.map(str::as_bytes), out);
    optional("upstream", line.upstream.map(str::as_bytes), out);
    number("tries", line.tries.into(), out);
    filters(line, out);
    out.push(b'}');
}

fn filters(line: &Line<'_>, out: &mut Vec<u8>) {
    if line.filters.is_empty() {
        return;
    }
    key("filters", out);
    for (n, filter) in line.filters.iter().enumerate() {
        out.extend_from_slice(if n == 0 { b"[{\"name\":" } else { b",{\"name\":" });
        quoted(filter.name.as_bytes(), out);
        number("us", filter.us, out);
        number("fuel", filter.fuel, out);
        text("outcome", filter.outcome.as_bytes(), out);
        out.push(b'}');
    }
    out.push(b']');
}

fn key(name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn text(name: &str, value: &[u8], out: &mut Vec<u8>) {
    key(name, out);
    quoted(value, out);
}

fn optional(name: &str, value: Option<&[u8]>, out: &mut Vec<u8>) {
    if let Some(value) = value {
        text(name, value, out);
    }
}

fn number(name: &str, value: u64, out: &mut Vec<u8>) {
    key(name, out);
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// A string of JSON (RFC 8259 7). Bytes that are no UTF-8 become U+FFFD, controls of all kinds become escapes.
fn quoted(value: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    if value.iter().all(|b| matches!(b, 0x20..=0x7e) && *b != b'"' && *b != b'\\') {
        out.extend_from_slice(value);
    } else {
        for c in String::from_utf8_lossy(value).chars() {
            match c {
                '"' | '\\' => out.extend_from_slice(&[b'\\', c as u8]),
                c if c.is_control() => drop(write!(out, "\\u{:04x}", u32::from(c))),
                c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
    }
    out.push(b'"');
}

/// The Common Log Format of the NCSA server.
fn common(line: &Line<'_>, out: &mut Vec<u8>) {
    let _ = write!(out, "{} - ", line.client);
    plain(line.subject.unwrap_or("-").as_bytes(), out);
    out.extend_from_slice(b" [");
    time::common(line.time, out);
    out.extend_from_slice(b"] \"");
    plain(line.method.as_bytes(), out);
    out.push(b' ');
    plain(line.path.as_bytes(), out);
    let _ = write!(out, " HTTP/{}\" {} {}", line.version, line.status, line.response_bytes);
}

/// Everything but visible ASCII becomes `\xhh`, and so do the characters that separate fields.
fn plain(value: &[u8], out: &mut Vec<u8>) {
    for byte in value {
        match byte {
            b'"' | b'\\' | 0..=0x20 | 0x7f.. => drop(write!(out, "\\x{byte:02x}")),
            byte => out.push(*byte),
        }
    }
}
