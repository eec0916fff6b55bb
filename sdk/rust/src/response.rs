//! The phase `response`.
//!
//! ```
//! # use edgewit_sdk::Response;
//! # struct Filter;
//! # impl Filter {
//! fn on_response(&self, response: &mut Response) {
//!     response.remove("server");
//! }
//! # }
//! ```
//!
//! It may return nothing, an [`Answer`] that replaces the response, an `Option` of one, or a `Result` of these.

use crate::answer::Answer;
use crate::bindings::capabilities::edgewit::filter::types::{self, Edit};
use crate::bindings::with_response::exports::edgewit::filter::response as wit;
use crate::edits::Edits;
use crate::exchange;
use crate::head::Head;
use crate::lifecycle;
use crate::needs::sealed::Slot;
use crate::needs::{Needs, ResponseField};
use crate::outcome::Returns;
use crate::state::State;
use crate::value::Value;

/// The head of the response, read and changed in place. The request is reachable through [`exchange`].
#[derive(Debug)]
pub struct Response {
    /// What the client will see, 200 to 599. Changing it changes the status.
    pub status: u16,
    came: u16,
    head: Head,
    needs: &'static Needs,
    edits: Edits,
    /// What phases of this exchange leave for each other.
    pub state: State,
}

impl Response {
    /// A declared field, the first if there are several, as it came: edits of this call do not show.
    pub fn get(&self, key: ResponseField) -> Option<Value<'_>> {
        self.head.values(key.slot()).next()
    }

    /// All values of a declared field, in their order, as they came.
    pub fn all(&self, key: ResponseField) -> impl Iterator<Item = Value<'_>> {
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
        match self.needs.response_slot(name) {
            Some(slot) => self.head.values(slot).next(),
            None if self.needs.all_response_fields() => self.other(name).next(),
            None => exchange::response_field(name).map(Value::from),
        }
    }

    /// All fields of that name in their order, otherwise like [`field`](Self::field).
    pub fn fields(&self, name: &str) -> Vec<Value<'_>> {
        let values = match self.needs.response_slot(name) {
            Some(slot) => self.head.values(slot).collect(),
            None if self.needs.all_response_fields() => self.other(name).collect(),
            None => exchange::response_fields(name).into_iter().map(Value::from).collect(),
        };
        self.edits.apply(name, values)
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
    pub fn received(status: u16, head: types::Head, state: Vec<u8>) -> Self {
        Response::new(status, head, state, lifecycle::declared())
    }

    pub(crate) fn new(
        status: u16,
        head: types::Head,
        state: Vec<u8>,
        needs: &'static Needs,
    ) -> Self {
        Response {
            status,
            came: status,
            head: Head::new(head),
            needs,
            edits: Edits::default(),
            state: State::new(state),
        }
    }

    fn other(&self, name: &str) -> impl Iterator<Item = Value<'_>> {
        self.head
            .others()
            .filter(move |(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

/// Runs the phase, as [`export!`](crate::export) does.
#[doc(hidden)]
pub fn run<F, R: Returns<Option<Answer>>>(
    filter: Result<&F, String>,
    phase: impl FnOnce(&F, &mut Response) -> R,
    mut response: Response,
) -> Result<wit::Outcome, String> {
    let answer = phase(filter?, &mut response).returns()?;
    let status = (response.status != response.came).then_some(response.status);
    let verdict = match answer {
        None => wit::Verdict::Proceed(wit::Change { status, edits: response.edits.into_vec() }),
        Some(answer) => wit::Verdict::Replace(answer.into()),
    };
    Ok(wit::Outcome { verdict, state: response.state.into_outcome() })
}
