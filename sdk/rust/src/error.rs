//! Why a phase failed.

use std::fmt;
use std::panic::Location;

/// The failure of a phase, in words for the operator, with the place in the source where it was made.
///
/// It goes to the log, never to the client; what the client gets is the plugin's `on-error`. Every
/// [`std::error::Error`] turns into it with `?`. A phase may also return any other error that can be displayed.
pub struct Error {
    text: String,
    place: &'static Location<'static>,
}

/// The result of a phase that may fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A failure with this text: lower case, no full stop, values in backticks.
    #[track_caller]
    pub fn new(text: impl Into<String>) -> Self {
        Error { text: text.into(), place: Location::caller() }
    }
}

impl<E: std::error::Error> From<E> for Error {
    #[track_caller]
    fn from(error: E) -> Self {
        Error { text: error.to_string(), place: Location::caller() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} ({}:{})", self.text, self.place.file(), self.place.line())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_knows_where_it_was_made() {
        fn fails() -> Result<u8> {
            Ok("300".parse::<u8>()?)
        }
        let text = fails().unwrap_err().to_string();
        assert!(text.starts_with("number too large"), "{text}");
        assert!(text.contains("error.rs:"), "{text}");
    }
}
