//! The phase `retry`: should it be tried again?
//!
//! ```
//! # use edgewit_sdk::{Attempt, retry};
//! # struct Filter;
//! # impl Filter {
//! fn judge(&self, attempt: &mut Attempt) -> retry::Verdict {
//!     match attempt.status() {
//!         Some(503) if attempt.number < 3 => retry::Verdict::Again { after_ms: 50, elsewhere: true },
//!         _ => retry::Verdict::Finish,
//!     }
//! }
//! # }
//! ```
//!
//! The filter proposes, the host disposes: it knows whether the request may be repeated, and keeps the budget.

use crate::bindings::with_retry::exports::edgewit::filter::retry as wit;
use crate::head::Head;
use crate::needs::ResponseField;
use crate::needs::sealed::Slot;
use crate::outcome::Returns;
use crate::state::State;
use crate::value::Value;

pub use wit::Failure;

/// An attempt that is over, before anything has gone to the client.
#[derive(Debug)]
pub struct Attempt {
    /// 1 for the first.
    pub number: u32,
    /// Since the first attempt began, in milliseconds.
    pub elapsed_ms: u32,
    /// Until the deadline of the request, in milliseconds.
    pub remaining_ms: u32,
    /// What phases of this exchange leave for each other.
    pub state: State,
    ending: Ending,
}

/// What is proposed after an attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The client gets this attempt's result.
    Finish,
    /// Another attempt.
    Again {
        /// Pause before it, in milliseconds.
        after_ms: u32,
        /// Avoid the endpoints already tried, if there are others.
        elsewhere: bool,
    },
}

#[derive(Debug)]
enum Ending {
    Response { status: u16, head: Head },
    Failure(Failure),
}

impl Attempt {
    /// The status of the response, if the attempt brought one.
    pub fn status(&self) -> Option<u16> {
        match &self.ending {
            Ending::Response { status, .. } => Some(*status),
            Ending::Failure(_) => None,
        }
    }

    /// Why the attempt brought no response, if it brought none.
    pub fn failure(&self) -> Option<Failure> {
        match &self.ending {
            Ending::Response { .. } => None,
            Ending::Failure(failure) => Some(*failure),
        }
    }

    /// A declared field of the response.
    pub fn get(&self, key: ResponseField) -> Option<Value<'_>> {
        match &self.ending {
            Ending::Response { head, .. } => head.values(key.slot()).next(),
            Ending::Failure(_) => None,
        }
    }

    pub(crate) fn new(attempt: wit::Attempt, state: Vec<u8>) -> Self {
        let ending = match attempt.ending {
            wit::Ending::Response(seen) => {
                Ending::Response { status: seen.status, head: Head::new(seen.head) }
            }
            wit::Ending::Failure(failure) => Ending::Failure(failure),
        };
        Attempt {
            number: attempt.number,
            elapsed_ms: attempt.elapsed_ms,
            remaining_ms: attempt.remaining_ms,
            state: State::new(state),
            ending,
        }
    }
}

impl Returns<Verdict> for Verdict {
    fn returns(self) -> Result<Verdict, String> {
        Ok(self)
    }
}

/// Runs the phase, as [`export!`](crate::export) does.
#[doc(hidden)]
pub fn run<F, R: Returns<Verdict>>(
    filter: Result<&F, String>,
    phase: impl FnOnce(&F, &mut Attempt) -> R,
    (attempt, state): (wit::Attempt, Vec<u8>),
) -> Result<wit::Outcome, String> {
    let mut attempt = Attempt::new(attempt, state);
    let verdict = match phase(filter?, &mut attempt).returns()? {
        Verdict::Finish => wit::Verdict::Finish,
        Verdict::Again { after_ms, elsewhere } => {
            wit::Verdict::Again(wit::Again { after_ms, elsewhere })
        }
    };
    Ok(wit::Outcome { verdict, state: attempt.state.into_outcome() })
}
