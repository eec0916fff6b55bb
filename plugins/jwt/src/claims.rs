//! What a token claims, once its signature has been verified.

use crate::json::{Json, Object};
use crate::token::Refusal;
use edgewit_sdk::field;

/// What a token must claim.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) issuer: Option<String>,
    /// One of these. If there are none, a token made for an audience is not made for us (RFC 7519 4.1.3).
    pub(crate) audience: Vec<String>,
    pub(crate) any_audience: bool,
    pub(crate) require_exp: bool,
    pub(crate) leeway_s: u32,
}

/// Claims that hold.
#[derive(Debug)]
pub(crate) struct Claims {
    pub(crate) subject: Option<String>,
    all: Object,
}

/// A claim that goes to the upstream in a field.
#[derive(Debug)]
pub(crate) struct Forward {
    pub(crate) claim: String,
    pub(crate) field: String,
}

impl Rules {
    pub(crate) fn check(&self, claims: Object, wall_ms: u64) -> Result<Claims, Refusal> {
        let now = wall_ms as f64 / 1_000.0;
        let leeway = f64::from(self.leeway_s);
        match date(&claims, "exp").map_err(|()| Refusal::Claim("`exp` is no number"))? {
            Some(end) if end + leeway <= now => return Err(Refusal::Claim("`exp`: expired")),
            None if self.require_exp => return Err(Refusal::Claim("`exp` is missing")),
            _ => {}
        }
        match date(&claims, "nbf").map_err(|()| Refusal::Claim("`nbf` is no number"))? {
            Some(begin) if now + leeway < begin => {
                return Err(Refusal::Claim("`nbf`: not valid yet"));
            }
            _ => {}
        }
        if let Some(issuer) = &self.issuer
            && claims.get("iss") != Some(&Json::Text(issuer.clone()))
        {
            return Err(Refusal::Claim("`iss` is not the configured issuer"));
        }
        if !self.any_audience && !self.is_for_us(claims.get("aud")) {
            return Err(Refusal::Claim("`aud` names none of the configured audiences"));
        }
        let subject = match claims.get("sub") {
            None => None,
            Some(Json::Text(subject)) if field::is_value(subject.as_bytes()) => {
                Some(subject.clone())
            }
            Some(_) => return Err(Refusal::Claim("`sub` is no string without control characters")),
        };
        Ok(Claims { subject, all: claims })
    }

    fn is_for_us(&self, audience: Option<&Json>) -> bool {
        let known = |value: &Json| match value {
            Json::Text(name) => self.audience.contains(name),
            _ => false,
        };
        match audience {
            None => self.audience.is_empty(),
            Some(Json::List(names)) => names.iter().any(known),
            Some(name) => known(name),
        }
    }
}

impl Forward {
    /// The field's value. A claim that no field can carry without doubt about where one value ends counts as absent.
    pub(crate) fn value(&self, claims: &Claims) -> Option<String> {
        let text = match claims.all.get(&self.claim)? {
            Json::List(values) => {
                let values: Option<Vec<_>> = values.iter().map(plain).collect();
                values.filter(|values| !values.iter().any(|value| value.contains(',')))?.join(", ")
            }
            value => plain(value)?,
        };
        field::is_value(text.as_bytes()).then_some(text)
    }
}

fn plain(value: &Json) -> Option<String> {
    match value {
        Json::Text(text) => Some(text.clone()),
        Json::Integer(number) => Some(number.to_string()),
        Json::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// Seconds since 1970, whole or fractional (RFC 7519 2). A string is no date, whatever it says.
fn date(claims: &Object, name: &str) -> Result<Option<f64>, ()> {
    match claims.get(name) {
        None => Ok(None),
        Some(Json::Integer(seconds)) => Ok(Some(*seconds as f64)),
        Some(Json::Number(seconds)) => Ok(Some(*seconds)),
        Some(_) => Err(()),
    }
}
