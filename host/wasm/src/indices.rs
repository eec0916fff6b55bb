//! Where the exported functions of a component are.

use edgewit_chain::{Phase, Phases};
use wasmtime::{Store, component::InstancePre};

use crate::{
    bindings::exports::edgewit::filter::{
        auth, lifecycle, request, request_body, response, response_body, retry, routing, telemetry,
    },
    state::State,
};

/// Where the exported functions are, for each phase that is exported.
#[derive(Clone)]
pub(crate) struct Indices {
    pub(crate) lifecycle: Option<lifecycle::GuestIndices>,
    pub(crate) auth: Option<auth::GuestIndices>,
    pub(crate) routing: Option<routing::GuestIndices>,
    pub(crate) request: Option<request::GuestIndices>,
    pub(crate) request_body: Option<request_body::GuestIndices>,
    pub(crate) retry: Option<retry::GuestIndices>,
    pub(crate) response: Option<response::GuestIndices>,
    pub(crate) response_body: Option<response_body::GuestIndices>,
    pub(crate) telemetry: Option<telemetry::GuestIndices>,
}

impl Indices {
    pub(crate) fn new(
        pre: &InstancePre<State>,
        phases: Phases,
        configures: bool,
    ) -> wasmtime::Result<Self> {
        macro_rules! find {
            ($module:ident, $wanted:expr) => {
                if $wanted { Some($module::GuestIndices::new(pre)?) } else { None }
            };
        }
        Ok(Self {
            lifecycle: find!(lifecycle, configures),
            auth: find!(auth, phases.has(Phase::Auth)),
            routing: find!(routing, phases.has(Phase::Routing)),
            request: find!(request, phases.has(Phase::Request)),
            request_body: find!(request_body, phases.has(Phase::RequestBody)),
            retry: find!(retry, phases.has(Phase::Retry)),
            response: find!(response, phases.has(Phase::Response)),
            response_body: find!(response_body, phases.has(Phase::ResponseBody)),
            telemetry: find!(telemetry, phases.has(Phase::Telemetry)),
        })
    }

    /// Do all exported functions have the types of the contract?
    pub(crate) fn check(
        &self,
        store: &mut Store<State>,
        instance: &wasmtime::component::Instance,
    ) -> wasmtime::Result<()> {
        macro_rules! check {
            ($($field:ident),*) => {
                $(if let Some(indices) = &self.$field {
                    let name = || format!("`{}`", stringify!($field).replace('_', "-"));
                    indices.load(&mut *store, instance).map_err(|e| e.context(name()))?;
                })*
            };
        }
        check!(lifecycle, auth, routing, request, request_body, retry, response, response_body);
        check!(telemetry);
        Ok(())
    }
}
