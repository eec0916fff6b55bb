//! The host that a request is for.

use std::{fmt, net::Ipv6Addr, sync::Arc};

use http::HeaderValue;

/// Host and, if given, port, in lower case, without user information (RFC 9110 4.2). Cloning shares it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Authority {
    text: Arc<str>,
    /// The same text.
    field: HeaderValue,
    host_length: usize,
}

/// The text is no host with optional port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a host with an optional port")]
pub struct AuthorityError;

impl Authority {
    /// Checks a `Host` field or `:authority`.
    pub fn new(text: &str) -> Result<Self, AuthorityError> {
        if text.is_empty() || text.contains('@') {
            return Err(AuthorityError);
        }
        let parsed: http::uri::Authority = text.parse().map_err(|_| AuthorityError)?;
        let host = parsed.host();
        let port = text.get(host.len()..).ok_or(AuthorityError)?;
        let digits = port.strip_prefix(':').unwrap_or("none");
        let is_number = digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse::<u16>().is_ok();
        let port_ok = port.is_empty() || is_number;
        let host_ok = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.bytes().all(is_name_byte),
        };
        if !port_ok || !host_ok {
            return Err(AuthorityError);
        }
        let text = text.to_ascii_lowercase();
        let field = HeaderValue::from_str(&text).map_err(|_| AuthorityError)?;
        Ok(Self { host_length: host.len(), text: text.into(), field })
    }

    /// Host and port.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Host and port as the value of a field.
    pub fn field(&self) -> &HeaderValue {
        &self.field
    }

    /// The host alone; an IPv6 address in its brackets.
    pub fn host(&self) -> &str {
        self.text.get(..self.host_length).unwrap_or_default()
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._".contains(&byte)
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_a_host_with_an_optional_port() {
        let cases = [
            ("Example.COM", "example.com"),
            ("a:80", "a"),
            ("127.0.0.1:1", "127.0.0.1"),
            ("[::1]:8080", "[::1]"),
            ("[::1]", "[::1]"),
        ];
        for (text, host) in cases {
            let authority = Authority::new(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(authority.host(), host);
            assert_eq!(authority.as_str(), text.to_ascii_lowercase());
            assert_eq!(authority.field(), authority.as_str());
        }
        let bad = [
            "", "a b", "u@a", "a/admin", "a:b", "a:", ":80", "a:99999", "a,b", "a\\b", "a#b",
            "a%41",
        ];
        for text in bad {
            assert_eq!(Authority::new(text), Err(AuthorityError), "{text}");
        }
    }
}
