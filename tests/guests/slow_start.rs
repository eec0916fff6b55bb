//! Computes for long while it is configured, far longer than a request may take, and shows the sum in every response.

use edgewit_sdk::{Needs, Response};
use serde::Deserialize;

/// Knows what it computed.
pub struct SlowStart {
    sum: u64,
}

/// How much there is to compute.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    rounds: u64,
}

impl SlowStart {
    fn configure(config: Config, _: &mut Needs) -> Result<Self, String> {
        Ok(SlowStart { sum: (0..config.rounds).fold(0, |sum, n| std::hint::black_box(sum + n)) })
    }

    fn on_response(&self, response: &mut Response) {
        response.set("x-sum", self.sum.to_string());
    }
}

edgewit_sdk::export!(SlowStart: lifecycle, response);
