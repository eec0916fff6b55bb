//! Numbers with units.

use std::{borrow::Cow, fmt, marker::PhantomData, time::Duration};

use edgewit_model::{ByteSize, UnitError, parse_duration, parse_size};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{self, Visitor},
};

/// A text such as `250ms`. A bare number is kept too, so that the message can show what it should be.
#[derive(Debug, Clone)]
pub(crate) struct Amount<U> {
    text: String,
    bare: bool,
    unit: PhantomData<U>,
}

/// What an amount is of.
pub(crate) trait Unit {
    /// What it is read as.
    type Value;
    /// What messages call it.
    const WHAT: &'static str;
    /// A text that would be right.
    const EXAMPLE: &'static str;
    /// What may follow the number, in words.
    const UNITS: &'static str;
    /// The unit that a bare number is most likely meant in.
    const USUAL: &'static str;
    /// A regular expression for editors.
    const PATTERN: &'static str;

    /// Reads the text.
    fn read(text: &str) -> Result<Self::Value, UnitError>;
}

/// A message and, where it can be guessed, the right text.
pub(crate) type AmountError = (String, Option<String>);

impl<U: Unit> Amount<U> {
    pub(crate) fn read(&self) -> Result<U::Value, AmountError> {
        let what = U::WHAT;
        let read = if self.bare { no_unit::<U>() } else { U::read(&self.text) };
        read.map_err(|error| match error {
            UnitError::NoUnit { allowed } => {
                let fix = format!("\"{}{}\"", self.text, U::USUAL);
                (format!("a {what} needs a unit; use {allowed}"), Some(fix))
            }
            UnitError::UnknownUnit { unit, allowed } => {
                (format!("unknown unit `{unit}` in {what}; use {allowed}"), None)
            }
            UnitError::NoNumber { example } => (format!("a {what} looks like `{example}`"), None),
            UnitError::TooLarge => (format!("this {what} is too large"), None),
        })
    }
}

fn no_unit<U: Unit>() -> Result<U::Value, UnitError> {
    Err(UnitError::NoUnit { allowed: U::UNITS })
}

/// A duration.
#[derive(Debug, Clone)]
pub(crate) enum Time {}

impl Unit for Time {
    type Value = Duration;
    const WHAT: &'static str = "duration";
    const EXAMPLE: &'static str = "250ms";
    const UNITS: &'static str = "ms, s, m or h";
    const USUAL: &'static str = "s";
    const PATTERN: &'static str = "^[0-9]+(ms|s|m|h)$";

    fn read(text: &str) -> Result<Duration, UnitError> {
        parse_duration(text)
    }
}

/// A number of bytes.
#[derive(Debug, Clone)]
pub(crate) enum Size {}

impl Unit for Size {
    type Value = ByteSize;
    const WHAT: &'static str = "size";
    const EXAMPLE: &'static str = "16MiB";
    const UNITS: &'static str = "B, KiB, MiB or GiB";
    const USUAL: &'static str = "B";
    const PATTERN: &'static str = "^[0-9]+([KMG]i)?B$";

    fn read(text: &str) -> Result<ByteSize, UnitError> {
        parse_size(text)
    }
}

/// A share.
#[derive(Debug, Clone)]
pub(crate) enum Percent {}

impl Unit for Percent {
    type Value = u32;
    const WHAT: &'static str = "share";
    const EXAMPLE: &'static str = "20%";
    const UNITS: &'static str = "%";
    const USUAL: &'static str = "%";
    const PATTERN: &'static str = "^[0-9]+%$";

    fn read(text: &str) -> Result<u32, UnitError> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        match text.split_at(digits) {
            ("", _) => Err(UnitError::NoNumber { example: Self::EXAMPLE }),
            (_, "") => no_unit::<Self>(),
            (number, "%") => number.parse().ok().filter(|n| *n <= 100).ok_or(UnitError::TooLarge),
            (_, unit) => {
                Err(UnitError::UnknownUnit { unit: unit.to_owned(), allowed: Self::UNITS })
            }
        }
    }
}

/// From one duration to another.
#[derive(Debug, Clone)]
pub(crate) enum Span {}

impl Unit for Span {
    type Value = (Duration, Duration);
    const WHAT: &'static str = "pair of durations";
    const EXAMPLE: &'static str = "25ms..250ms";
    const UNITS: &'static str = Time::UNITS;
    const USUAL: &'static str = Time::USUAL;
    const PATTERN: &'static str = r"^[0-9]+(ms|s|m|h)\.\.[0-9]+(ms|s|m|h)$";

    fn read(text: &str) -> Result<(Duration, Duration), UnitError> {
        let example = Self::EXAMPLE;
        let (first, longest) = text.split_once("..").ok_or(UnitError::NoNumber { example })?;
        Ok((parse_duration(first)?, parse_duration(longest)?))
    }
}

impl<'de, U: Unit> Deserialize<'de> for Amount<U> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AmountVisitor(PhantomData))
    }
}

struct AmountVisitor<U>(PhantomData<U>);

impl<U: Unit> Visitor<'_> for AmountVisitor<U> {
    type Value = Amount<U>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a {} such as `{}`", U::WHAT, U::EXAMPLE)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Amount<U>, E> {
        Ok(Amount { text: text.to_owned(), bare: false, unit: PhantomData })
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Amount<U>, E> {
        Ok(Amount { text: number.to_string(), bare: true, unit: PhantomData })
    }
}

impl<U: Unit> JsonSchema for Amount<U> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        U::WHAT.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": U::PATTERN, "examples": [U::EXAMPLE] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<U: Unit>(text: &str) -> Result<U::Value, AmountError> {
        Amount::<U> { text: text.into(), bare: false, unit: PhantomData }.read()
    }

    #[test]
    fn shares_and_pairs_need_their_units() {
        assert_eq!(read::<Percent>("20%"), Ok(20));
        for bad in ["", "%", "20", "101%", "20 %", "-1%", "99999999999%", "2.5%"] {
            assert!(read::<Percent>(bad).is_err(), "{bad}");
        }
        let pair = (Duration::from_millis(25), Duration::from_secs(1));
        assert_eq!(read::<Span>("25ms..1s"), Ok(pair));
        for bad in ["", "..", "25ms", "25..250ms", "25ms...250ms"] {
            assert!(read::<Span>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn messages_show_what_would_be_right() {
        let message = |text| read::<Time>(text).unwrap_err();
        assert_eq!(message("5 sec").0, "unknown unit ` sec` in duration; use ms, s, m or h");
        assert_eq!(message("5").1.as_deref(), Some("\"5s\""));
        assert_eq!(message("x").0, "a duration looks like `250ms`");
        assert_eq!(message("99999999999999999999s").0, "this duration is too large");
        let bare = Amount::<Size> { text: "5".into(), bare: true, unit: PhantomData };
        let expected = "a size needs a unit; use B, KiB, MiB or GiB".to_owned();
        assert_eq!(bare.read(), Err((expected, Some("\"5B\"".to_owned()))));
    }
}
