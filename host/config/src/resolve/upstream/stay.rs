//! What keeps a client with its server: `hash-on` and `affinity`.

use edgewit_model::{Affinity, Balance, HashOn, Secret};
use http::HeaderName;

use super::{Cx, some_time};
use crate::{
    code,
    raw::{self, At},
};

/// The cookie if the configuration names none.
const COOKIE: &str = "edgewit-affinity";

/// Bytes of a secret at least: fewer could be tried out.
const SHORTEST_SECRET: usize = 16;

const LONGEST_NAME: usize = 64;

pub(super) fn hash_on(
    raw: &raw::Upstream,
    balance: Balance,
    cx: &mut Cx<'_, '_>,
) -> Option<HashOn> {
    let Some(at) = &raw.hash_on else {
        if let Some(policy) = raw.balance.as_ref().filter(|_| balance.is_hash())
            && cx.lacks("hash-on")
        {
            let label = "such as hash-on = \"header:x-user\"";
            cx.hint(code::HASH_ON, &policy.span, "this policy needs `hash-on`", label);
        }
        return None;
    };
    if !balance.is_hash() {
        let label = "or leave the key out";
        let message = "`hash-on` needs `balance = \"ring-hash\"` or `\"maglev\"`";
        cx.hint(code::HASH_ON, &at.span, message, label);
    }
    let found = part(&at.value);
    if found.is_none() {
        let message = format!("`{}` is no part of a request", at.value);
        let label = "expected `header:NAME`, `cookie:NAME`, `query:NAME`, `client` or `path`";
        cx.hint(code::HASH_ON, &at.span, message, label);
    }
    found
}

fn part(text: &str) -> Option<HashOn> {
    match text.split_once(':') {
        None if text == "client" => Some(HashOn::Client),
        None if text == "path" => Some(HashOn::Path),
        Some(("header", name)) => HeaderName::try_from(name).ok().map(HashOn::Header),
        Some(("cookie", name)) if is_cookie_name(name) => Some(HashOn::Cookie(name.to_owned())),
        Some(("query", name)) if !name.is_empty() && name.len() <= LONGEST_NAME => {
            Some(HashOn::Query(name.to_owned()))
        }
        _ => None,
    }
}

pub(super) fn affinity(raw: Option<&At<raw::Affinity>>, cx: &mut Cx<'_, '_>) -> Option<Affinity> {
    let At { value: raw, .. } = raw?;
    if let Some(cookie) = raw.cookie.as_ref().filter(|cookie| !is_cookie_name(&cookie.value)) {
        let message = format!("`{}` cannot be the name of a cookie", cookie.value);
        cx.error(code::INVALID_VALUE, &cookie.span, message);
    }
    if let Some(secret) = raw.secret.as_ref().filter(|s| s.value.len() < SHORTEST_SECRET) {
        let message = format!("a secret has at least {SHORTEST_SECRET} bytes");
        cx.error(code::INVALID_VALUE, &secret.span, message);
    }
    let cookie = raw.cookie.as_ref().map_or(COOKIE, |cookie| &cookie.value).to_owned();
    let secret = raw.secret.as_ref().map(|secret| Secret(secret.value.clone()));
    Some(Affinity { cookie, ttl: some_time(&raw.ttl, cx), secret })
}

/// A token (RFC 6265 4.1.1).
fn is_cookie_name(name: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(is_token)
}
