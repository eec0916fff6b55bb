//! What keeps a client with its endpoint: a part of its requests, or a cookie of ours.

use std::borrow::Cow;

use edgewit_chain::{Exchange, Scheme};
use edgewit_model::{Affinity, HashOn};
use edgewit_upstream::{Tried, Upstream, hash_of};
use http::{
    HeaderMap, HeaderValue,
    header::{COOKIE, SET_COOKIE},
};

/// The beginning of an exchange's attempts, with what the request says about where they go.
pub(super) fn begin(upstream: &Upstream, exchange: &Exchange) -> Tried {
    let mut tried = Tried::new();
    if let Some(hash_on) = upstream.hash_on() {
        tried.hash = part(hash_on, exchange).map(|value| hash_of(&value));
    }
    if let Some(affinity) = upstream.affinity() {
        tried.prefer = cookie(&exchange.fields, &affinity.cookie).and_then(read);
    }
    tried
}

/// The part of a request that decides. Header fields and paths are those that the filters left.
fn part<'a>(hash_on: &HashOn, exchange: &'a Exchange) -> Option<Cow<'a, [u8]>> {
    Some(match hash_on {
        HashOn::Header(name) => exchange.fields.get(name)?.as_bytes().into(),
        HashOn::Cookie(name) => cookie(&exchange.fields, name)?.into(),
        HashOn::Query(name) => query(exchange.query.as_deref()?, name)?.as_bytes().into(),
        HashOn::Client => exchange.client.to_string().into_bytes().into(),
        HashOn::Path => exchange.path.as_str().as_bytes().into(),
    })
}

/// The first parameter of this name, as it is written.
fn query<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.find(|(found, _)| *found == name).map(|(_, value)| value)
}

/// The first cookie of this name (RFC 6265 4.2).
fn cookie<'a>(fields: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let mut pairs = fields.get_all(COOKIE).iter().flat_map(|field| pairs(field.as_bytes()));
    pairs.find_map(|pair| value_of(pair, name))
}

fn pairs(field: &[u8]) -> impl Iterator<Item = &[u8]> {
    field.split(|byte| *byte == b';').map(<[u8]>::trim_ascii)
}

fn value_of<'a>(pair: &'a [u8], name: &str) -> Option<&'a [u8]> {
    pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=")
}

/// The tag in a cookie of ours; anything else is no tag.
fn read(value: &[u8]) -> Option<u64> {
    let is_ours = value.len() == 16 && value.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(value).ok().filter(|_| is_ours)?;
    u64::from_str_radix(text, 16).ok()
}

/// Takes our cookie out of what goes to the upstream: it is between us and the client.
pub(super) fn strip(upstream: &Upstream, fields: &mut HeaderMap) {
    let Some(affinity) = upstream.affinity() else { return };
    if cookie(fields, &affinity.cookie).is_none() {
        return;
    }
    let is_other = |pair: &&[u8]| !pair.is_empty() && value_of(pair, &affinity.cookie).is_none();
    let rest = |field: &HeaderValue| {
        let pairs: Vec<&[u8]> = pairs(field.as_bytes()).filter(is_other).collect();
        HeaderValue::from_bytes(&pairs.join(&b"; "[..])).ok().filter(|value| !value.is_empty())
    };
    let kept: Vec<HeaderValue> = fields.get_all(COOKIE).iter().filter_map(rest).collect();
    fields.remove(COOKIE);
    fields.extend(kept.into_iter().map(|value| (COOKIE, value)));
}

/// Tells the client where it was, unless it says so already.
pub(super) fn mark(upstream: &Upstream, tried: &Tried, scheme: Scheme, fields: &mut HeaderMap) {
    let Some(affinity) = upstream.affinity() else { return };
    let Some(tag) = tried.last().and_then(|endpoint| upstream.affinity_tag(endpoint)) else {
        return;
    };
    if tried.prefer != Some(tag)
        && let Ok(value) = HeaderValue::try_from(set_cookie(affinity, tag, scheme))
    {
        fields.append(SET_COOKIE, value);
    }
}

