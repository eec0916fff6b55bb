//! Speaks a contract that this host does not: `edgewit:filter@0.9.0`.

// Generated code: it is `unsafe` where it meets the canonical ABI.
#![allow(unsafe_code, missing_docs, unreachable_pub, clippy::all)]
#![cfg(target_arch = "wasm32")]

wit_bindgen::generate!({
    inline: r#"
        package edgewit:filter@0.9.0;

        interface request {
            on-request: func(path: string) -> result<_, string>;
        }

        world filter { export request; }
    "#,
});

struct Filter;

impl exports::edgewit::filter::request::Guest for Filter {
    fn on_request(_: String) -> Result<(), String> {
        Ok(())
    }
}

export!(Filter);
