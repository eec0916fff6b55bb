//! A checked configuration and where it came from.

use edgewit_model::Config;

use crate::{
    Diagnostic, Files, Report,
    code::Code,
    places::{Entry, Places},
};

/// A checked configuration and where it came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Where it came from.
    pub origin: Origin,
}

/// Where a configuration came from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// What is allowed, but probably not meant.
    pub warnings: Report,
    /// Every file that was read.
    pub files: Files,
    pub(crate) places: Places,
}

impl Origin {
    /// A message about an entry that another part of the host finds out later. It has no place if the entry has none, as
    /// the default listener.
    pub fn diagnostic_at(
        &self,
        entry: Entry<'_>,
        code: Code,
        message: impl Into<String>,
        help: Option<&str>,
    ) -> Diagnostic {
        let mut diagnostic = Diagnostic::new(code, message);
        if let Some(place) = self.places.get(entry) {
            diagnostic = diagnostic.at(place.clone(), "");
        }
        match help {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        }
    }
}
