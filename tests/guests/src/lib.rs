//! What do several guests share?
//!
//! A guest is a file beside this folder, `tests/guests/<behaviour>.rs`: a filter that does one thing, mostly a wrong one.
//! `tests/suite` lists the folder when it is built, so that a guest without a host test does not compile there.

/// A filter that exports every phase and does something in the one that the request's field `x-act` names.
#[macro_export]
macro_rules! in_phase {
    ($filter:ident: $act:ident) => {
        /// Acts in one phase.
        pub struct $filter;

        /// Nothing to configure.
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Config {}

        impl $filter {
            fn configure(
                _: Config,
                needs: &mut edgewit_sdk::Needs,
            ) -> ::std::result::Result<Self, ::std::string::String> {
                needs.request_body(edgewit_sdk::BodyMode::Stream);
                needs.response_body(edgewit_sdk::BodyMode::Stream);
                Ok($filter)
            }

            fn reach(&self, phase: &str) {
                let act = edgewit_sdk::exchange::request_field("x-act");
                if act.is_some_and(|act| act == phase.as_bytes()) {
                    $act();
                }
            }

            fn authenticate(&self, _: &mut edgewit_sdk::Request) -> edgewit_sdk::auth::Verdict {
                self.reach("auth");
                edgewit_sdk::auth::Verdict::Allow
            }

            fn route(&self, _: &mut edgewit_sdk::Request) -> edgewit_sdk::routing::Verdict {
                self.reach("routing");
                edgewit_sdk::routing::Verdict::Stay
            }

            fn on_request(&self, _: &mut edgewit_sdk::Request) {
                self.reach("request");
            }

            fn on_request_body(&self, _: &mut edgewit_sdk::Chunk) -> edgewit_sdk::body::Verdict {
                self.reach("request-body");
                edgewit_sdk::body::Verdict::Pass
            }

            fn judge(&self, _: &mut edgewit_sdk::Attempt) -> edgewit_sdk::retry::Verdict {
                self.reach("retry");
                edgewit_sdk::retry::Verdict::Finish
            }

            fn on_response(&self, _: &mut edgewit_sdk::Response) {
                self.reach("response");
            }

            fn on_response_body(&self, _: &mut edgewit_sdk::Chunk) -> edgewit_sdk::body::Verdict {
                self.reach("response-body");
                edgewit_sdk::body::Verdict::Pass
            }

            fn record(&self, _: &edgewit_sdk::Summary) {
                self.reach("telemetry");
            }
        }

        edgewit_sdk::export!(
            $filter: lifecycle, auth, routing, request, request_body, retry, response, response_body, telemetry
        );
    };
}

/// A filter that writes its version onto the request, the response and, if its configuration says so, into the body:
/// each `?` of the response becomes the version.
#[macro_export]
macro_rules! version {
    ($version:literal) => {
        /// Signs everything with its version.
        pub struct Version;

        /// How much is signed.
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Config {
            #[serde(default)]
            body: bool,
        }

        impl Version {
            fn configure(
                config: Config,
                needs: &mut edgewit_sdk::Needs,
            ) -> ::std::result::Result<Self, ::std::string::String> {
                if config.body {
                    needs.response_body(edgewit_sdk::BodyMode::Stream);
                }
                Ok(Version)
            }

            fn on_request(&self, request: &mut edgewit_sdk::Request) {
                request.set("x-request-version", $version);
            }

            fn on_response(&self, response: &mut edgewit_sdk::Response) {
                response.set("x-response-version", $version);
            }

            fn on_response_body(&self, chunk: &mut edgewit_sdk::Chunk) -> edgewit_sdk::body::Verdict {
                let signed = String::from_utf8_lossy(&chunk.bytes).replace('?', $version);
                edgewit_sdk::body::Verdict::Replace(signed.into_bytes())
            }
        }

        edgewit_sdk::export!(Version: lifecycle, request, response, response_body);
    };
}
