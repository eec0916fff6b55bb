//! What may stand in a header field, for filters that take names and values from their configuration.
//!
//! The host checks every edit too, but then it is a request that fails.

/// The name in lower case, if a filter may write a field of that name; else why not.
pub fn checked_name(name: &str) -> Result<String, String> {
    let token = !name.is_empty() && name.bytes().all(is_token);
    let lower = name.to_ascii_lowercase();
    if !token {
        return Err(format!(
            "`{name}` is no name of a field; letters, digits and any of !#$%&'*+-.^_`|~ are allowed"
        ));
    }
    if HOST_FIELDS.contains(&lower.as_str()) {
        return Err(format!("`{lower}` belongs to the host and cannot be changed by a filter"));
    }
    Ok(lower)
}

/// May this be the value of a field?
pub fn is_value(value: &[u8]) -> bool {
    value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..))
}

/// Framing and hop-by-hop fields (RFC 9110 7.6.1), and `host`, which is the fact `authority`.
const HOST_FIELDS: [&str; 9] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// RFC 9110 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_tokens_that_do_not_belong_to_the_host() {
        assert_eq!(checked_name("X-A").unwrap(), "x-a");
        for refused in ["", "a b", "a:b", "ä", "a\r\nb", "Transfer-Encoding", "content-length"] {
            assert!(checked_name(refused).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn values_have_no_control_characters() {
        assert!(is_value("a\tb ä".as_bytes()));
        for refused in ["\r\n", "\0", "\x7f"] {
            assert!(!is_value(refused.as_bytes()), "{refused:?}");
        }
    }
}
