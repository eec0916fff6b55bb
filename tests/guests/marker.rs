//! Appends its configured name to `x-trail` in every phase that can.

use edgewit_sdk::{Needs, Request, Response, auth, routing};
use serde::Deserialize;

/// Leaves a trail.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Marker {
    name: String,
}

impl Marker {
    fn configure(config: Self, _: &mut Needs) -> Result<Self, String> {
        Ok(config)
    }

    fn authenticate(&self, request: &mut Request) -> auth::Verdict {
        request.append("x-trail", format!("{}:auth", self.name));
        auth::Verdict::Allow
    }

    fn route(&self, request: &mut Request) -> routing::Verdict {
        request.append("x-trail", format!("{}:routing", self.name));
        routing::Verdict::Stay
    }

    fn on_request(&self, request: &mut Request) {
        request.append("x-trail", format!("{}:request", self.name));
    }

    fn on_response(&self, response: &mut Response) {
        response.append("x-trail", format!("{}:response", self.name));
    }
}

edgewit_sdk::export!(Marker: lifecycle, auth, routing, request, response);
