//! What a request is counted by.

use edgewit_sdk::{DeclaredFact, Fact, Needs, Request, RequestField, Value, field};
use sha2::{Digest, Sha256};
use std::net::Ipv6Addr;

/// What a request is counted by.
#[derive(Debug)]
pub(crate) enum Key {
    Header(RequestField),
    ClientAddress { fact: DeclaredFact, ipv6_prefix: u8 },
    Subject(DeclaredFact),
    Route(DeclaredFact),
    Global,
}

impl Key {
    pub(crate) fn parse(text: &str, ipv6_prefix: u8, needs: &mut Needs) -> Result<Self, String> {
        if ipv6_prefix > 128 {
            return Err(format!("`ipv6-prefix` is {ipv6_prefix}; 0 to 128 bits are allowed"));
        }
        Ok(match text {
            "client-address" => {
                Key::ClientAddress { fact: needs.fact(Fact::ClientAddress), ipv6_prefix }
            }
            "subject" => Key::Subject(needs.fact(Fact::Subject)),
            "route" => Key::Route(needs.fact(Fact::Route)),
            "global" => Key::Global,
            _ => {
                let name = text.strip_prefix("header:").ok_or_else(|| {
                    format!(
                        "`key`: `{text}` is not known; `client-address`, `subject`, `route`, `global` and `header:NAME` are"
                    )
                })?;
                let name =
                    field::checked_name(name).map_err(|problem| format!("`key`: {problem}"))?;
                Key::Header(needs.request_field(&name))
            }
        })
    }

    /// What the request is counted by; `None` if it has no such thing.
    pub(crate) fn value(&self, request: &Request) -> Option<String> {
        match self {
            Key::Header(field) => joined(request.all(*field)),
            Key::ClientAddress { fact, ipv6_prefix } => {
                request.get(*fact).map(|address| network(&printed(&address), *ipv6_prefix))
            }
            Key::Subject(fact) | Key::Route(fact) => {
                request.get(*fact).map(|value| printed(&value))
            }
            Key::Global => Some(String::new()),
        }
    }

    /// What tells the same value of two keys apart.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Key::Header(_) => "header",
            Key::ClientAddress { .. } => "client-address",
            Key::Subject(_) => "subject",
            Key::Route(_) => "route",
            Key::Global => "global",
        }
    }
}

/// A bucket's name that the host takes. A long one becomes its digest, which nobody can aim at another's bucket.
pub(crate) fn shortened(name: String) -> String {
    if name.len() <= LONGEST {
        return name;
    }
    let mut short = String::from("sha256:");
    for byte in Sha256::digest(&name) {
        short.extend([byte >> 4, byte & 15].map(|digit| char::from(HEX[usize::from(digit)])));
    }
    short
}

/// What `rate` takes.
const LONGEST: usize = 512;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Several fields of one name are one list (RFC 9110 5.3).
fn joined<'a>(values: impl Iterator<Item = Value<'a>>) -> Option<String> {
    let values: Vec<_> = values.map(|value| printed(&value)).collect();
    (!values.is_empty()).then(|| values.join(", "))
}

/// Text, or what is no text in a way that keeps different bytes different.
fn printed(value: &Value<'_>) -> String {
    value.text().map_or_else(|| value.escape_ascii().to_string(), str::to_owned)
}

/// The first bits of an IPv6 address; any other address whole.
fn network(address: &str, ipv6_prefix: u8) -> String {
    let Ok(ipv6) = address.parse::<Ipv6Addr>() else { return address.to_owned() };
    match ipv6.to_ipv4_mapped() {
        Some(ipv4) => ipv4.to_string(),
        None => {
            let mask = u128::MAX.checked_shl(128 - u32::from(ipv6_prefix)).unwrap_or(0);
            Ipv6Addr::from_bits(ipv6.to_bits() & mask).to_string()
        }
    }
}
