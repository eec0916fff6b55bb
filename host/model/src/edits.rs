//! Changes of header fields.

use http::HeaderName;

use crate::Template;

/// `headers = { ... }` of a route.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HeaderEdits {
    /// What the upstream gets.
    pub request: Edits,
    /// What the client gets, whoever answered.
    pub response: Edits,
}

/// Changes of one head: first what is removed, then what is set, then what is appended. No field of these frames the
/// message or belongs to a connection.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Edits {
    /// Taken out.
    pub remove: Vec<HeaderName>,
    /// In the place of whatever there was.
    pub set: Vec<(HeaderName, Template)>,
    /// Beside whatever there is.
    pub append: Vec<(HeaderName, Template)>,
}

impl Edits {
    /// Is there nothing to do?
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.append.is_empty()
    }
}
