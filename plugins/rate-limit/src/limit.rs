//! How often, as the operator writes it.

use edgewit_sdk::rate::Limit;

/// A rate with its burst, for example `100/m`.
#[derive(Debug)]
pub(crate) struct Rate {
    pub(crate) limit: Limit,
}

impl Rate {
    /// Without a burst it is what comes in during one unit.
    pub(crate) fn check(rate: &str, burst: Option<u32>) -> Result<Self, String> {
        let (tokens, per_ms) = parse(rate).ok_or_else(|| {
            format!("`rate`: `{rate}` is no rate; a number from 1, `/` and one of s, m, h is expected, as in `50/s`")
        })?;
        let burst = burst.unwrap_or(tokens);
        if burst == 0 {
            return Err("`burst` is 0, so nothing could go through; the least is 1".into());
        }
        Ok(Rate { limit: Limit { tokens, per_ms, burst } })
    }

    /// What tells the buckets of this rate from those of another.
    pub(crate) fn name(&self) -> String {
        let Limit { tokens, per_ms, burst } = self.limit;
        format!("{tokens}/{per_ms}/{burst}")
    }

    /// The field `RateLimit-Policy`.
    pub(crate) fn policy(&self) -> String {
        format!("\"default\";q={};w={}", self.limit.tokens, self.limit.per_ms / 1_000)
    }
}

fn parse(rate: &str) -> Option<(u32, u32)> {
    let (number, unit) = rate.split_once('/')?;
    let per_ms = match unit {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    let tokens = digits.then(|| number.parse().ok()).flatten()?;
    (tokens > 0).then_some((tokens, per_ms))
}
