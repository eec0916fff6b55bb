//! The head of a response, and whether it is acceptable.

use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
};

/// Fields of a response head at most. hyper keeps to the same number for HTTP/1.1.
pub(super) const MAX_FIELDS: usize = 100;

/// What is wrong with a response. It is refused whole, never repaired: an upstream and a client that read it differently
/// would take one response for two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// A `101` that nobody asked for (RFC 9110 15.2.2).
    #[error("`101 Switching Protocols` without having been asked")]
    Switched,
    /// Both `transfer-encoding` and `content-length` (RFC 9112 6.3).
    #[error("both `transfer-encoding` and `content-length`")]
    TwoLengths,
    /// A transfer coding other than `chunked` alone (RFC 9112 7).
    #[error("a transfer coding other than `chunked`")]
    Coding,
    /// A `content-length` that is no number, or several that differ (RFC 9110 8.6).
    #[error("an invalid `content-length`")]
    Length,
    /// More than 100 fields.
    #[error("more than {MAX_FIELDS} fields")]
    Fields,
    /// More informational responses than pass.
    #[error("too much before the response")]
    Flood,
}

/// Checks the head of a response and takes out the fields that described its framing on the connection.
pub(super) fn check<B>(response: &mut Response<B>) -> Result<(), ProtocolError> {
    let status = response.status();
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(ProtocolError::Switched);
    }
    let fields = response.headers_mut();
    if fields.len() > MAX_FIELDS {
        return Err(ProtocolError::Fields);
    }
    let coded = check_coding(fields)?;
    let sized = check_length(fields)?;
    if coded && sized {
        return Err(ProtocolError::TwoLengths);
    }
    if status == StatusCode::NO_CONTENT {
        fields.remove(CONTENT_LENGTH); // must not be there (RFC 9110 8.6)
    }
    Ok(())
}

/// Whether there was a transfer coding. hyper has decoded it.
fn check_coding(fields: &mut HeaderMap) -> Result<bool, ProtocolError> {
    let mut codings = fields.get_all(TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else { return Ok(false) };
    let alone = codings.next().is_none();
    if !alone || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
        return Err(ProtocolError::Coding);
    }
    fields.remove(TRANSFER_ENCODING);
    Ok(true)
}

/// Whether there is a length. Repetitions of the same number become one.
fn check_length(fields: &mut HeaderMap) -> Result<bool, ProtocolError> {
    let mut lines = fields.get_all(CONTENT_LENGTH).iter();
    let Some(first) = lines.next() else { return Ok(false) };
    if lines.next().is_none() && number(first.as_bytes()).is_some() {
        return Ok(true);
    }
    let lines = fields.get_all(CONTENT_LENGTH).iter();
    let mut members = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let first = members.next().and_then(number).ok_or(ProtocolError::Length)?;
    if members.any(|member| number(member) != Some(first)) {
        return Err(ProtocolError::Length);
    }
    fields.insert(CONTENT_LENGTH, HeaderValue::from(first));
    Ok(true)
}

fn number(text: &[u8]) -> Option<u64> {
    let digits = text.trim_ascii();
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| plain)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(
        status: u16,
        fields: &[(&'static str, &'static str)],
    ) -> Result<Vec<String>, ProtocolError> {
        let mut response = Response::builder().status(status);
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        let mut response = response.body(()).unwrap();
        check(&mut response)?;
        let shown = response.headers().iter().map(|(n, v)| format!("{n}: {}", v.to_str().unwrap()));
        Ok(shown.collect())
    }

    #[test]
    fn ambiguous_framing_is_refused() {
        let check = |fields: &[(&'static str, &'static str)], expected| {
            assert_eq!(checked(200, fields), Err(expected), "{fields:?}");
        };
        const TE: &str = "transfer-encoding";
        const CL: &str = "content-length";
        check(&[(CL, "6"), (TE, "chunked")], ProtocolError::TwoLengths);
        check(&[(TE, "gzip, chunked")], ProtocolError::Coding);
        check(&[(TE, "gzip")], ProtocolError::Coding);
        check(&[(TE, "chunked"), (TE, "chunked")], ProtocolError::Coding);
        check(&[(TE, "")], ProtocolError::Coding);
        for length in ["2x", "+2", "-2", "", "2 2", "0x2", "18446744073709551616", "2,3", "2,"] {
            check(&[(CL, length)], ProtocolError::Length);
        }
        check(&[(CL, "2"), (CL, "3")], ProtocolError::Length);
    }

    #[test]
    fn framing_fields_that_pass_are_plain() {
        let check = |status, fields: &[(&'static str, &'static str)], expected: &[&str]| {
            assert_eq!(checked(status, fields).unwrap(), expected, "{fields:?}");
        };
        check(200, &[("Transfer-Encoding", "Chunked"), ("a", "b")], &["a: b"]);
        check(200, &[("content-length", "6")], &["content-length: 6"]);
        check(200, &[("content-length", "6"), ("content-length", "6")], &["content-length: 6"]);
        check(200, &[("content-length", "6, 6")], &["content-length: 6"]);
        check(204, &[("content-length", "6")], &[]);
        check(304, &[("content-length", "6")], &["content-length: 6"]);
    }

    #[test]
    fn a_response_head_has_its_limits() {
        assert_eq!(checked(101, &[]), Err(ProtocolError::Switched));
        assert!(checked(200, &[("a", "b"); MAX_FIELDS]).is_ok());
        assert_eq!(checked(200, &[("a", "b"); MAX_FIELDS + 1]), Err(ProtocolError::Fields));
    }
}
