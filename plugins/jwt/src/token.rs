//! A token in the compact form of RFC 7515, from bytes that anybody may have sent to a payload that a key has signed.

use crate::json::{self, Json, Object};
use crate::key::Keys;
use base64ct::{Base64UrlUnpadded, Encoding};
use std::fmt;

/// Why a request is not let in. For the log; the client learns which of RFC 6750's codes it is.
#[derive(Debug, PartialEq)]
pub(crate) enum Refusal {
    Missing,
    Duplicate,
    TooLong,
    Malformed(&'static str),
    Header(&'static str),
    NoKey,
    Signature,
    Claim(&'static str),
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Missing => out.write_str("no bearer token"),
            Refusal::Duplicate => out.write_str("more than one `authorization` field"),
            Refusal::TooLong => out.write_str("the token is longer than `max-token`"),
            Refusal::Malformed(what) => write!(out, "malformed token: {what}"),
            Refusal::Header(what) => write!(out, "header of the token: {what}"),
            Refusal::NoKey => out.write_str("no configured key has this `kid` and `alg`"),
            Refusal::Signature => out.write_str("the signature does not fit"),
            Refusal::Claim(what) => write!(out, "claim {what}"),
        }
    }
}

/// The payload, once one of the keys has proven that it made it. Nothing of the payload is looked at before.
pub(crate) fn verified(
    token: &str,
    keys: &Keys,
    token_type: Option<&str>,
) -> Result<Object, Refusal> {
    let (signed, signature) = token.rsplit_once('.').ok_or(Refusal::Malformed("no `.`"))?;
    let (header, payload) = signed.split_once('.').ok_or(Refusal::Malformed("one `.`"))?;
    if payload.contains('.') {
        return Err(Refusal::Malformed("more than two `.`"));
    }
    let header = object(header).ok_or(Refusal::Malformed("the header is no JSON object"))?;
    let (algorithm, key_id) = checked(&header, token_type)?;
    let key = keys.find(algorithm, key_id).ok_or(Refusal::NoKey)?;
    let signature =
        decoded(signature).ok_or(Refusal::Malformed("the signature is no base64url"))?;
    if !key.verifies(signed.as_bytes(), &signature) {
        return Err(Refusal::Signature);
    }
    object(payload).ok_or(Refusal::Malformed("the payload is no JSON object"))
}

/// What the header says about algorithm and key. Where it says where to find a key (`jku`, `jwk`, `x5u`, `x5c`), nobody
/// listens: keys come from the configuration.
fn checked<'a>(
    header: &'a Object,
    token_type: Option<&str>,
) -> Result<(&'a str, Option<&'a str>), Refusal> {
    if header.get("crit").is_some() {
        return Err(Refusal::Header("`crit` names extensions, and there are none here"));
    }
    if let Some(expected) = token_type {
        match header.get("typ") {
            Some(Json::Text(found)) if same_type(found, expected) => {}
            _ => return Err(Refusal::Header("`typ` is not the configured `type`")),
        }
    }
    let key_id = match header.get("kid") {
        None => None,
        Some(Json::Text(key_id)) => Some(key_id.as_str()),
        Some(_) => return Err(Refusal::Header("`kid` is no string")),
    };
    match header.get("alg") {
        Some(Json::Text(algorithm)) => Ok((algorithm, key_id)),
        _ => Err(Refusal::Header("`alg` is no string")),
    }
}

/// Media types without regard to case, and to a left-out `application/` (RFC 7515 4.1.9).
fn same_type(found: &str, expected: &str) -> bool {
    let short = |text: &str| {
        let lower = text.to_ascii_lowercase();
        lower.strip_prefix("application/").map_or(lower.clone(), str::to_owned)
    };
    short(found) == short(expected)
}

fn object(part: &str) -> Option<Object> {
    json::parse_object(&decoded(part)?)
}

/// Strict: no padding, no foreign characters, no bits left over.
pub(crate) fn decoded(part: &str) -> Option<Vec<u8>> {
    Base64UrlUnpadded::decode_vec(part).ok()
}
