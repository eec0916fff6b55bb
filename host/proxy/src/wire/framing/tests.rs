use super::*;

const LIMITS: HeadLimits = HeadLimits { bytes: 4_096, fields: 20 };

/// Reads a text in pieces of a length, keeping back what must come again. Says what it was refused for.
fn read(text: &[u8], piece: usize) -> Option<Violation> {
    let mut framing = Framing::new(LIMITS);
    let (mut held, mut passed) = (Vec::new(), 0);
    for part in text.chunks(piece) {
        held.extend_from_slice(part);
        match framing.read(&held) {
            Ok(read) => {
                held.drain(..read);
                passed += read;
            }
            Err(Violation::Head { at, refusal }) => {
                return Some(Violation::Head { at: passed + at, refusal });
            }
            Err(Violation::Body { at, poison }) => {
                return Some(Violation::Body { at: passed + at, poison });
            }
        }
    }
    assert!(held.is_empty() || held.len() < LIMITS.bytes);
    None
}

fn check(text: &str, expected: Option<Refusal>) {
    let whole = read(text.as_bytes(), usize::MAX >> 1);
    let refusal = whole.as_ref().map(|violation| match violation {
        Violation::Head { refusal, .. } => *refusal,
        Violation::Body { .. } => Refusal::BodyFraming,
    });
    assert_eq!(refusal, expected, "{text:?}");
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
        "GET http://a/b HTTP/1.1\r\nx:\r\ny: \u{e4}\t\r\n\r\n",
        "OPTIONS * HTTP/1.0\r\n\r\n",
        "CONNECT a:80 HTTP/1.1\r\n\r\n",
        &long,
    ] {
        check(text, None);
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
        "transfer-encoding:\r\n",
    ] {
        let text = format!("POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\n");
        check(&text, Some(Refusal::Framing));
    }
    let old = "POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n";
    check(old, Some(Refusal::Framing));
}

#[test]
fn broken_fields_are_refused() {
    for fields in [
        "transfer-encoding: \u{b}chunked\r\n",
        "transfer-encoding : chunked\r\n",
        "x: y\r\n continued\r\n",
        "x: y\ncontent-length: 3\r\n",
        "x: y\rz\r\n",
        "x: y\0z\r\n",
        "x\r\n",
        "x y: z\r\n",
        "x\u{1}: z\r\n",
        ": z\r\n",
        "\u{e4}: z\r\n",
    ] {
        let text = format!("POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\n");
        check(&text, Some(Refusal::Field));
    }
    check("GET / HTTP/1.1\r\nhost: a\r\n\n", Some(Refusal::Field));
}

#[test]
fn request_lines_have_one_form() {
    for text in [
        "GET / HTTP/1.1\nhost: a\r\n\r\n",
        "\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "\nGET / HTTP/1.1\r\n\r\n",
        "GET  / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1 \r\n\r\n",
        "GET /\r\n\r\n",
        "GET / http/1.1\r\n\r\n",
        "GET / HTTP/1.10\r\n\r\n",
        "GET\t/\tHTTP/1.1\r\n\r\n",
        "GET a HTTP/1.1\r\n\r\n",
        "GET ftp://a/ HTTP/1.1\r\n\r\n",
        "GET http:// HTTP/1.1\r\n\r\n",
        "GET /a#b HTTP/1.1\r\n\r\n",
        "GET /\u{e4} HTTP/1.1\r\n\r\n",
        "G(T / HTTP/1.1\r\n\r\n",
        "\u{16}\u{3}\u{1}\0\u{1}",
        " GET / HTTP/1.1\r\n\r\n",
        "METHODMETHODMETHODMETHODMETHODMETHOD",
    ] {
        check(text, Some(Refusal::RequestLine));
    }
    for version in ["HTTP/0.9", "HTTP/1.2", "HTTP/2.0", "HTTP/3.0"] {
        check(&format!("GET / {version}\r\n\r\n"), Some(Refusal::Version));
    }
}

#[test]
fn heads_have_bounds() {
    let fields = |n| format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(n));
    check(&fields(20), None);
    check(&fields(21), Some(Refusal::TooManyFields));
    let bytes = |n| format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(n));
    check(&bytes(4_000), None);
    check(&bytes(4_090), Some(Refusal::HeadTooLarge));
    check(&format!("GET /{}", "y".repeat(5_000)), Some(Refusal::TargetTooLong));
    check(&"x".repeat(5_000), Some(Refusal::RequestLine));
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
        "0\r\nx: y\rz\r\n\r\n",
        "0\r\nx: \0\r\n\r\n",
        "0\r\nx\r\n\r\n",
        "0\r\nx : y\r\n\r\n",
        "0\r\n: y\r\n\r\n",
        "0\r\n\n",
    ] {
        let text = format!("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n{body}");
        check(&text, Some(Refusal::BodyFraming));
    }
    let long = format!("2;{}\r\nab\r\n", "x".repeat(1_000));
    let text = format!("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n{long}");
    check(&text, Some(Refusal::BodyFraming));
}

#[test]
fn what_comes_before_a_bad_head_is_let_through() {
    let good = "GET / HTTP/1.1\r\n\r\n";
    let violation = read(format!("{good}GET /\r\n").as_bytes(), 1_000);
    let refusal = Refusal::RequestLine;
    assert_eq!(violation, Some(Violation::Head { at: good.len(), refusal }));
    let mut framing = Framing::new(LIMITS);
    assert_eq!(framing.read(format!("{good}GET / HT").as_bytes()), Ok(good.len()));
    assert_eq!(framing.heads(), 1);
}
