//! The macro that makes a component of a filter.

/// Exports a filter with the phases that follow its name, in any order except that `lifecycle` comes first.
///
/// | phase | method of the filter |
/// |---|---|
/// | `lifecycle` | `fn configure(config: C, needs: &mut Needs) -> Result<Self, E>`, see [`lifecycle`](crate::lifecycle) |
/// | `auth` | `fn authenticate(&self, request: &mut Request) -> auth::Verdict`, see [`auth`](crate::auth) |
/// | `routing` | `fn route(&self, request: &mut Request) -> routing::Verdict`, see [`routing`](crate::routing) |
/// | `request` | `fn on_request(&self, request: &mut Request)`, see [`request`](crate::request) |
/// | `request_body` | `fn on_request_body(&self, chunk: &mut Chunk) -> body::Verdict`, see [`request_body`](crate::request_body) |
/// | `retry` | `fn judge(&self, attempt: &mut Attempt) -> retry::Verdict`, see [`retry`](crate::retry) |
/// | `response` | `fn on_response(&self, response: &mut Response)`, see [`response`](crate::response) |
/// | `response_body` | `fn on_response_body(&self, chunk: &mut Chunk) -> body::Verdict`, see [`response_body`](crate::response_body) |
/// | `telemetry` | `fn record(&self, summary: &Summary)`, see [`telemetry`](crate::telemetry) |
///
/// Each method may return a `Result` instead, see [`Returns`](crate::Returns). Without `lifecycle` the filter is made by
/// [`Default`], sees the facts method, scheme, authority, path and query and no bodies. The component exports these
/// phases and no others.
///
/// The filter is shared by everything that runs in one instance, so it must be [`Sync`]: what changes from request to
/// request belongs into [`State`](crate::State), [`kv`](crate::kv) or [`metrics`](crate::metrics).
#[macro_export]
macro_rules! export {
    ($filter:ident: lifecycle $(, $phase:ident)* $(,)?) => {
        const _: () = {
            static FILTER: ::std::sync::OnceLock<$filter> = ::std::sync::OnceLock::new();

            struct Adapter;

            fn filter() -> ::std::result::Result<&'static $filter, ::std::string::String> {
                FILTER.get().ok_or_else(|| "the filter was not configured".into())
            }

            $crate::__phase!(lifecycle $filter);
            $($crate::__phase!($phase $filter);)*
        };
    };
    ($filter:ident: $($phase:ident),+ $(,)?) => {
        const _: () = {
            static FILTER: ::std::sync::OnceLock<$filter> = ::std::sync::OnceLock::new();

            struct Adapter;

            fn filter() -> ::std::result::Result<&'static $filter, ::std::string::String> {
                ::std::result::Result::Ok(FILTER.get_or_init(::std::default::Default::default))
            }

            $($crate::__phase!($phase $filter);)+
        };
    };
}

