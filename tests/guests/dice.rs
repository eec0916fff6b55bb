//! Draws a number while it is configured, and shows it in every response.

use edgewit_sdk::{Needs, Response, random};
use serde::Deserialize;

/// Shows what it drew.
pub struct Dice {
    number: u64,
}

/// Nothing to configure.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {}

impl Dice {
    fn configure(_: Config, _: &mut Needs) -> Result<Self, String> {
        Ok(Dice { number: random::number() })
    }

    fn on_response(&self, response: &mut Response) {
        response.set("x-configured", self.number.to_string());
        response.set("x-drawn", random::number().to_string());
    }
}

edgewit_sdk::export!(Dice: lifecycle, response);
