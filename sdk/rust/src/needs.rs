//! What a filter declares that it wants to see.

use crate::bindings::capabilities::edgewit::filter::types::{self, BodyMode, Fact, Facts};

/// What the filter wants to see, declared in `configure`. The host prepares these values and nothing else.
///
/// Each declaration returns a key. Reading by key ([`Request::get`](crate::Request::get)) costs no call of the host, no
/// comparison of names, and cannot ask for something that was forgotten here.
#[derive(Clone, Debug)]
pub struct Needs {
    facts: Facts,
    request_fields: Vec<String>,
    response_fields: Vec<String>,
    request_body: BodyMode,
    response_body: BodyMode,
}

/// Key of a declared request field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestField(u16);

/// Key of a declared response field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseField(u16);

/// Key of a declared fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeclaredFact(u16);

/// What can be read from the head of a request: a [`RequestField`] or a [`DeclaredFact`].
pub trait RequestKey: sealed::Slot {}

impl RequestKey for RequestField {}
impl RequestKey for DeclaredFact {}

impl Needs {
    /// Nothing at all: where a filter with configuration begins.
    pub const fn none() -> Self {
        Needs {
            facts: Facts::empty(),
            request_fields: Vec::new(),
            response_fields: Vec::new(),
            request_body: BodyMode::None,
            response_body: BodyMode::None,
        }
    }

    /// What a filter without `lifecycle` sees: method, scheme, authority, path and query.
    pub const fn undeclared() -> Self {
        let facts = Facts::METHOD
            .union(Facts::SCHEME)
            .union(Facts::AUTHORITY)
            .union(Facts::PATH)
            .union(Facts::QUERY);
        let mut needs = Needs::none();
        needs.facts = facts;
        needs
    }

    /// Wants to see a request field. `*` stands for all the others, see [`Request::others`](crate::Request::others).
    pub fn request_field(&mut self, name: &str) -> RequestField {
        RequestField(slot_of(&mut self.request_fields, name))
    }

    /// Wants to see a response field. `*` stands for all the others.
    pub fn response_field(&mut self, name: &str) -> ResponseField {
        ResponseField(slot_of(&mut self.response_fields, name))
    }

    /// Wants to see a fact.
    pub fn fact(&mut self, fact: Fact) -> DeclaredFact {
        self.facts |= flag(fact);
        DeclaredFact(slot_of_fact(fact))
    }

    /// Wants to see the request body, in the phase `request-body`.
    pub fn request_body(&mut self, mode: BodyMode) {
        self.request_body = mode;
    }

    /// Wants to see the response body, in the phase `response-body`.
    pub fn response_body(&mut self, mode: BodyMode) {
        self.response_body = mode;
    }

    /// The slot of a request field that was declared by its name.
    pub(crate) fn request_slot(&self, name: &str) -> Option<u16> {
        find(&self.request_fields, name)
    }

    /// The slot of a response field that was declared by its name.
    pub(crate) fn response_slot(&self, name: &str) -> Option<u16> {
        find(&self.response_fields, name)
    }

    pub(crate) fn all_request_fields(&self) -> bool {
        find(&self.request_fields, EVERY).is_some()
    }

    pub(crate) fn all_response_fields(&self) -> bool {
        find(&self.response_fields, EVERY).is_some()
    }

    /// The slot of a fact that was declared.
    pub(crate) fn fact_slot(&self, fact: Fact) -> Option<u16> {
        self.facts.contains(flag(fact)).then(|| slot_of_fact(fact))
    }
}

impl Default for Needs {
    fn default() -> Self {
        Needs::none()
    }
}

impl From<Needs> for types::Needs {
    fn from(needs: Needs) -> Self {
        types::Needs {
            facts: needs.facts,
            request_fields: needs.request_fields,
            response_fields: needs.response_fields,
            request_body: needs.request_body,
            response_body: needs.response_body,
        }
    }
}

pub(crate) mod sealed {
    /// The number by which the packed head knows a value.
    pub trait Slot: Copy {
        fn slot(self) -> u16;
    }

    impl Slot for super::RequestField {
        fn slot(self) -> u16 {
            self.0
        }
    }

    impl Slot for super::ResponseField {
        fn slot(self) -> u16 {
            self.0
        }
    }

    impl Slot for super::DeclaredFact {
        fn slot(self) -> u16 {
            self.0
        }
    }
}

/// The name that declares all other fields.
const EVERY: &str = "*";

/// Facts have the slots from here on, in the order of their cases.
const FIRST_FACT: u16 = 0x8000;

fn slot_of(names: &mut Vec<String>, name: &str) -> u16 {
    find(names, name).unwrap_or_else(|| {
        names.push(name.to_ascii_lowercase());
        (names.len() - 1) as u16
    })
}

fn find(names: &[String], name: &str) -> Option<u16> {
    names.iter().position(|known| known.eq_ignore_ascii_case(name)).map(|slot| slot as u16)
}

fn slot_of_fact(fact: Fact) -> u16 {
    FIRST_FACT + fact as u16
}

/// The flag of a fact has the fact's position.
fn flag(fact: Fact) -> Facts {
    Facts::from_bits_truncate(1 << fact as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_declared_twice_has_one_slot() {
        let mut needs = Needs::none();
        let first = needs.request_field("X-A");
        needs.request_field("x-b");
        assert_eq!(needs.request_field("x-a"), first);
        assert_eq!(types::Needs::from(needs).request_fields, ["x-a", "x-b"]);
    }

    #[test]
    fn flags_and_slots_follow_the_cases_of_the_contract() {
        let table = [
            (Fact::Method, Facts::METHOD, 0x8000),
            (Fact::Path, Facts::PATH, 0x8003),
            (Fact::ClientAddress, Facts::CLIENT_ADDRESS, 0x8005),
            (Fact::Upstream, Facts::UPSTREAM, 0x800b),
            (Fact::ClientIdentity, Facts::CLIENT_IDENTITY, 0x800c),
        ];
        for (fact, facts, slot) in table {
            assert_eq!(flag(fact), facts);
            assert_eq!(slot_of_fact(fact), slot);
        }
    }
}