/// One phase of [`export!`]: the generated trait on the adapter, then, in a component, the export itself. Its name is no
/// name for a native linker, so a native build mentions the function instead, for the phases to count as used.
#[doc(hidden)]
#[macro_export]
macro_rules! __phase {
    (lifecycle $filter:ident) => {
        impl $crate::bindings::with_lifecycle::exports::edgewit::filter::lifecycle::Guest for Adapter {
            fn configure(
                config: ::std::string::String,
            ) -> ::std::result::Result<
                $crate::bindings::capabilities::edgewit::filter::types::Needs,
                ::std::string::String,
            > {
                $crate::lifecycle::run(&FILTER, $filter::configure, &config)
            }
        }
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::with_lifecycle::export_lifecycle!(Adapter with_types_in $crate::bindings::with_lifecycle);
        $crate::__phase!(@native configure with_lifecycle lifecycle);
    };
    (auth $filter:ident) => {
        $crate::__phase!(@request with_auth auth authenticate $filter::authenticate);
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::with_auth::export_auth!(Adapter with_types_in $crate::bindings::with_auth);
        $crate::__phase!(@native authenticate with_auth auth);
    };
    (routing $filter:ident) => {
        $crate::__phase!(@request with_routing routing route $filter::route);
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::with_routing::export_routing!(Adapter with_types_in $crate::bindings::with_routing);
        $crate::__phase!(@native route with_routing routing);
    };
    (request $filter:ident) => {
        $crate::__phase!(@request with_request request on_request $filter::on_request);
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::with_request::export_request!(Adapter with_types_in $crate::bindings::with_request);
        $crate::__phase!(@native on_request with_request request);
    };
    (request_body $filter:ident) => {
        $crate::__phase!(@body with_request_body request_body on_request_body $filter::on_request_body);
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::with_request_body::export_request_body!(Adapter with_types_in $crate::bindings::with_request_body);
        $crate::__phase!(@native on_request_body with_request_body request_body);
    };
    (retry $filter:ident) => {
        impl $crate::bindings::with_retry::exports::edgewit::filter::retry::Guest for Adapter {
            fn judge(
                attempt: $crate::bindings::with_retry::exports::edgewit::filter::retry::Attempt,
                state: ::std::vec::Vec<u8>,
            ) -> ::std::result::Result<
                $crate::bindings::with_retry::exports::edgewit::filter::retry::Outcome,
                ::std::string::String,
            > {
                $crate::retry::run(filter(), $filter::judge, (attempt, state))
            }
        }
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::with_retry::export_retry!(Adapter with_types_in $crate::bindings::with_retry);
        $crate::__phase!(@native judge with_retry retry);
    };
    (response $filter:ident) => {
        impl $crate::bindings::with_response::exports::edgewit::filter::response::Guest for Adapter {
            fn on_response(
                status: u16,
                head: $crate::bindings::capabilities::edgewit::filter::types::Head,
                state: ::std::vec::Vec<u8>,
            ) -> ::std::result::Result<
                $crate::bindings::with_response::exports::edgewit::filter::response::Outcome,
                ::std::string::String,
            > {
                $crate::response::run(
                    filter(),
                    $filter::on_response,
                    $crate::Response::received(status, head, state),
                )
            }
        }
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::with_response::export_response!(Adapter with_types_in $crate::bindings::with_response);
        $crate::__phase!(@native on_response with_response response);
    };
    (response_body $filter:ident) => {
        $crate::__phase!(@body with_response_body response_body on_response_body $filter::on_response_body);
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::with_response_body::export_response_body!(Adapter with_types_in $crate::bindings::with_response_body);
        $crate::__phase!(@native on_response_body with_response_body response_body);
    };
    (telemetry $filter:ident) => {
        impl $crate::bindings::with_telemetry::exports::edgewit::filter::telemetry::Guest for Adapter {
            fn record(
                summary: $crate::bindings::with_telemetry::exports::edgewit::filter::telemetry::Summary,
                state: ::std::vec::Vec<u8>,
            ) -> ::std::result::Result<(), ::std::string::String> {
                $crate::telemetry::run(filter(), $filter::record, (summary, state))
            }
        }
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::with_telemetry::export_telemetry!(Adapter with_types_in $crate::bindings::with_telemetry);
        $crate::__phase!(@native record with_telemetry telemetry);
    };
    (@native $function:ident $world:ident $interface:ident) => {
        #[cfg(not(target_arch = "wasm32"))]
        const _: () = {
            let _ = <Adapter as $crate::bindings::$world::exports::edgewit::filter::$interface::Guest>::$function;
        };
    };
    (@request $world:ident $interface:ident $function:ident $phase:path) => {
        impl $crate::bindings::$world::exports::edgewit::filter::$interface::Guest for Adapter {
            fn $function(
                head: $crate::bindings::capabilities::edgewit::filter::types::Head,
                state: ::std::vec::Vec<u8>,
            ) -> ::std::result::Result<
                $crate::bindings::$world::exports::edgewit::filter::$interface::Outcome,
                ::std::string::String,
            > {
                $crate::$interface::run(filter(), $phase, $crate::Request::received(head, state))
            }
        }
    };
    (@body $world:ident $interface:ident $function:ident $phase:path) => {
        impl $crate::bindings::$world::exports::edgewit::filter::$interface::Guest for Adapter {
            fn $function(
                bytes: ::std::vec::Vec<u8>,
                end: bool,
                state: ::std::vec::Vec<u8>,
            ) -> ::std::result::Result<
                $crate::bindings::$world::exports::edgewit::filter::$interface::Outcome,
                ::std::string::String,
            > {
                $crate::$interface::run(filter(), $phase, (bytes, end, state))
            }
        }
    };
    ($other:ident $filter:ident) => {
        ::std::compile_error!(::std::concat!(
            "no phase `", ::std::stringify!($other), "`; there are lifecycle (which comes first), auth, routing, request, ",
            "request_body, retry, response, response_body, telemetry"
        ));
    };
}
