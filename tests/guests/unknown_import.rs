//! Wants something that this host does not have.

// Generated code: it is `unsafe` where it meets the canonical ABI.
#![allow(unsafe_code, missing_docs, unreachable_pub, clippy::all)]
#![cfg(target_arch = "wasm32")]

use edgewit_sdk::Request;

wit_bindgen::generate!({
    inline: r#"
        package somebody:elses;

        interface database { query: func(sql: string) -> string; }

        world wants { import database; }
    "#,
});

/// Queries.
#[derive(Default)]
pub struct Wants;

impl Wants {
    fn on_request(&self, request: &mut Request) {
        request.set("x-rows", somebody::elses::database::query("select 1"));
    }
}

edgewit_sdk::export!(Wants: request);
