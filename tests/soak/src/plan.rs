//! How long, and with which program?

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail};

/// How long, and with which program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// From the first measurement to the last.
    pub length: Duration,
    /// Before the first: by then everything has happened a few times, and pools and caches have their size.
    pub warm_up: Duration,
    /// It also goes on until so many swaps have been made.
    pub swaps: u64,
    /// `None`: the program of the profile that this one was built in.
    pub program: Option<PathBuf>,
}

/// The shortest warm-up, except that of a length that is shorter itself.
const WARM_UP: Duration = Duration::from_secs(60);

/// The warm-up of a longer run is this part of its length: a server under load has all its pools after some minutes only.
const WARM_UP_PART: u32 = 4;

/// How to call it.
const USAGE: &str = "usage: edgewit-soak [--program FILE] LENGTH [SWAPS], such as 20m or 90s 10000";

impl Plan {
    /// What the words of a command line want.
    pub fn parse(words: &[String]) -> Result<Self> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (program, rest) = match words.as_slice() {
            ["--program", program, rest @ ..] => (Some(std::path::absolute(program)?), rest),
            rest => (None, rest),
        };
        let (length, swaps) = match rest {
            [length] => (length, 0),
            [length, swaps] => (length, swaps.parse().context(USAGE)?),
            _ => bail!("{USAGE}"),
        };
        let length = self::length(length).context(USAGE)?;
        let warm_up = (length / WARM_UP_PART).max(WARM_UP).min(length);
        Ok(Self { length, warm_up, swaps, program })
    }
}

/// A number of seconds, minutes or hours.
fn length(text: &str) -> Result<Duration> {
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3_600,
        _ => bail!("`{text}` has no unit"),
    };
    let number = text.get(..text.len() - 1).unwrap_or_default();
    let number: u64 = number.parse().with_context(|| format!("`{text}` is no length"))?;
    Ok(Duration::from_secs(number * unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_has_a_unit() {
        let plan = |words: &[&str]| {
            let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
            Plan::parse(&words).map(|p| (p.length.as_secs(), p.warm_up.as_secs(), p.swaps))
        };
        assert_eq!(plan(&["20m"]).unwrap(), (1_200, 300, 0));
        assert_eq!(plan(&["2m"]).unwrap(), (120, 60, 0));
        assert_eq!(plan(&["--program", "edgewit", "5s", "70"]).unwrap(), (5, 5, 70));
        for wrong in [
            &[][..],
            &["20"],
            &["m"],
            &["ä"],
            &["1m", "2m"],
            &["--program", "1m"],
            &["1m", "1", "1"],
        ] {
            assert!(plan(wrong).is_err(), "{wrong:?}");
        }
    }
}
