//! Authenticates by JSON Web Token (RFC 7519, as RFC 8725 wants it used).
//!
//! Whether a token is good is decided in [`token`]: form, then key, then signature, and only then what it claims. The
//! client learns no more than RFC 6750 tells it; the reason goes to the log at level debug. Start reading at [`Jwt`]'s
//! `authenticate`.

mod claims;

mod json;

mod key;

mod token;

use claims::{Forward, Rules};
use edgewit_sdk::{Answer, Needs, Request, RequestField, auth, clock, field, log};
use key::{Keys, RawKey};
use serde::Deserialize;
use std::collections::BTreeMap;
use token::Refusal;

/// Who may come in.
#[derive(Debug)]
pub struct Jwt {
    authorization: RequestField,
    keys: Keys,
    rules: Rules,
    longest_token: usize,
    token_type: Option<String>,
    forward_claims: Vec<Forward>,
    forward: bool,
    challenge: String,
}

/// What the operator writes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    keys: Vec<RawKey>,
    #[serde(default)]
    jwks: Option<serde_json::Value>,
    #[serde(default)]
    algorithms: Option<Vec<String>>,
    #[serde(default)]
    issuer: Option<String>,
    #[serde(default)]
    audience: Vec<String>,
    #[serde(default)]
    any_audience: bool,
    #[serde(default = "yes")]
    require_exp: bool,
    #[serde(default = "default_leeway")]
    leeway: String,
    #[serde(default)]
    r#type: Option<String>,
    #[serde(default = "default_max_token")]
    max_token: String,
    #[serde(default)]
    forward_claims: BTreeMap<String, String>,
    #[serde(default = "yes")]
    forward: bool,
    #[serde(default = "default_realm")]
    realm: String,
}

impl Jwt {
    fn configure(config: Config, needs: &mut Needs) -> Result<Self, String> {
        let safe = |c: char| c.is_ascii_graphic() && c != '"' && c != '\\' || c == ' ';
        if !config.realm.chars().all(safe) {
            return Err(
                "`realm` has characters other than visible ASCII without `\"` and `\\`".into()
            );
        }
        let longest_token = bytes(&config.max_token)?;
        let rules = Rules {
            issuer: config.issuer,
            audience: config.audience,
            any_audience: config.any_audience,
            require_exp: config.require_exp,
            leeway_s: seconds(&config.leeway)?,
        };
        if rules.any_audience && !rules.audience.is_empty() {
            return Err("`any-audience` and `audience` exclude each other".into());
        }
        Ok(Jwt {
            authorization: needs.request_field("authorization"),
            keys: Keys::check(config.keys, config.jwks, config.algorithms)?,
            rules,
            longest_token,
            token_type: config.r#type,
            forward_claims: forwarded(config.forward_claims)?,
            forward: config.forward,
            challenge: format!("Bearer realm=\"{}\"", config.realm),
        })
    }

    fn authenticate(&self, request: &mut Request) -> auth::Verdict {
        match self.claims_of(request) {
            Ok(claims) => {
                for forward in &self.forward_claims {
                    // Also what a client sent under this name while the token has no such claim is removed.
                    match forward.value(&claims) {
                        Some(value) => request.set(&forward.field, value),
                        None => request.remove(&forward.field),
                    }
                }
                if !self.forward {
                    request.remove("authorization");
                }
                match claims.subject {
                    Some(subject) => auth::Verdict::AllowAs(subject),
                    None => auth::Verdict::Allow,
                }
            }
            Err(refusal) => {
                log::debug(format!("refused: {refusal}"));
                auth::Verdict::Deny(self.answer(&refusal))
            }
        }
    }

    fn claims_of(&self, request: &Request) -> Result<claims::Claims, Refusal> {
        let mut values = request.all(self.authorization);
        let (value, more) = (values.next().ok_or(Refusal::Missing)?, values.next());
        if more.is_some() {
            return Err(Refusal::Duplicate);
        }
        let token = bearer(&value).ok_or(Refusal::Missing)?;
        if token.len() > self.longest_token {
            return Err(Refusal::TooLong);
        }
        let payload = token::verified(token, &self.keys, self.token_type.as_deref())?;
        self.rules.check(payload, clock::wall_ms())
    }

    /// RFC 6750 3.1.
    fn answer(&self, refusal: &Refusal) -> Answer {
        let (status, error) = match refusal {
            Refusal::Missing => (401, ""),
            Refusal::Duplicate => (400, ", error=\"invalid_request\""),
            _ => (401, ", error=\"invalid_token\""),
        };
        Answer::problem(status, "a valid access token is required")
            .field("www-authenticate", format!("{}{error}", self.challenge))
    }
}

edgewit_sdk::export!(Jwt: lifecycle, auth);

/// The token of `Bearer <token>`; the scheme is matched without regard to case.
fn bearer(value: &[u8]) -> Option<&str> {
    let (scheme, token) = std::str::from_utf8(value).ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_matches(' '))
}

fn forwarded(raw: BTreeMap<String, String>) -> Result<Vec<Forward>, String> {
    let mut forward: Vec<Forward> = Vec::new();
    for (claim, name) in raw {
        let field = field::checked_name(&name)
            .map_err(|problem| format!("`forward-claims.{claim}`: {problem}"))?;
        if field == "authorization" || forward.iter().any(|other| other.field == field) {
            return Err(format!("`forward-claims.{claim}`: the field `{field}` is taken"));
        }
        forward.push(Forward { claim, field });
    }
    Ok(forward)
}

fn seconds(text: &str) -> Result<u32, String> {
    let factors = [("s", 1), ("m", 60), ("h", 3_600)];
    scaled(text, &factors)
        .filter(|seconds| *seconds <= LONGEST_LEEWAY)
        .ok_or_else(|| format!("`leeway`: `{text}` is not allowed; `0s` to `10m` is"))
}

fn bytes(text: &str) -> Result<usize, String> {
    scaled(text, &[("KiB", 1_024), ("B", 1)])
        .filter(|bytes| (1..=LONGEST_TOKEN).contains(bytes))
        .map(|bytes| bytes as usize)
        .ok_or_else(|| format!("`max-token`: `{text}` is not allowed; `1B` to `64KiB` is"))
}

/// A number with one of these units.
fn scaled(text: &str, units: &[(&str, u32)]) -> Option<u32> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u32>().ok()?.checked_mul(*factor)
}

/// Clocks differ by seconds; what differs by more is an expired token.
const LONGEST_LEEWAY: u32 = 600;

/// No header is longer than that.
const LONGEST_TOKEN: u32 = 64 * 1_024;

fn yes() -> bool {
    true
}

fn default_leeway() -> String {
    "30s".into()
}

fn default_max_token() -> String {
    "8KiB".into()
}

fn default_realm() -> String {
    "edgewit".into()
}

#[cfg(test)]
mod tests;