/// Out of reach of scripts, not sent along from other sites, and over TLS only if it came over TLS.
fn set_cookie(affinity: &Affinity, tag: u64, scheme: Scheme) -> String {
    let age = affinity.ttl.map(|ttl| format!("; Max-Age={}", ttl.as_secs().max(1)));
    let secure = if scheme == Scheme::Https { "; Secure" } else { "" };
    let (name, age) = (&affinity.cookie, age.unwrap_or_default());
    format!("{name}={tag:016x}; Path=/{age}; HttpOnly; SameSite=Lax{secure}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use edgewit_model as model;

    use super::*;

    fn fields(cookies: &[&'static str]) -> HeaderMap {
        cookies.iter().map(|value| (COOKIE, HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let check = |cookies: &[&'static str], expected: Option<&str>| {
            let found = cookie(&fields(cookies), "sid").map(|v| String::from_utf8_lossy(v).into());
            assert_eq!(found, expected.map(str::to_owned), "{cookies:?}");
        };
        check(&["sid=1"], Some("1"));
        check(&["a=b; sid=1; sid=2"], Some("1"));
        check(&["a=b", "sid=\"x=y\""], Some("\"x=y\""));
        check(&["xsid=1; sid2=3; Sid=4"], None);
        check(&["sid", ""], None);
        check(&[], None);
    }

    #[test]
    fn a_parameter_is_found_by_its_whole_name() {
        let check = |text: &str, expected: Option<&str>| assert_eq!(query(text, "id"), expected);
        check("id=1", Some("1"));
        check("a=b&id=x=y&id=2", Some("x=y"));
        check("id", Some(""));
        check("xid=1&ID=2", None);
        check("", None);
    }

    #[test]
    fn only_a_tag_is_a_tag() {
        assert_eq!(read(b"00000000000000ff"), Some(255));
        for value in ["", "ff", "0x000000000000ff", "+0000000000000ff", "00000000000000fg"] {
            assert_eq!(read(value.as_bytes()), None, "{value}");
        }
    }

    #[test]
    fn our_cookie_stays_with_us() {
        let name = model::UpstreamName::new("a").unwrap();
        let host = "127.0.0.1".to_owned();
        let endpoint = model::Endpoint { tls: false, host, port: 1, weight: 1 };
        let mut config = model::Upstream::new(name, vec![endpoint]);
        config.affinity = Some(affinity(None));
        let upstream = Upstream::new(&config).unwrap();
        let check = |cookies: &[&'static str], expected: &[&str]| {
            let mut fields = fields(cookies);
            strip(&upstream, &mut fields);
            let left: Vec<_> = fields.get_all(COOKIE).iter().collect();
            assert_eq!(left, expected, "{cookies:?}");
        };
        check(&["mine=1"], &[]);
        check(&["a=b; mine=1;c=d"], &["a=b; c=d"]);
        check(&["a=b", "mine=1; mine=2", "c=d"], &["a=b", "c=d"]);
        check(&["a=b;c=d", "not-mine=1"], &["a=b;c=d", "not-mine=1"]);
    }

    fn affinity(ttl: Option<u64>) -> Affinity {
        Affinity { cookie: "mine".to_owned(), ttl: ttl.map(Duration::from_secs), secret: None }
    }

    #[test]
    fn a_cookie_is_for_us_alone() {
        let check = |ttl, scheme, expected: &str| {
            assert_eq!(set_cookie(&affinity(ttl), 255, scheme), expected);
        };
        let tag = "mine=00000000000000ff; Path=/";
        check(None, Scheme::Http, &format!("{tag}; HttpOnly; SameSite=Lax"));
        check(
            Some(3600),
            Scheme::Https,
            &format!("{tag}; Max-Age=3600; HttpOnly; SameSite=Lax; Secure"),
        );
    }
}
