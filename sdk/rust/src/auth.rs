//! The phase `auth`: who is asking, and may they?
//!
//! ```
//! # use edgewit_sdk::{Answer, Request, auth};
//! # struct Filter;
//! # impl Filter {
//! fn authenticate(&self, request: &mut Request) -> auth::Verdict {
//!     if request.field("x-internal").is_some_and(|value| value == "yes") {
//!         auth::Verdict::AllowAs("internal".into())
//!     } else {
//!         auth::Verdict::Deny(Answer::problem(401, "who are you?"))
//!     }
//! }
//! # }
//! ```
//!
//! It returns a [`Verdict`] or a `Result` of one. Permission is always said in so many words; an error denies.

use crate::answer::Answer;
use crate::bindings::with_auth::exports::edgewit::filter::auth as wit;
use crate::outcome::Returns;
use crate::request::Request;

/// What an auth filter decides. The edits of the request go with a permission and are dropped by a denial.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// No objection, and nothing said about who it is. Later filters may still deny.
    Allow,
    /// No objection; this is who it is.
    AllowAs(String),
    /// The request ends here.
    Deny(Answer),
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
        Verdict::Allow => wit::Verdict::Allow(wit::Grant { subject: None, edits }),
        Verdict::AllowAs(subject) => {
            wit::Verdict::Allow(wit::Grant { subject: Some(subject), edits })
        }
        Verdict::Deny(answer) => wit::Verdict::Deny(answer.into()),
    };
    Ok(wit::Outcome { verdict, state })
}
