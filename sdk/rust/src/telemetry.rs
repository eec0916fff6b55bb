//! The phase `telemetry`: what happened?
//!
//! ```
//! # use edgewit_sdk::{Summary, metrics};
//! # struct Filter;
//! # impl Filter {
//! fn record(&self, summary: &Summary) {
//!     metrics::observe("seconds", &[], summary.duration_us as f64 / 1e6);
//! }
//! # }
//! ```
//!
//! Called exactly once after the end of each exchange. It returns nothing or a `Result` of nothing.

use crate::bindings::with_telemetry::exports::edgewit::filter::telemetry as wit;
use crate::head::Head;
use crate::needs::sealed::Slot;
use crate::needs::{RequestField, RequestKey};
use crate::outcome::Returns;
use crate::state::State;
use crate::value::Value;

pub use wit::Ending;

/// An exchange that is over.
#[derive(Debug)]
pub struct Summary {
    /// Status that the client saw; 0 if no response head went out.
    pub status: u16,
    /// How it ended.
    pub ending: Ending,
    /// From the end of the request's head to the end of the response, in microseconds.
    pub duration_us: u64,
    /// Attempts to reach an upstream; 0 if none was made.
    pub attempts: u32,
    /// Bytes of the request body that were read.
    pub request_bytes: u64,
    /// Bytes of the response body that were sent.
    pub response_bytes: u64,
    /// What earlier phases of this exchange left.
    pub state: State,
    head: Head,
}

impl Summary {
    /// A declared fact or request field, as it was at the end.
    pub fn get(&self, key: impl RequestKey) -> Option<Value<'_>> {
        self.head.values(key.slot()).next()
    }

    /// All values of a declared request field, in their order.
    pub fn all(&self, key: RequestField) -> impl Iterator<Item = Value<'_>> {
        self.head.values(key.slot())
    }

    pub(crate) fn new(summary: wit::Summary, state: Vec<u8>) -> Self {
        Summary {
            status: summary.status,
            ending: summary.ending,
            duration_us: summary.duration_us,
            attempts: summary.attempts,
            request_bytes: summary.request_bytes,
            response_bytes: summary.response_bytes,
            state: State::new(state),
            head: Head::new(summary.head),
        }
    }
}

/// Runs the phase, as [`export!`](crate::export) does.
#[doc(hidden)]
pub fn run<F, R: Returns<()>>(
    filter: Result<&F, String>,
    phase: impl FnOnce(&F, &Summary) -> R,
    (summary, state): (wit::Summary, Vec<u8>),
) -> Result<(), String> {
    phase(filter?, &Summary::new(summary, state)).returns()
}
