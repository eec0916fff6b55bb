//! Burns about as much fuel as configured, then returns.

use edgewit_sdk::{Needs, Request};
use serde::Deserialize;

/// Burns.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Burn {
    /// Rounds of a loop that costs some units each.
    rounds: u64,
}

impl Burn {
    fn configure(config: Self, _: &mut Needs) -> Result<Self, String> {
        Ok(config)
    }

    fn on_request(&self, request: &mut Request) {
        let sum = (0..self.rounds).fold(0_u64, |sum, n| std::hint::black_box(sum ^ n));
        request.append("x-burnt", sum.to_string());
    }
}

edgewit_sdk::export!(Burn: lifecycle, request);
