use super::*;

/// Reads a text in pieces of a length and says where it was refused.
fn read(text: &[u8], piece: usize) -> Option<usize> {
    let mut framing = Framing::new();
    for (n, part) in text.chunks(piece).enumerate() {
        if let Err(violation) = framing.read(part) {
            return Some(n * piece + violation.at);
        }
    }
    None
}

fn check(text: &str, refused: bool) {
    let whole = read(text.as_bytes(), usize::MAX >> 1);
    assert_eq!(whole.is_some(), refused, "{text:?}");
    for piece in 1..=7 {
        assert_eq!(read(text.as_bytes(), piece), whole, "{text:?} in pieces of {piece}");
    }
}

#[test]
fn plain_requests_pass() {
    let long = format!("GET /{} HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(300), "b".repeat(300));
    for text in [
        "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        "\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\ncontent-length:0 \r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n3;a=b\r\nabc\r\nA\r\n0123\n56789\r\n0\r\nx: y\r\n\r\n",
        "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        &long,
    ] {
        check(text, false);
    }
}

#[test]
fn ambiguous_framing_is_refused() {
    for fields in [
        "content-length: 3\r\ncontent-length: 3\r\n",
        "content-length: 3\r\ncontent-length: 4\r\n",
        "content-length: 3, 3\r\n",
        "content-length: +3\r\n",
        "content-length: -3\r\n",
        "content-length: 0x3\r\n",
        "content-length: 3 3\r\n",
        "content-length:\r\n",
        "content-length: 18446744073709551618\r\n",
        "content-length: 6\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 6\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "transfer-encoding: chunked, identity\r\n",
        "transfer-encoding: xchunked\r\n",
        "transfer-encoding: \"chunked\"\r\n",
        "transfer-encoding: \u{b}chunked\r\n",
        "transfer-encoding:\r\n",
        "x: y\r\n continued\r\n",
        "x: y\ncontent-length: 3\r\n",
    ] {
        check(&format!("POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\n"), true);
    }
    for text in [
        "GET / HTTP/1.1\nhost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\n\n",
        "GET / HTTP/1.1\r\nhost: a\n\r\n",
        "\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "\nGET / HTTP/1.1\r\n\r\n",
    ] {
        check(text, true);
    }
}

#[test]
fn loose_chunks_are_refused() {
    for body in [
        "0x2\r\nab\r\n0\r\n\r\n",
        "-2\r\nab\r\n",
        "2 \r\nab\r\n",
        " 2\r\nab\r\n",
        "\r\n",
        "2\nab\r\n",
        "2\rab\r\n",
        "2\r\nabc\r\n",
        "2\r\nab\n0\r\n\r\n",
        "2;a\nb\r\nab\r\n",
        "2;a\0b\r\nab\r\n",
        "10000000000000000\r\n",
        "0\r\nx: y\n\r\n",
        "0\r\n x: y\r\n\r\n",
    ] {
        check(&format!("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n{body}"), true);
    }
    let long = format!("2;{}\r\nab\r\n", "x".repeat(1_000));
    check(&format!("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n{long}"), true);
}

#[test]
fn long_lines_are_read_by_their_ends() {
    let value = "b".repeat(400);
    check(&format!("GET / HTTP/1.1\r\nx: {value}\ny: z\r\n\r\n"), true);
    check(&format!("GET / HTTP/1.1\r\nx: {value}\r\ncontent-length: x\r\n\r\n"), true);
    let zeros = format!("content-length: {}3", "0".repeat(400));
    check(&format!("POST / HTTP/1.1\r\n{zeros}\r\n\r\nabcGET / HTTP/1.1\r\n\r\n"), true);
    let zeros = format!("content-length: {}3", "0".repeat(90));
    check(&format!("POST / HTTP/1.1\r\n{zeros}\r\n\r\nabcGET / HTTP/1.1\r\n\r\n"), false);
}

#[test]
fn a_head_is_known_to_have_begun() {
    let mut framing = Framing::new();
    assert!(!framing.is_in_head());
    framing.read(b"G").unwrap();
    assert!(framing.is_in_head());
    framing.read(b"ET / HTTP/1.1\r\nhost:").unwrap();
    assert!(framing.is_in_head());
    framing.read(b" a\r\n\r\n").unwrap();
    assert!(!framing.is_in_head());
    framing.read(b"POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\nab").unwrap();
    assert!(!framing.is_in_head());
}
