//! Asks the host as often as configured.

use edgewit_sdk::{Needs, Request, clock};
use serde::Deserialize;

/// Asks.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostCalls {
    calls: u32,
}

impl HostCalls {
    fn configure(config: Self, _: &mut Needs) -> Result<Self, String> {
        Ok(config)
    }

    fn on_request(&self, request: &mut Request) {
        for _ in 0..self.calls {
            std::hint::black_box(clock::monotonic_ms());
        }
        request.set("x-calls", self.calls.to_string());
    }
}

edgewit_sdk::export!(HostCalls: lifecycle, request);
