//! What else a route does with the messages that pass: faults, compression, copies.

use std::time::Duration;

use http::{HeaderName, StatusCode};

use crate::{ByteSize, UpstreamName};

/// `fault = { ... }`: faults that are made on purpose, to see what clients do.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Fault {
    /// A pause before the upstream is asked, and for how many of 100 requests.
    pub delay: Option<(Duration, u32)>,
    /// An answer in the place of the upstream's, and for how many of 100 requests.
    pub abort: Option<(StatusCode, u32)>,
}

/// `compress = { ... }`: content codings for responses.
#[derive(Debug, Clone, PartialEq)]
pub struct Compress {
    /// Which, the preferred first; at least one.
    pub encodings: Vec<Encoding>,
    /// Smaller responses are sent as they are.
    pub min_size: ByteSize,
    /// Media types in lower case without parameters; `text/*` stands for all of a kind.
    pub types: Vec<String>,
}

/// A content coding (RFC 9110 8.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// RFC 8878.
    Zstd,
    /// RFC 7932.
    Brotli,
    /// RFC 1952.
    Gzip,
}

impl Encoding {
    /// Its name in header fields.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }
}

impl Default for Compress {
    fn default() -> Self {
        let types = [
            "text/*",
            "application/json",
            "application/*+json",
            "application/javascript",
            "application/xml",
            "application/*+xml",
            "application/wasm",
            "image/svg+xml",
        ];
        Self {
            encodings: vec![Encoding::Zstd, Encoding::Brotli, Encoding::Gzip],
            min_size: ByteSize(1 << 10), // below, the coding saves less than one packet
            types: types.map(str::to_owned).to_vec(),
        }
    }
}

/// `mirror = { ... }`: copies of requests whose responses nobody sees.
#[derive(Debug, Clone, PartialEq)]
pub struct Mirror {
    /// Who gets them.
    pub upstream: UpstreamName,
    /// How many of 100 requests.
    pub percent: u32,
    /// Requests with a longer body are not copied.
    pub body: ByteSize,
}

/// `split-on = "..."`: what decides, instead of chance, which of several upstreams a request goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SplitOn {
    /// The value of a cookie.
    Cookie(String),
    /// The value of a header field.
    Header(HeaderName),
    /// The address of the client.
    Client,
}
