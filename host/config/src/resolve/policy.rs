//! `fault`, `compress`, `mirror` and `split-on` of a route.

use std::time::Duration;

use edgewit_model::{ByteSize, Compress, Encoding, Fault, Mirror, SplitOn, UpstreamName};
use http::{HeaderName, StatusCode};

use super::Cx;
use crate::{
    code,
    raw::{self, At, SwitchOr},
    suggest::did_you_mean,
};

const MOST_TYPES: usize = 256;
/// As much as retries keep of a body.
const MIRRORED_BODY: ByteSize = ByteSize(64 << 10);
/// Copies in memory have to stay small: there may be many at a time.
const MOST_MIRRORED_BODY: u64 = 16 << 20;

pub(super) fn fault(raw: &At<raw::Fault>, cx: &mut Cx<'_, '_>) -> Fault {
    let At { value: raw, span } = raw;
    if raw.delay.is_none() && raw.abort.is_none() {
        cx.error(code::MISSING_KEY, span, "`fault` needs `delay` or `abort`");
    }
    let delay = raw.delay.as_ref().map(|delay| {
        if delay.time.is_none() {
            cx.error(code::MISSING_KEY, span, "`delay` lacks `time`");
        }
        let time = cx.time(&delay.time, Duration::from_millis(1));
        (time, cx.amount(&delay.share).unwrap_or(100))
    });
    let abort = raw.abort.as_ref().map(|abort| {
        let share = cx.amount(&abort.share).unwrap_or(100);
        (failure(&abort.status, cx), share)
    });
    Fault { delay, abort }
}

fn failure(at: &At<u64>, cx: &mut Cx<'_, '_>) -> StatusCode {
    let status = u16::try_from(at.value).ok().filter(|status| (400..=599).contains(status));
    let status = status.and_then(|status| StatusCode::from_u16(status).ok());
    if status.is_none() {
        let message = format!("a status here is 400 to 599, not {}", at.value);
        cx.error(code::INVALID_VALUE, &at.span, message);
    }
    status.unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
}

pub(super) fn compress(raw: &At<SwitchOr<raw::Compress>>, cx: &mut Cx<'_, '_>) -> Option<Compress> {
    let default = Compress::default();
    let raw = match &raw.value {
        SwitchOr::Switch(on) => return on.then_some(default),
        SwitchOr::Table(table) => table,
    };
    Some(Compress {
        encodings: raw.encodings.as_ref().map_or(default.encodings, |list| encodings(list, cx)),
        min_size: cx.size(&raw.min_size, default.min_size),
        types: raw.types.as_ref().map_or(default.types, |list| types(list, cx)),
    })
}

const ENCODINGS: [Encoding; 3] = [Encoding::Zstd, Encoding::Brotli, Encoding::Gzip];

fn encodings(list: &At<Vec<At<String>>>, cx: &mut Cx<'_, '_>) -> Vec<Encoding> {
    let mut out = Vec::new();
    for at in cx.bounded(list, ENCODINGS.len(), "encodings") {
        match ENCODINGS.iter().find(|encoding| encoding.as_str() == at.value) {
            Some(encoding) if out.contains(encoding) => {
                cx.error(code::INVALID_VALUE, &at.span, format!("`{}` is listed twice", at.value));
            }
            Some(encoding) => out.push(*encoding),
            None => {
                let message = format!("`{}` is no encoding; use zstd, br or gzip", at.value);
                let label = did_you_mean(&at.value, ENCODINGS.map(Encoding::as_str));
                cx.hint(code::INVALID_VALUE, &at.span, message, label);
            }
        }
    }
    if list.value.is_empty() {
        let label = "write `compress = false` for none";
        cx.hint(code::INVALID_VALUE, &list.span, "a route compresses with at least one", label);
    }
    out
}

fn types(list: &At<Vec<At<String>>>, cx: &mut Cx<'_, '_>) -> Vec<String> {
    let mut out = Vec::new();
    for at in cx.bounded(list, MOST_TYPES, "types") {
        let token = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"*+-._".contains(&b))
        };
        let text = at.value.to_ascii_lowercase();
        match text.split_once('/') {
            Some((kind, sub))
                if token(kind)
                    && token(sub)
                    && (text == "*/*" || text.matches('*').count() < 2) =>
            {
                out.push(text);
            }
            _ => {
                let message = format!("`{}` is no media type", at.value);
                let label = "expected something like `application/json` or `text/*`";
                cx.hint(code::INVALID_VALUE, &at.span, message, label);
            }
        }
    }
    out
}

pub(super) fn mirror(raw: &At<raw::Mirror>, cx: &mut Cx<'_, '_>) -> Option<Mirror> {
    let At { value: raw, span } = raw;
    if raw.upstream.is_none() {
        cx.error(code::MISSING_KEY, span, "`mirror` lacks `upstream`");
    }
    let body = cx.size(&raw.body, MIRRORED_BODY);
    if let Some(at) = raw.body.as_ref().filter(|_| body.0 > MOST_MIRRORED_BODY) {
        cx.error(code::INVALID_VALUE, &at.span, "a copy holds at most 16MiB of a body");
    }
    Some(Mirror {
        percent: cx.amount(&raw.sample).unwrap_or(100),
        body,
        upstream: UpstreamName::new(&raw.upstream.as_ref()?.value).ok()?, // said by the check of references
    })
}

pub(super) fn split_on(at: &At<String>, cx: &mut Cx<'_, '_>) -> Option<SplitOn> {
    let split = match at.value.split_once(':') {
        None if at.value == "client" => Some(SplitOn::Client),
        Some(("cookie", name)) if is_token(name) => Some(SplitOn::Cookie(name.to_owned())),
        Some(("header", name)) => HeaderName::from_bytes(name.as_bytes()).ok().map(SplitOn::Header),
        _ => None,
    };
    if split.is_none() {
        let message = format!("`{}` is nothing to split on", at.value);
        let label = "expected `cookie:NAME`, `header:NAME` or `client`";
        cx.hint(code::INVALID_VALUE, &at.span, message, label);
    }
    split
}

fn is_token(name: &str) -> bool {
    HeaderName::from_bytes(name.as_bytes()).is_ok()
}
