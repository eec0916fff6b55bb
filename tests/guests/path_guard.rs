//! The phase `auth`: denies every path below `/secret`, wherever a filter took it from.

use edgewit_sdk::{Answer, Request, auth};

/// Guards a path.
#[derive(Default)]
pub struct PathGuard;

impl PathGuard {
    fn authenticate(&self, request: &mut Request) -> auth::Verdict {
        if request.path().starts_with("/secret") {
            return auth::Verdict::Deny(Answer::text(403, "not here"));
        }
        auth::Verdict::Allow
    }
}

edgewit_sdk::export!(PathGuard: auth);
