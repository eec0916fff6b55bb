//! Which pages of other origins may use a route.

use std::time::Duration;

use http::HeaderName;

/// `cors = { ... }` of a route (Fetch 3.3).
#[derive(Debug, Clone, PartialEq)]
pub struct Cors {
    /// Whose pages; at least one.
    pub origins: Vec<OriginPattern>,
    /// Methods beyond those that need no permission; `None`: all.
    pub methods: Option<Vec<http::Method>>,
    /// Request fields beyond those that need no permission; `None`: all but `authorization`.
    pub headers: Option<Vec<HeaderName>>,
    /// Response fields that pages may read, beyond the usual ones; `None`: all.
    pub expose: Option<Vec<HeaderName>>,
    /// Whether pages may send cookies and other credentials. Never together with anything that stands for all.
    pub credentials: bool,
    /// For how long a browser may keep a permission.
    pub max_age: Duration,
}

/// Origins that may use a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginPattern {
    /// Every origin, `null` included.
    Any,
    /// This one, as a browser writes it: lower case, no default port.
    Exact(String),
    /// Everything below a name, not the name itself.
    Below {
        /// With `://`.
        scheme: String,
        /// The end of the host with its leading dot, and the port if there is one.
        suffix: String,
    },
}

impl OriginPattern {
    /// Does the value of an `origin` field belong to these?
    pub fn contains(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(own) => own == origin,
            Self::Below { scheme, suffix } => {
                let rest = origin.strip_prefix(scheme.as_str());
                let label = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
                rest.and_then(|host| host.strip_suffix(suffix.as_str()))
                    .is_some_and(|below| !below.is_empty() && below.bytes().all(label))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_stands_for_names_below_and_nothing_else() {
        let pattern = OriginPattern::Below {
            scheme: "https://".to_owned(),
            suffix: ".example.com".to_owned(),
        };
        for (origin, expected) in [
            ("https://app.example.com", true),
            ("https://a.b.example.com", true),
            ("https://example.com", false),
            ("https://.example.com", false),
            ("http://app.example.com", false),
            ("https://app.example.com:8443", false),
            ("https://evil.test/.example.com", false),
            ("https://evil.test:1@a.example.com", false),
            ("https://app.example.com.evil.test", false),
            ("https://badexample.com", false),
            ("null", false),
        ] {
            assert_eq!(pattern.contains(origin), expected, "{origin}");
        }
    }
}
