//! The field `Retry-After` (RFC 9110 10.2.3).

use std::time::UNIX_EPOCH;

/// How long the server wants us to wait, from seconds or from a date. The wall clock is asked for a date only. A date in
/// the past means now; more than fits is forever.
pub(crate) fn parse_ms(value: &str, wall_ms: impl FnOnce() -> u64) -> Option<u32> {
    let value = value.trim_ascii();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds = value.parse::<u32>().unwrap_or(u32::MAX);
        return Some(seconds.saturating_mul(1_000));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    let at_ms = date.duration_since(UNIX_EPOCH).ok()?.as_millis();
    let wait = at_ms.saturating_sub(u128::from(wall_ms()));
    Some(u32::try_from(wait).unwrap_or(u32::MAX))
}
