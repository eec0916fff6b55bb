//! Sizes and durations with their units.

use std::{fmt, time::Duration};

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// As an index or length; saturates where `usize` is smaller.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = SIZE_UNITS.iter().rev().find(|(_, n)| self.0 != 0 && self.0.is_multiple_of(*n));
        let (unit, n) = fits.copied().unwrap_or(("B", 1));
        write!(f, "{}{unit}", self.0 / n)
    }
}

/// Why a text is no size or duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// There is no number at the start.
    #[error("expected a number with a unit, such as `{example}`")]
    NoNumber {
        /// A text that would be right.
        example: &'static str,
    },
    /// The unit is missing.
    #[error("the unit is missing; use {allowed}")]
    NoUnit {
        /// Units that exist, in words.
        allowed: &'static str,
    },
    /// The unit does not exist.
    #[error("unknown unit `{unit}`; use {allowed}")]
    UnknownUnit {
        /// What stands behind the number.
        unit: String,
        /// Units that exist, in words.
        allowed: &'static str,
    },
    /// The number does not fit.
    #[error("the number is too large")]
    TooLarge,
}

const SIZE_UNITS: [(&str, u64); 4] =
    [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
const TIME_UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];

/// Reads a size such as `16MiB`. Units: `B`, `KiB`, `MiB`, `GiB`.
pub fn parse_size(text: &str) -> Result<ByteSize, UnitError> {
    parse(text, &SIZE_UNITS, "B, KiB, MiB or GiB", "16MiB").map(ByteSize)
}

/// Reads a duration such as `250ms`. Units: `ms`, `s`, `m`, `h`.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    parse(text, &TIME_UNITS, "ms, s, m or h", "250ms").map(Duration::from_millis)
}

fn parse(
    text: &str,
    units: &[(&str, u64)],
    allowed: &'static str,
    example: &'static str,
) -> Result<u64, UnitError> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(UnitError::NoNumber { example });
    }
    if unit.is_empty() {
        return Err(UnitError::NoUnit { allowed });
    }
    let known = units.iter().find(|(name, _)| *name == unit);
    let (_, factor) =
        known.ok_or_else(|| UnitError::UnknownUnit { unit: unit.to_owned(), allowed })?;
    let number: u64 = number.parse().map_err(|_| UnitError::TooLarge)?;
    number.checked_mul(*factor).ok_or(UnitError::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_need_a_known_unit() {
        assert_eq!(parse_size("16MiB"), Ok(ByteSize(16 << 20)));
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("2h"), Ok(Duration::from_secs(7_200)));
        assert!(
            matches!(parse_duration("5 sec"), Err(UnitError::UnknownUnit { unit, .. }) if unit == " sec")
        );
        assert!(matches!(parse_size("16MB"), Err(UnitError::UnknownUnit { .. })));
        assert!(matches!(parse_size("16"), Err(UnitError::NoUnit { .. })));
        assert!(matches!(parse_duration("s"), Err(UnitError::NoNumber { .. })));
        assert!(matches!(parse_duration("-1s"), Err(UnitError::NoNumber { .. })));
        assert_eq!(parse_size("99999999999999999999GiB"), Err(UnitError::TooLarge));
        assert_eq!(parse_size("18446744073709551615GiB"), Err(UnitError::TooLarge));
    }

    #[test]
    fn a_size_is_shown_as_it_would_be_written() {
        for text in ["16MiB", "1KiB", "1025B", "0B", "3GiB"] {
            assert_eq!(parse_size(text).unwrap().to_string(), text);
        }
    }
}
