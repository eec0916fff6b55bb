//! Does not come up: its configuration says in which way.

use edgewit_sdk::{Needs, Request};
use serde::Deserialize;

/// Is stubborn.
pub struct Stubborn;

/// In which way.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    how: String,
}

impl Stubborn {
    fn configure(config: Config, needs: &mut Needs) -> Result<Self, String> {
        match config.how.as_str() {
            "error" => return Err("`how` is `error`, which is not to my liking".into()),
            "trap" => panic!("stubborn"),
            "loop" => loop {
                std::hint::black_box(0);
            },
            "field" => {
                needs.request_field("not a field");
            }
            "fields" => {
                for n in 0..65 {
                    needs.request_field(&format!("x-{n}"));
                }
            }
            _ => {}
        }
        Ok(Stubborn)
    }

    fn on_request(&self, request: &mut Request) {
        request.set("x-stubborn", "no");
    }
}

edgewit_sdk::export!(Stubborn: lifecycle, request);
