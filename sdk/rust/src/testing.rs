//! A filter under `cargo test`: heads from plain lists, and a host whose answers a test sets and whose calls it sees.
//!
//! ```
//! use edgewit_sdk::{Edit, Request, log, testing};
//!
//! #[derive(Default)]
//! struct Filter;
//!
//! impl Filter {
//!     fn on_request(&self, request: &mut Request) {
//!         if request.field("x-debug").is_some() {
//!             log::info("debugging");
//!             request.remove("x-debug");
//!         }
//!     }
//! }
//!
//! let mut request = testing::request().field("x-debug", "1").build();
//! Filter.on_request(&mut request);
//! assert_eq!(request.edits(), [Edit::remove("x-debug")]);
//! assert_eq!(testing::host(|host| host.log.len()), 1);
//! ```
//!
//! Each thread has its own host, and so has each test. This module does not exist in components.

pub(crate) mod doubles;

mod pack;

use crate::bindings::capabilities::edgewit::filter::types::Fact;
use crate::bindings::with_retry::exports::edgewit::filter::retry as wit_retry;
use crate::bindings::with_telemetry::exports::edgewit::filter::telemetry as wit_telemetry;
use crate::lifecycle;
use crate::needs::Needs;
use crate::request::Request;
use crate::response::Response;
use crate::retry::{Attempt, Failure};
use crate::state::State;
use crate::telemetry::{Ending, Summary};
use pack::Scene;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::fmt::Display;

pub use doubles::{Host, Sample};

/// Reads or changes the host of this thread.
pub fn host<R>(with: impl FnOnce(&mut Host) -> R) -> R {
    doubles::with(with)
}

/// Builds a filter from its configuration in JSON, as the host does, and says what it declared.
pub fn configure<F, C: DeserializeOwned, E: Display>(
    configure: impl FnOnce(C, &mut Needs) -> Result<F, E>,
    config: &str,
) -> Result<(F, Needs), String> {
    lifecycle::build(configure, config)
}

/// Demands that a JSON Schema knows the keys of the configuration, no more and no less. The configuration must be a struct
/// with `deny_unknown_fields`: its own message says which keys there are.
pub fn assert_schema<F, C: DeserializeOwned, E: Display>(
    configure: impl FnOnce(C, &mut Needs) -> Result<F, E>,
    schema: &str,
) {
    let schema: serde_json::Value = serde_json::from_str(schema).expect("a schema is JSON");
    let properties = schema["properties"].as_object().expect("a schema has properties");
    let described: BTreeSet<&str> = properties.keys().map(String::as_str).collect();

    let refused = lifecycle::build(configure, r#"{"?": 0}"#).map(|_| ());
    let message = refused.expect_err("a configuration refuses unknown keys");
    let (_, expected) = message.split_once(", ").unwrap_or_default();
    let known: BTreeSet<&str> = expected.split('`').skip(1).step_by(2).collect();
    assert_eq!(described, known, "keys of the schema, and those of the configuration");
}

/// The request of a filter without `lifecycle`.
pub fn request() -> Builder {
    request_for(&Needs::undeclared())
}

/// The request of a filter that declared these needs. What was not declared is reachable through `exchange`.
pub fn request_for(needs: &Needs) -> Builder {
    Builder { needs: kept(needs), scene: Scene::default(), state: Vec::new() }
}

/// The response of a filter without `lifecycle`.
pub fn response(status: u16) -> ResponseBuilder {
    response_for(&Needs::undeclared(), status)
}

/// The response of a filter that declared these needs. What was not declared is reachable through `exchange`.
pub fn response_for(needs: &Needs, status: u16) -> ResponseBuilder {
    ResponseBuilder { status, inner: request_for(needs) }
}

/// An attempt that brought a response.
pub fn attempt_for(needs: &Needs, number: u32, status: u16, fields: &[(&str, &str)]) -> Attempt {
    let mut scene = Scene::default();
    for (name, value) in fields {
        scene.fields.push((name.to_ascii_lowercase(), value.as_bytes().to_vec()));
    }
    let seen = wit_retry::Seen { status, head: scene.pack_response(needs) };
    attempt(number, wit_retry::Ending::Response(seen))
}

/// An attempt that brought no response.
pub fn failed_attempt(number: u32, failure: Failure) -> Attempt {
    attempt(number, wit_retry::Ending::Failure(failure))
}

/// A request, or what is left of it at the end, in the making.
#[derive(Debug)]
pub struct Builder {
    needs: &'static Needs,
    scene: Scene,
    state: Vec<u8>,
}

impl Builder {
    /// With a fact.
    #[must_use]
    pub fn fact(mut self, fact: Fact, value: &str) -> Self {
        self.scene.facts.push((fact, value.to_owned()));
        self
    }

    /// With a field; several of one name keep their order.
    #[must_use]
    pub fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.scene.fields.push((name.to_ascii_lowercase(), value.as_ref().to_vec()));
        self
    }

    /// With the state that an earlier phase left.
    #[must_use]
    pub fn state(mut self, state: &State) -> Self {
        self.state = state.bytes().to_vec();
        self
    }

    /// The request; the host knows its facts and fields from now on.
    pub fn build(self) -> Request {
        host(|host| {
            host.facts = self.scene.facts.clone();
            host.request_fields = self.scene.fields.clone();
        });
        Request::new(self.scene.pack_request(self.needs), self.state, self.needs)
    }

    /// What is left of a complete exchange. The other numbers are public.
    pub fn summary(self, status: u16, duration_us: u64) -> Summary {
        let summary = wit_telemetry::Summary {
            status,
            ending: Ending::Complete,
            duration_us,
            attempts: 1,
            request_bytes: 0,
            response_bytes: 0,
            head: self.scene.pack_request(self.needs),
        };
        Summary::new(summary, self.state)
    }
}

/// A response in the making.
#[derive(Debug)]
pub struct ResponseBuilder {
    status: u16,
    inner: Builder,
}

impl ResponseBuilder {
    /// With a field; several of one name keep their order.
    #[must_use]
    pub fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.inner = self.inner.field(name, value);
        self
    }

    /// With the state that an earlier phase left.
    #[must_use]
    pub fn state(mut self, state: &State) -> Self {
        self.inner = self.inner.state(state);
        self
    }

    /// The response; the host knows its fields from now on.
    pub fn build(self) -> Response {
        let Builder { needs, scene, state } = self.inner;
        host(|host| host.response_fields = scene.fields.clone());
        Response::new(self.status, scene.pack_response(needs), state, needs)
    }
}

fn attempt(number: u32, ending: wit_retry::Ending) -> Attempt {
    let attempt = wit_retry::Attempt { number, ending, elapsed_ms: 0, remaining_ms: 60_000 };
    Attempt::new(attempt, Vec::new())
}

/// In a component what was declared lives as long as the instance; a test keeps it until the process ends.
fn kept(needs: &Needs) -> &'static Needs {
    Box::leak(Box::new(needs.clone()))
}
