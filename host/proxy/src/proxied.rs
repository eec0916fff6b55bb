//! The PROXY protocol: a header in which a balancer says for whom it speaks.
//!
//! Versions 1 and 2 of <https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt>. Not one byte beyond the header is read,
//! so that TLS or HTTP can begin behind it.

use std::{io, net::IpAddr};

use ppp::{v1, v2};
use tokio::{io::AsyncReadExt, net::TcpStream};

/// Bytes of a header of version 1 with its line break, by the specification.
const LINE: usize = 107;
/// Bytes before the shortest header of either version ends; enough to tell them apart.
const SIGNATURE: usize = 12;
/// Bytes of version 2 before its length is known.
const FIXED: usize = 16;
/// Bytes of version 2 with everything a balancer adds; those of the largest clouds add less than 200.
const LONGEST: usize = 4 << 10;

/// The header is none, or longer than it may be.
#[derive(Debug, PartialEq, Eq)]
struct Malformed;

/// Reads the header. `None`: the peer speaks for itself, or for somebody whose address it does not know.
pub(crate) async fn read(stream: &mut TcpStream) -> io::Result<Option<IpAddr>> {
    let mut bytes = vec![0; SIGNATURE];
    stream.read_exact(&mut bytes).await?;
    let parsed = if bytes == v2::PROTOCOL_PREFIX {
        read_binary(stream, &mut bytes).await?;
        binary(&bytes)
    } else {
        read_line(stream, &mut bytes).await?;
        line(&bytes)
    };
    parsed.map_err(Malformed::into)
}

