//! The phase `request`, and the head that it shares with `auth` and `routing`.
//!
//! ```
//! # use edgewit_sdk::{Answer, Request};
//! # struct Filter;
//! # impl Filter {
//! fn on_request(&self, request: &mut Request) -> Option<Answer> {
//!     if request.path().contains("/internal/") {
//!         return Some(Answer::problem(404, "not found"));
//!     }
//!     request.set("x-edge", "1");
//!     None
//! }
//! # }
//! ```
//!
//! It may return nothing, an [`Answer`], an `Option` of one, or a `Result` of these.

use crate::answer::Answer;
use crate::bindings::capabilities::edgewit::filter::types::{self, Edit, Fact};
use crate::bindings::with_request::exports::edgewit::filter::request as wit;
use crate::edits::Edits;
use crate::exchange;
use crate::head::Head;
use crate::lifecycle;
use crate::needs::sealed::Slot;
use crate::needs::{Needs, RequestField, RequestKey};
use crate::outcome::Returns;
use crate::state::State;
use crate::value::Value;

/// The head of the request, read and changed in place.
///
/// Changes are collected and travel in the verdict, all or nothing. Fields that belong to the host (framing, hop-by-hop)
/// cannot be changed.
#[derive(Debug)]
pub struct Request {
    head: Head,
    needs: &'static Needs,
    edits: Edits,
    /// What phases of this exchange leave for each other.
    pub state: State,
}

impl Request {
    /// A declared value, the first if there are several, as it came: edits of this call do not show.
    pub fn get(&self, key: impl RequestKey) -> Option<Value<'_>> {
        self.head.values(key.slot()).next()
    }

    /// All values of a declared field, in their order, as they came.
    pub fn all(&self, key: RequestField) -> impl Iterator<Item = Value<'_>> {
        self.head.values(key.slot())
    }

    /// The fields that were declared by `*` and not by name, as they came, with their names in lower case.
    pub fn others(&self) -> impl Iterator<Item = (&str, Value<'_>)> {
        self.head.others()
    }

    /// The first field of that name, with the edits of this call. One that was not declared is asked from the host, for
    /// which a component that calls this imports [`exchange`].
    pub fn field(&self, name: &str) -> Option<Value<'_>> {
        if self.edits.touch(name) {
            return self.fields(name).into_iter().next();
        }
        match self.needs.request_slot(name) {
            Some(slot) => self.head.values(slot).next(),
            None if self.needs.all_request_fields() => self.other(name).next(),
            None => exchange::request_field(name).map(Value::from),
        }
    }

    /// All fields of that name in their order, otherwise like [`field`](Self::field).
    pub fn fields(&self, name: &str) -> Vec<Value<'_>> {
        let values = match self.needs.request_slot(name) {
            Some(slot) => self.head.values(slot).collect(),
            None if self.needs.all_request_fields() => self.other(name).collect(),
            None => exchange::request_fields(name).into_iter().map(Value::from).collect(),
        };
        self.edits.apply(name, values)
    }

    /// A fact about the exchange. One that was not declared is asked from the host, for which a component that calls
    /// this imports [`exchange`].
    pub fn fact(&self, fact: Fact) -> Option<Value<'_>> {
        match self.needs.fact_slot(fact) {
            Some(slot) => self.head.values(slot).next(),
            None => exchange::fact(fact).map(|value| value.into_bytes().into()),
        }
    }

    /// The method. As [`fact`](Self::fact), and like the next ones empty if there is none.
    pub fn method(&self) -> String {
        self.text_of(Fact::Method)
    }

    /// The normalised path without the query.
    pub fn path(&self) -> String {
        self.text_of(Fact::Path)
    }

    /// The query without its `?`.
    pub fn query(&self) -> String {
        self.text_of(Fact::Query)
    }

    /// Replaces every field of that name by this one.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) {
        self.edits.set(name.into(), value.into());
    }

    /// Adds a field and leaves others of that name alone.
    pub fn append(&mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) {
        self.edits.append(name.into(), value.into());
    }

    /// Removes every field of that name.
    pub fn remove(&mut self, name: impl Into<String>) {
        self.edits.remove(name.into());
    }

    /// The changes so far.
    pub fn edits(&self) -> &[Edit] {
        self.edits.as_slice()
    }

    /// As the host hands it over.
    #[doc(hidden)]
    pub fn received(head: types::Head, state: Vec<u8>) -> Self {
        Request::new(head, state, lifecycle::declared())
    }

    pub(crate) fn new(head: types::Head, state: Vec<u8>, needs: &'static Needs) -> Self {
        Request { head: Head::new(head), needs, edits: Edits::default(), state: State::new(state) }
    }

    pub(crate) fn into_parts(self) -> (Vec<Edit>, Option<Vec<u8>>) {
        (self.edits.into_vec(), self.state.into_outcome())
    }

    fn other(&self, name: &str) -> impl Iterator<Item = Value<'_>> {
        self.head
            .others()
            .filter(move |(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    fn text_of(&self, fact: Fact) -> String {
        self.fact(fact).and_then(|value| value.text().map(str::to_owned)).unwrap_or_default()
    }
}

/// Runs the phase, as [`export!`](crate::export) does.
#[doc(hidden)]
pub fn run<F, R: Returns<Option<Answer>>>(
    filter: Result<&F, String>,
    phase: impl FnOnce(&F, &mut Request) -> R,
    mut request: Request,
) -> Result<wit::Outcome, String> {
    let answer = phase(filter?, &mut request).returns()?;
    let (edits, state) = request.into_parts();
    let verdict = match answer {
        None => wit::Verdict::Proceed(edits),
        Some(answer) => wit::Verdict::Answer(answer.into()),
    };
    Ok(wit::Outcome { verdict, state })
}
