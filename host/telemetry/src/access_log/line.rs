//! The text of a line. Whatever a client sent, a line stays one line and its values stay inside their quotes.

use std::{io::Write, net::IpAddr, time::Duration};

use edgewit_model::AccessLogFormat;

use super::{Line, time};

pub(super) fn format(format: AccessLogFormat, line: &Line<'_>, out: &mut Vec<u8>) {
    match format {
        AccessLogFormat::Json => json(line, out),
        AccessLogFormat::Common => common(line, out),
    }
    out.push(b'\n');
}

/// A key with all that stands around it, so that it is one copy.
macro_rules! key {
    ($name:literal) => {
        concat!(",\"", $name, "\":").as_bytes()
    };
}

/// One object; names of OpenTelemetry's attributes where it has one. Written by hand, since a line costs as much as the
/// parsing of its request did otherwise.
fn json(line: &Line<'_>, out: &mut Vec<u8>) {
    out.reserve(USUAL);
    out.extend_from_slice(b"{\"timestamp\":\"");
    time::rfc3339(line.time, out);
    out.push(b'"');
    text(key!("request_id"), line.request_id.as_bytes(), out);
    text(key!("trace_id"), line.trace_id.as_bytes(), out);
    text(key!("listener"), line.listener.as_bytes(), out);
    out.extend_from_slice(key!("client.address"));
    out.push(b'"');
    address(line.client, out);
    out.push(b'"');
    optional(key!("client_identity"), line.client_identity.map(str::as_bytes), out);
    optional(key!("enduser.id"), line.subject.map(str::as_bytes), out);
    text(key!("url.scheme"), line.scheme.as_bytes(), out);
    text(key!("network.protocol.version"), line.version.as_bytes(), out);
    text(key!("http.request.method"), line.method.as_bytes(), out);
    text(key!("server.address"), line.authority.as_bytes(), out);
    text(key!("url.path"), line.path.as_bytes(), out);
    optional(key!("user_agent.original"), line.user_agent, out);
    number(key!("http.response.status_code"), line.status.into(), out);
    text(key!("ending"), line.ending.as_bytes(), out);
    optional(key!("error.type"), line.error.map(str::as_bytes), out);
    milliseconds(key!("duration_ms"), line.duration, out);
    number(key!("http.request.body.size"), line.request_bytes, out);
    number(key!("http.response.body.size"), line.response_bytes, out);
    optional(key!("route"), line.route.map(str::as_bytes), out);
    optional(key!("upstream"), line.upstream.map(str::as_bytes), out);
    number(key!("tries"), line.tries.into(), out);
    filters(line, out);
    out.push(b'}');
}

/// Bytes of most lines.
const USUAL: usize = 1_024;

fn filters(line: &Line<'_>, out: &mut Vec<u8>) {
    if line.filters.is_empty() {
        return;
    }
    out.extend_from_slice(key!("filters"));
    for (n, filter) in line.filters.iter().enumerate() {
        out.extend_from_slice(if n == 0 { b"[{\"name\":" } else { b",{\"name\":" });
        quoted(filter.name.as_bytes(), out);
        number(key!("us"), filter.us, out);
        number(key!("fuel"), filter.fuel, out);
        text(key!("outcome"), filter.outcome.as_bytes(), out);
        out.push(b'}');
    }
    out.push(b']');
}

fn text(key: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(key);
    quoted(value, out);
}

fn optional(key: &[u8], value: Option<&[u8]>, out: &mut Vec<u8>) {
    if let Some(value) = value {
        text(key, value, out);
    }
}

fn number(key: &[u8], value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(key);
    digits(value, out);
}

/// With three digits behind the point.
fn milliseconds(key: &[u8], duration: Duration, out: &mut Vec<u8>) {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    number(key, micros / 1_000, out);
    out.push(b'.');
    time::padded::<3>(micros % 1_000, out);
}

fn digits(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn address(address: IpAddr, out: &mut Vec<u8>) {
    let IpAddr::V4(v4) = address else { return drop(write!(out, "{address}")) };
    for (n, octet) in v4.octets().into_iter().enumerate() {
        if n > 0 {
            out.push(b'.');
        }
        digits(octet.into(), out);
    }
}

/// A string of JSON (RFC 8259 7). Bytes that are no UTF-8 become U+FFFD, controls of all kinds become escapes.
fn quoted(value: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    if is_plain(value) {
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

/// Stands in a string as it is. All bytes are looked at without a branch, which a compiler makes into vectors.
fn is_plain(value: &[u8]) -> bool {
    let is_odd = |b: u8| !(0x20..=0x7e).contains(&b) | (b == b'"') | (b == b'\\');
    !value.iter().fold(false, |odd, byte| odd | is_odd(*byte))
}

/// The Common Log Format of the NCSA server.
fn common(line: &Line<'_>, out: &mut Vec<u8>) {
    address(line.client, out);
    out.extend_from_slice(b" - ");
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
