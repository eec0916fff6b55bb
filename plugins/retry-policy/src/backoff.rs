//! Pauses between attempts.

/// Pauses that double from the first to the longest, with full jitter: each is random between nothing and its size, which
/// spreads clients that failed together.
#[derive(Debug)]
pub(crate) struct Backoff {
    first_ms: u32,
    longest_ms: u32,
}

impl Backoff {
    /// For example `25ms..250ms`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let Some((first, longest)) = text.split_once("..") else {
            return Err(format!(
                "`{text}` is no range; the first and the longest pause are expected, as in `25ms..250ms`"
            ));
        };
        let (first_ms, longest_ms) = (duration_ms(first)?, duration_ms(longest)?);
        if longest_ms < first_ms {
            return Err(format!("`{text}` ends before it begins"));
        }
        Ok(Backoff { first_ms, longest_ms })
    }

    /// The pause after this attempt. All bits of `random` set means the whole pause.
    pub(crate) fn pause_ms(&self, attempt: u32, random: u64) -> u32 {
        let doublings = attempt.saturating_sub(1).min(31);
        let size = (u64::from(self.first_ms) << doublings).min(u64::from(self.longest_ms));
        ((u128::from(random) * u128::from(size + 1)) >> 64) as u32
    }
}

/// A number with one of the units ms, s, m and h.
pub(crate) fn duration_ms(text: &str) -> Result<u32, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    number
        .parse::<u32>()
        .ok()
        .zip(factor)
        .and_then(|(number, factor)| number.checked_mul(factor))
        .ok_or_else(|| {
            format!(
                "`{text}` is no duration; a number with one of the units ms, s, m and h is expected"
            )
        })
}
