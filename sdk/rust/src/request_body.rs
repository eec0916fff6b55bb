//! The phase `request-body`. Called if `needs.request_body` was declared.
//!
//! ```
//! # use edgewit_sdk::{Chunk, body};
//! # struct Filter;
//! # impl Filter {
//! fn on_request_body(&self, chunk: &mut Chunk) -> body::Verdict {
//!     body::Verdict::Replace(chunk.bytes.to_ascii_uppercase())
//! }
//! # }
//! ```
//!
//! It returns a [`Verdict`] or a `Result` of one.

use crate::bindings::with_request_body::exports::edgewit::filter::request_body as wit;
use crate::body::{Chunk, Verdict};
use crate::outcome::Returns;

/// Runs the phase, as [`export!`](crate::export) does.
#[doc(hidden)]
pub fn run<F, R: Returns<Verdict>>(
    filter: Result<&F, String>,
    phase: impl FnOnce(&F, &mut Chunk) -> R,
    (bytes, end, state): (Vec<u8>, bool, Vec<u8>),
) -> Result<wit::Outcome, String> {
    let mut chunk = Chunk::new(bytes, end, state);
    let verdict = match phase(filter?, &mut chunk).returns()? {
        Verdict::Pass => wit::Verdict::Pass,
        Verdict::Replace(bytes) => wit::Verdict::Replace(bytes),
        Verdict::Answer(answer) => wit::Verdict::Answer(answer.into()),
        Verdict::Cut => wit::Verdict::Cut,
    };
    Ok(wit::Outcome { verdict, state: chunk.state.into_outcome() })
}
