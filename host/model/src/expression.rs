//! An expression that describes a whole text.

use std::fmt;

/// A regular expression that was compiled within bounds and matches whole texts only: `/v[0-9]+` does not match `/v1/x`.
///
/// Matching takes time in proportion to the text, whatever the expression. Two are equal if they are written alike.
#[derive(Clone)]
pub struct Regex {
    text: Box<str>,
    compiled: regex::Regex,
}

/// Why a text is no expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegexError {
    /// Its grammar is wrong.
    #[error("{0}")]
    Syntax(String),
    /// Compiled it would be larger than 1 MiB.
    #[error("the expression is too large")]
    TooLarge,
}

impl Regex {
    /// Compiles an expression. `^` and `$` around it are allowed and change nothing.
    pub fn new(text: &str) -> Result<Self, RegexError> {
        let checked = |text: &str| {
            let mut builder = regex::RegexBuilder::new(text);
            builder.size_limit(LARGEST).dfa_size_limit(LARGEST).build().map_err(|error| match error
            {
                regex::Error::CompiledTooBig(_) => RegexError::TooLarge,
                error => RegexError::Syntax(last_line(&error.to_string())),
            })
        };
        if text.len() > LONGEST {
            return Err(RegexError::TooLarge);
        }
        checked(text)?; // by itself first: `a)(b` must not become right by what is put around it
        Ok(Self { text: text.into(), compiled: checked(&format!("^(?:{text})$"))? })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Does it describe all of this text?
    pub fn is_match(&self, text: &str) -> bool {
        self.compiled.is_match(text)
    }

    /// What its groups stand for in this text, if it describes all of it.
    pub fn captures<'t>(&self, text: &'t str) -> Option<regex::Captures<'t>> {
        self.compiled.captures(text)
    }

    /// Names of its groups.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.compiled.capture_names().flatten()
    }

    /// Number of its groups, those with names included.
    pub fn groups(&self) -> usize {
        self.compiled.captures_len() - 1 // the whole match is one
    }
}

/// The message of the regex crate draws the expression with a marker below; its last line says what is wrong.
fn last_line(message: &str) -> String {
    let line = message.lines().last().unwrap_or(message);
    line.trim().trim_start_matches("error: ").to_owned()
}

/// Of the compiled expression in bytes: far above what people write, far below what hurts.
const LARGEST: usize = 1 << 20;
/// Of the text in bytes.
const LONGEST: usize = 4 << 10;

impl PartialEq for Regex {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Regex {}

impl fmt::Debug for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_describes_the_whole_text() {
        let version = Regex::new("/v[0-9]+|/latest").unwrap();
        for (text, expected) in
            [("/v1", true), ("/latest", true), ("/v1/x", false), ("x/v1", false), ("/v1\n", false)]
        {
            assert_eq!(version.is_match(text), expected, "{text:?}");
        }
        assert!(Regex::new("^/a$").unwrap().is_match("/a"));
        let named = Regex::new("/(?<id>[0-9]+)/(.*)").unwrap();
        assert_eq!(named.names().collect::<Vec<_>>(), ["id"]);
        assert_eq!(named.groups(), 2);
        assert_eq!(&named.captures("/7/x").unwrap()["id"], "7");
    }

    #[test]
    fn what_is_wrong_or_too_large_is_refused() {
        assert_eq!(Regex::new("/(a"), Err(RegexError::Syntax("unclosed group".to_owned())));
        assert!(Regex::new("a)(b").is_err());
        assert_eq!(Regex::new("(a{1000}){1000}"), Err(RegexError::TooLarge));
        assert_eq!(Regex::new(&"a".repeat(LONGEST + 1)), Err(RegexError::TooLarge));
    }
}
