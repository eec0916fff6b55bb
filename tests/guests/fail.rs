//! Returns an error from the phase `request`, with words that only the operator may read.

use edgewit_sdk::{Error, Request, Result};

/// Fails.
#[derive(Default)]
pub struct Fail;

impl Fail {
    fn on_request(&self, _: &mut Request) -> Result<()> {
        Err(Error::new("the secret reason"))
    }
}

edgewit_sdk::export!(Fail: request);
