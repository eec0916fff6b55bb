//! Sleeps, as a blocking library would. Made without the SDK, which keeps WASI out.

// Generated code: it is `unsafe` where it meets the canonical ABI.
#![allow(unsafe_code, missing_docs, unreachable_pub, clippy::all)]
#![cfg(target_arch = "wasm32")]

wit_bindgen::generate!({ path: "../../wit", world: "with-request" });

use edgewit::filter::types::Head;
use exports::edgewit::filter::request::{Guest, Outcome, Verdict};

struct Sleeper;

impl Guest for Sleeper {
    fn on_request(_: Head, _: Vec<u8>) -> Result<Outcome, String> {
        std::thread::sleep(std::time::Duration::from_secs(3_600));
        Ok(Outcome { verdict: Verdict::Proceed(Vec::new()), state: None })
    }
}

export!(Sleeper);
