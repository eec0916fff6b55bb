//! What `wit-bindgen` makes of the contract, one module for each world of `wit/world.wit`.
//!
//! One world per export is what lets a filter export any subset of the phases: each world's section of component type is
//! emitted by its export macro, and wit-component merges the sections it finds. The types are those of `capabilities`
//! everywhere.

// Generated code: it is `unsafe` where it meets the canonical ABI, and not all of it is used by any one filter.
#![allow(unsafe_code, missing_docs, unreachable_pub, clippy::all)]

macro_rules! world {
    ($module:ident, $world:literal, $export:literal) => {
        pub mod $module {
            wit_bindgen::generate!({
                path: "wit",
                world: $world,
                pub_export_macro: true,
                export_macro_name: $export,
                additional_derives: [PartialEq],
                with: { "edgewit:filter/types@0.1.0": crate::bindings::capabilities::edgewit::filter::types },
            });
        }
    };
}

pub mod capabilities {
    wit_bindgen::generate!({
        path: "wit",
        world: "capabilities",
        generate_all,
        generate_unused_types: true,
        pub_export_macro: true,
        additional_derives: [PartialEq],
    });
}

world!(with_lifecycle, "with-lifecycle", "export_lifecycle");
world!(with_auth, "with-auth", "export_auth");
world!(with_routing, "with-routing", "export_routing");
world!(with_request, "with-request", "export_request");
world!(with_request_body, "with-request-body", "export_request_body");
world!(with_retry, "with-retry", "export_retry");
world!(with_response, "with-response", "export_response");
world!(with_response_body, "with-response-body", "export_response_body");
world!(with_telemetry, "with-telemetry", "export_telemetry");
