//! What a filter declared it wants to see.

use http::HeaderName;

/// A fact about an exchange that is no header field. Numbers are those of `fact` in `wit/types.wit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "documented, case by case, in wit/types.wit")]
pub enum Fact {
    Method,
    Scheme,
    Authority,
    Path,
    Query,
    ClientAddress,
    Protocol,
    Listener,
    Route,
    RequestId,
    Subject,
    Upstream,
    ClientIdentity,
}

impl Fact {
    /// All facts, in the order of their numbers.
    pub const ALL: [Fact; 13] = [
        Fact::Method,
        Fact::Scheme,
        Fact::Authority,
        Fact::Path,
        Fact::Query,
        Fact::ClientAddress,
        Fact::Protocol,
        Fact::Listener,
        Fact::Route,
        Fact::RequestId,
        Fact::Subject,
        Fact::Upstream,
        Fact::ClientIdentity,
    ];
}

/// A set of facts; bit n is the fact with number n.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Facts(pub u16);

impl Facts {
    /// With this fact too.
    #[must_use]
    pub fn with(self, fact: Fact) -> Self {
        Self(self.0 | 1 << fact as u8)
    }

    /// Is it in the set?
    pub fn has(self, fact: Fact) -> bool {
        self.0 & (1 << fact as u8) != 0
    }
}

/// How much of a body a filter wants to see; sizes in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BodyMode {
    /// Nothing.
    #[default]
    None,
    /// The first bytes in one call, before anything is forwarded.
    Peek(u32),
    /// All of it in one call.
    Buffer(u32),
    /// All of it, chunk by chunk.
    Stream,
}

/// What `lifecycle.configure` returned. Positions in the lists are the slots of WIT's `entry`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    /// Facts.
    pub facts: Facts,
    /// Request fields by name.
    pub request_fields: Vec<HeaderName>,
    /// All other request fields too.
    pub all_request_fields: bool,
    /// Response fields by name.
    pub response_fields: Vec<HeaderName>,
    /// All other response fields too.
    pub all_response_fields: bool,
    /// The request's body.
    pub request_body: BodyMode,
    /// The response's body.
    pub response_body: BodyMode,
}

impl Default for Needs {
    /// What a component without `lifecycle` sees.
    fn default() -> Self {
        let facts = [Fact::Method, Fact::Scheme, Fact::Authority, Fact::Path, Fact::Query];
        Self {
            facts: facts.into_iter().fold(Facts::default(), Facts::with),
            request_fields: Vec::new(),
            all_request_fields: false,
            response_fields: Vec::new(),
            all_response_fields: false,
            request_body: BodyMode::None,
            response_body: BodyMode::None,
        }
    }
}
