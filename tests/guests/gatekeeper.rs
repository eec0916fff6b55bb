//! The phase `auth`: `x-user` names who it is, without it the request is denied.

use edgewit_sdk::{Answer, Request, auth};

/// Asks for a name.
#[derive(Default)]
pub struct Gatekeeper;

impl Gatekeeper {
    fn authenticate(&self, request: &mut Request) -> auth::Verdict {
        let user = request.field("x-user").and_then(|value| value.text().map(str::to_owned));
        match user {
            Some(user) => {
                request.set("x-authenticated", user.clone());
                request.remove("x-user");
                auth::Verdict::AllowAs(user)
            }
            None => auth::Verdict::Deny(Answer::text(401, "who are you?").field("x-denied", "yes")),
        }
    }
}

edgewit_sdk::export!(Gatekeeper: auth);
