//! What a phase may return.

use crate::answer::Answer;
use std::fmt::Display;

/// What the method of a phase may return where the phase wants a `V`: a `V`, something that means one, or a [`Result`]
/// of these with any error that can be displayed.
///
/// Where the phase wants an `Option<Answer>`, nothing at all means `None` and an [`Answer`] means itself.
pub trait Returns<V> {
    /// The verdict, or the error's text.
    fn returns(self) -> Result<V, String>;
}

impl<V, T: Returns<V>, E: Display> Returns<V> for Result<T, E> {
    fn returns(self) -> Result<V, String> {
        self.map_err(|error| error.to_string())?.returns()
    }
}

impl Returns<()> for () {
    fn returns(self) -> Result<(), String> {
        Ok(())
    }
}

impl Returns<Option<Answer>> for () {
    fn returns(self) -> Result<Option<Answer>, String> {
        Ok(None)
    }
}

impl Returns<Option<Answer>> for Answer {
    fn returns(self) -> Result<Option<Answer>, String> {
        Ok(Some(self))
    }
}

impl Returns<Option<Answer>> for Option<Answer> {
    fn returns(self) -> Result<Option<Answer>, String> {
        Ok(self)
    }
}