/// Looks at what has come, and takes it up to the end of the line.
async fn read_line(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<()> {
    if !bytes.starts_with(v1::PROTOCOL_PREFIX.as_bytes()) {
        return Err(Malformed.into());
    }
    while bytes.last() != Some(&b'\n') {
        let begin = bytes.len();
        bytes.resize(LINE, 0);
        let room = bytes.get_mut(begin..).filter(|room| !room.is_empty()).ok_or(Malformed)?;
        let seen = stream.peek(room).await?;
        let seen = room.get(..seen).unwrap_or_default();
        let end = memchr::memchr(b'\n', seen).map_or(seen.len(), |at| at + 1);
        if end == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.truncate(begin + end);
        stream.read_exact(bytes.get_mut(begin..).unwrap_or_default()).await?;
    }
    Ok(())
}

async fn read_binary(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<()> {
    bytes.resize(FIXED, 0);
    stream.read_exact(bytes.get_mut(SIGNATURE..).unwrap_or_default()).await?;
    let length = bytes.last_chunk().map_or(0, |length| usize::from(u16::from_be_bytes(*length)));
    if FIXED + length > LONGEST {
        return Err(Malformed.into());
    }
    bytes.resize(FIXED + length, 0);
    stream.read_exact(bytes.get_mut(FIXED..).unwrap_or_default()).await?;
    Ok(())
}

/// `PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\n`.
fn line(bytes: &[u8]) -> Result<Option<IpAddr>, Malformed> {
    let header = v1::Header::try_from(bytes).map_err(|_| Malformed)?;
    if header.header.len() != bytes.len() {
        return Err(Malformed);
    }
    Ok(match header.addresses {
        v1::Addresses::Tcp4(addresses) => Some(IpAddr::V4(addresses.source_address)),
        v1::Addresses::Tcp6(addresses) => Some(IpAddr::V6(addresses.source_address).to_canonical()),
        v1::Addresses::Unknown => None,
    })
}

/// Only addresses of TCP connections count, as in HAProxy: what else there is cannot be that of a client of ours.
fn binary(bytes: &[u8]) -> Result<Option<IpAddr>, Malformed> {
    let header = v2::Header::try_from(bytes).map_err(|_| Malformed)?;
    if header.command == v2::Command::Local || header.protocol != v2::Protocol::Stream {
        return Ok(None);
    }
    Ok(match header.addresses {
        v2::Addresses::IPv4(addresses) => Some(IpAddr::V4(addresses.source_address)),
        v2::Addresses::IPv6(addresses) => Some(IpAddr::V6(addresses.source_address).to_canonical()),
        v2::Addresses::Unspecified | v2::Addresses::Unix(_) => None,
    })
}

impl From<Malformed> for io::Error {
    fn from(_: Malformed) -> Self {
        io::Error::new(io::ErrorKind::InvalidData, "no header of the PROXY protocol")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_who_the_client_is() {
        let cases = [
            ("PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\n", Ok(Some("192.0.2.1"))),
            ("PROXY TCP6 2001:db8::1 ::1 1 2\r\n", Ok(Some("2001:db8::1"))),
            ("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", Ok(Some("192.0.2.1"))),
            ("PROXY UNKNOWN\r\n", Ok(None)),
            ("PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", Ok(None)),
            ("PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\n", Err(Malformed)),
            ("PROXY TCP4 2001:db8::1 ::1 1 2\r\n", Err(Malformed)),
            ("PROXY TCP4 192.0.2.256 10.0.0.1 1 2\r\n", Err(Malformed)),
            ("PROXY TCP4 192.0.2.1 10.0.0.1 1 65536\r\n", Err(Malformed)),
            ("PROXY TCP4 192.0.2.1 10.0.0.1 1\r\n", Err(Malformed)),
            ("PROXY TCP4  192.0.2.1 10.0.0.1 1 2\r\n", Err(Malformed)),
            ("PROXY TCP5 192.0.2.1 10.0.0.1 1 2\r\n", Err(Malformed)),
            ("proxy TCP4 192.0.2.1 10.0.0.1 1 2\r\n", Err(Malformed)),
            ("PROXY TCP4 192.0.2.1 10.0.0.1 1 2\r\nGET", Err(Malformed)),
            ("PROXY TCP4 192.0.2.1\r 10.0.0.1 1 2\r\n", Err(Malformed)),
            ("GET / HTTP/1.1\r\n", Err(Malformed)),
            ("\r\n", Err(Malformed)),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|found| found.map(|text: &str| text.parse().unwrap()));
            assert_eq!(line(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn a_binary_header_says_who_the_client_is() {
        let header = |command: u8, family: u8, payload: &[u8]| {
            let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
            [v2::PROTOCOL_PREFIX, &[command, family], &length, payload].concat()
        };
        let four = [192, 0, 2, 1, 10, 0, 0, 1, 0, 1, 0, 2];
        let six = [&[0x20, 1, 0xd, 0xb8], [0; 12].as_slice(), &[0; 16], &[0, 1, 0, 2]].concat();
        let with_more = [four.as_slice(), &[4, 0, 2, 9, 9]].concat();
        let cases = [
            (header(0x21, 0x11, &four), Ok(Some("192.0.2.1"))),
            (header(0x21, 0x11, &with_more), Ok(Some("192.0.2.1"))),
            (header(0x21, 0x21, &six), Ok(Some("2001:db8::"))),
            (header(0x20, 0x11, &four), Ok(None)),
            (header(0x20, 0x00, &[]), Ok(None)),
            (header(0x21, 0x00, &[]), Ok(None)),
            (header(0x21, 0x12, &four), Ok(None)),
            (header(0x21, 0x31, &[0; 216]), Ok(None)),
            (header(0x21, 0x11, &four[..11]), Err(Malformed)),
            (header(0x21, 0x21, &four), Err(Malformed)),
            (header(0x31, 0x11, &four), Err(Malformed)),
            (header(0x22, 0x11, &four), Err(Malformed)),
            (header(0x21, 0x41, &four), Err(Malformed)),
            (header(0x21, 0x13, &four), Err(Malformed)),
        ];
        for (bytes, expected) in cases {
            let expected = expected.map(|found| found.map(|text: &str| text.parse().unwrap()));
            assert_eq!(binary(&bytes), expected, "{bytes:x?}");
        }
    }
    #[test]
    fn j11_no_bytes_are_too_strange() {
        let four = [&[0x21, 0x11, 0, 12], [10; 12].as_slice()].concat();
        let seeds = [
            b"PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\n".to_vec(),
            b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n".to_vec(),
            b"PROXY UNKNOWN ffff::1 1\r\n".to_vec(),
            [v2::PROTOCOL_PREFIX, &four].concat(),
        ];
        let mut state = 0x9e37_79b9_7f4a_7c15_u64; // xorshift, always the same
        let mut next = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 33).unwrap() % below
        };
        let mut valid = 0;
        for round in 0..200_000 {
            let mut bytes = seeds[round % seeds.len()].clone();
            for _ in 0..next(4) {
                let at = next(bytes.len());
                match next(3) {
                    0 => bytes[at] = u8::try_from(next(256)).unwrap(),
                    1 => bytes.truncate(at + 1),
                    _ => bytes.insert(at, b" \r\n\0:0"[next(6)]),
                }
            }
            valid += usize::from(line(&bytes).is_ok()) + usize::from(binary(&bytes).is_ok());
        }
        assert!((50_000..200_000).contains(&valid), "{valid} of them were headers");
    }
}
