//! Whether and how a response is compressed on its way to the client (RFC 9110 12.5.3, 8.4).

mod coder;

use edgewit_chain::ResponseHead;
use edgewit_model::{Compress, Encoding};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

pub(crate) use coder::Coder;

/// Fields of which any means that somebody has computed a sum over the bytes as they are.
const DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

/// The coding for a response, and its head changed accordingly. `length`: of the body, if it is known. Also for a response
/// to `HEAD`, whose fields are those that `GET` would have.
pub(crate) fn negotiate(
    own: &Compress,
    request: &HeaderMap,
    head: &mut ResponseHead,
    length: Option<u64>,
) -> Option<Encoding> {
    if length.is_some_and(|length| length < own.min_size.0) || !may_be_coded(own, head) {
        return None;
    }
    let fields = &mut head.fields;
    fields.append(header::VARY, HeaderValue::from_static("accept-encoding"));
    let encoding = accepted(&own.encodings, request).filter(|_| Coder::has_room())?;
    fields.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding.as_str()));
    fields.remove(header::CONTENT_LENGTH);
    fields.remove(header::ACCEPT_RANGES); // positions in the coded bytes mean nothing to the upstream
    weaken_etag(fields);
    Some(encoding)
}

fn may_be_coded(own: &Compress, head: &ResponseHead) -> bool {
    const WHOLE: [StatusCode; 4] = [
        StatusCode::NO_CONTENT,
        StatusCode::RESET_CONTENT,
        StatusCode::PARTIAL_CONTENT,
        StatusCode::NOT_MODIFIED,
    ];
    let fields = &head.fields;
    !head.status.is_informational()
        && !WHOLE.contains(&head.status)
        && !fields.contains_key(header::CONTENT_ENCODING)
        && !fields.contains_key(header::CONTENT_RANGE)
        && !DIGESTS.iter().any(|name| fields.contains_key(name))
        && !forbids(fields)
        && is_type(own, fields)
}

/// RFC 9111 5.2.2.6.
fn forbids(fields: &HeaderMap) -> bool {
    let lines = fields.get_all(header::CACHE_CONTROL).iter();
    let mut words = lines.flat_map(|line| line.as_bytes().split(|b| *b == b','));
    words.any(|word| word.trim_ascii().eq_ignore_ascii_case(b"no-transform"))
}

fn is_type(own: &Compress, fields: &HeaderMap) -> bool {
    let value = fields.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let Some(value) = value else { return false };
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    // Events have to arrive one by one, and messages of gRPC are compressed by those who write them.
    let is_stream = essence == "text/event-stream" || essence.starts_with("application/grpc");
    let fits = |pattern: &String| match pattern.split_once('*') {
        _ if pattern == "*/*" => true,
        Some((front, back)) => {
            essence.len() >= front.len() + back.len()
                && essence.starts_with(front)
                && essence.ends_with(back)
        }
        None => *pattern == essence,
    };
    let is_listed = own.types.contains(&essence);
    own.types.iter().any(fits) && (!is_stream || is_listed)
}

/// A coded response is equivalent to the plain one, not the same (RFC 9110 8.8.3.3).
fn weaken_etag(fields: &mut HeaderMap) {
    let Some(etag) = fields.get(header::ETAG).filter(|etag| etag.as_bytes().starts_with(b"\""))
    else {
        return;
    };
    match HeaderValue::from_bytes(&[b"W/", etag.as_bytes()].concat()) {
        Ok(weak) => fields.insert(header::ETAG, weak),
        Err(_) => fields.remove(header::ETAG),
    };
}

/// The coding that the client likes best; of equals the first of ours. `None` if it likes the plain body better.
fn accepted(own: &[Encoding], request: &HeaderMap) -> Option<Encoding> {
    let mut weights: [Option<u16>; 3] = [None; 3];
    let (mut others, mut identity) = (None, None);
    let lines = request.get_all(header::ACCEPT_ENCODING).iter();
    let elements = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
    for element in elements {
        let (name, parameters) = element.split_once(';').unwrap_or((element, ""));
        let Some(weight) = quality(parameters) else { continue };
        let name = name.trim().to_ascii_lowercase();
        match name.as_str() {
            "*" => others = Some(weight),
            "identity" => identity = Some(weight),
            name => {
                let name = name.strip_prefix("x-").filter(|n| *n == "gzip").unwrap_or(name);
                let position = own.iter().position(|encoding| encoding.as_str() == name);
                if let Some(slot) = position.and_then(|at| weights.get_mut(at)) {
                    *slot = Some(weight);
                }
            }
        }
    }
    let weighed = own.iter().zip(weights).map(|(e, weight)| (*e, weight.or(others).unwrap_or(0)));
    let best = weighed.rev().max_by_key(|(_, weight)| *weight); // of equals the last, which is our first
    let (encoding, weight) = best?;
    (weight > 0 && weight >= identity.unwrap_or(0)).then_some(encoding)
}

