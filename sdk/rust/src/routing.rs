//! The phase `routing`: where does it go?
//!
//! ```
//! # use edgewit_sdk::{Request, routing};
//! # struct Filter;
//! # impl Filter {
//! fn route(&self, request: &mut Request) -> routing::Verdict {
//!     match request.field("x-beta") {
//!         Some(_) => routing::Verdict::to("orders-next"),
//!         None => routing::Verdict::Stay,
//!     }
//! }
//! # }
//! ```
//!
//! It returns a [`Verdict`] or a `Result` of one.

use crate::answer::Answer;
use crate::bindings::with_routing::exports::edgewit::filter::routing as wit;
use crate::outcome::Returns;
use crate::request::Request;

/// What a routing filter decides. The edits of the request apply unless it answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// As the route has it.
    Stay,
    /// Elsewhere.
    Choose {
        /// Name of an upstream among those that the route lists.
        upstream: Option<String>,
        /// A new path with optional query, beginning with `/`.
        path: Option<String>,
    },
    /// Answered here, for example by a redirect.
    Answer(Answer),
}

impl Verdict {
    /// To another upstream.
    pub fn to(upstream: impl Into<String>) -> Self {
        Verdict::Choose { upstream: Some(upstream.into()), path: None }
    }

    /// To another path.
    pub fn rewrite(path: impl Into<String>) -> Self {
        Verdict::Choose { upstream: None, path: Some(path.into()) }
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
    phase: impl FnOnce(&F, &mut Request) -> R,
    mut request: Request,
) -> Result<wit::Outcome, String> {
    let verdict = phase(filter?, &mut request).returns()?;
    let (edits, state) = request.into_parts();
    let verdict = match verdict {
        Verdict::Stay if edits.is_empty() => wit::Verdict::Stay,
        Verdict::Stay => wit::Verdict::Choose(wit::Choice { upstream: None, path: None, edits }),
        Verdict::Choose { upstream, path } => {
            wit::Verdict::Choose(wit::Choice { upstream, path, edits })
        }
        Verdict::Answer(answer) => wit::Verdict::Answer(answer.into()),
    };
    Ok(wit::Outcome { verdict, state })
}
