//! Counts in `kv`, by path, and says what else it finds there.

use edgewit_sdk::Fact;
use edgewit_sdk::{Request, Response, exchange, kv};

/// Counts for all instances.
#[derive(Default)]
pub struct Tally;

impl Tally {
    fn on_request(&self, request: &mut Request) -> Result<(), String> {
        let say = |problem: kv::Problem| format!("kv: {problem:?}");
        let count = kv::add(&request.path(), 1, None).map_err(say)?;
        let was =
            kv::compare_and_set("owner", None, request.path().as_bytes(), None).map_err(say)?;
        request.state.set(format!("{count} {}", if was { "first" } else { "later" }));
        Ok(())
    }

    fn on_response(&self, response: &mut Response) {
        let owner = kv::get("owner").ok().flatten().unwrap_or_default();
        let path = exchange::fact(Fact::Path).unwrap_or_default();
        response.append(
            "x-tally",
            [path.as_bytes(), b" ", response.state.bytes(), b" ", &owner].concat(),
        );
    }
}

edgewit_sdk::export!(Tally: request, response);