/// A weight in thousandths (RFC 9110 12.4.2); `None` if it is none.
fn quality(parameters: &str) -> Option<u16> {
    let text = parameters.trim();
    if text.is_empty() {
        return Some(1_000);
    }
    let (name, value) = text.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let (whole, part) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
    if part.len() > 3 || !part.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{part:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn the_client_chooses_by_weight_and_we_among_equals() {
        let cases: [(&[&'static str], Option<&str>); 22] = [
            (&[], None),
            (&[""], None),
            (&["gzip"], Some("gzip")),
            (&["x-gzip"], Some("gzip")),
            (&["GZip"], Some("gzip")),
            (&["gzip, deflate, br, zstd"], Some("zstd")),
            (&["gzip", "br"], Some("br")),
            (&["gzip;q=1.0, br;q=0.9"], Some("gzip")),
            (&["gzip;q=0.5, br;q=0.501"], Some("br")),
            (&["gzip; Q=0.5 ,br ; q=0.4"], Some("gzip")),
            (&["*"], Some("zstd")),
            (&["zstd;q=0, *"], Some("br")),
            (&["*;q=0"], None),
            (&["gzip;q=0"], None),
            (&["identity"], None),
            (&["identity, gzip;q=0.5"], None),
            (&["identity;q=0.5, gzip;q=0.5"], Some("gzip")),
            (&["identity;q=0, *;q=0"], None),
            (&["deflate, compress"], None),
            (&["gzip;q=2"], None),
            (&["gzip;q=0.1234"], None),
            (&["gzip;level=9"], None),
        ];
        let own = Compress::default().encodings;
        for (lines, expected) in cases {
            let mut fields = HeaderMap::new();
            for line in lines {
                fields.append(header::ACCEPT_ENCODING, HeaderValue::from_static(line));
            }
            let found = accepted(&own, &fields).map(Encoding::as_str);
            assert_eq!(found, expected, "{lines:?}");
        }
    }

    #[test]
    fn what_is_not_listed_is_not_used() {
        let mut fields = HeaderMap::new();
        fields.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("zstd, br;q=0.1, *;q=0.5"));
        assert_eq!(accepted(&[Encoding::Gzip], &fields), Some(Encoding::Gzip));
        assert_eq!(accepted(&[Encoding::Brotli, Encoding::Gzip], &fields), Some(Encoding::Gzip));
        assert_eq!(accepted(&[], &fields), None);
    }

    #[test]
    fn types_are_listed_by_name_or_by_kind() {
        for (types, kind, expected) in [
            (&["*/*"] as &[&str], "image/png", true),
            (&["*/*"], "text/event-stream", false),
            (&["*/*", "text/event-stream"], "text/event-stream", true),
            (&["application/*+json"], "application/problem+json", true),
            (&["application/*+json"], "application/json", false),
            (&["text/*"], "application/text/", false),
            (&[], "text/plain", false),
        ] {
            let types = types.iter().map(|own| (*own).to_owned()).collect();
            let own = Compress { types, ..Compress::default() };
            assert_eq!(is_type(&own, &map(&[("content-type", kind)])), expected, "{kind}");
        }
    }

    #[test]
    fn only_what_gains_from_it_is_coded() {
        let check = |status: u16, fields: &[(&'static str, &'static str)], expected: bool| {
            let mut head =
                ResponseHead { status: StatusCode::from_u16(status).unwrap(), fields: map(fields) };
            let request = map(&[("accept-encoding", "gzip")]);
            let found = negotiate(&Compress::default(), &request, &mut head, None);
            assert_eq!(found.is_some(), expected, "{status} {fields:?}");
            assert_eq!(head.fields.contains_key("vary"), expected, "{status} {fields:?}");
        };
        let text = ("content-type", "Text/Plain; charset=utf-8");
        check(200, &[text], true);
        check(404, &[text], true);
        check(200, &[("content-type", "application/problem+json")], true);
        check(200, &[], false);
        for kind in ["image/png", "text/event-stream", "application/grpc", "application/grpc-web"] {
            check(200, &[("content-type", kind)], false);
        }
        for status in [204, 205, 206, 304] {
            check(status, &[text], false);
        }
        check(200, &[text, ("content-encoding", "br")], false);
        check(200, &[text, ("content-range", "bytes 0-1/2")], false);
        check(200, &[text, ("cache-control", "public, No-Transform")], false);
        check(200, &[text, ("content-digest", "sha-256=:AA==:")], false);
    }

    #[test]
    fn the_head_says_what_was_done() {
        let fields = map(&[
            ("content-type", "text/html"),
            ("content-length", "5000"),
            ("etag", "\"a\""),
            ("accept-ranges", "bytes"),
        ]);
        let mut head = ResponseHead { status: StatusCode::OK, fields };
        let own = Compress::default();
        let request = map(&[("accept-encoding", "br")]);
        assert_eq!(negotiate(&own, &request, &mut head, Some(1_023)), None);
        assert_eq!(negotiate(&own, &request, &mut head, Some(1_024)), Some(Encoding::Brotli));
        let expected = map(&[
            ("content-type", "text/html"),
            ("etag", "W/\"a\""),
            ("vary", "accept-encoding"),
            ("content-encoding", "br"),
        ]);
        assert_eq!(head.fields, expected);
    }
}
