//! The metrics that the host writes: names, helps, kinds and buckets. Names are interfaces.

/// A metric with all its series.
#[derive(Debug)]
pub struct Family {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Info,
    Histogram(Buckets),
}

/// Buckets of a histogram whose values are whole numbers of a small unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Buckets {
    /// Upper bounds in the small unit, ascending.
    pub(crate) bounds: &'static [u64],
    /// Small units in one exported unit.
    pub(crate) scale: f64,
}

/// Buckets of durations in seconds, as OpenTelemetry's HTTP conventions have them.
pub(crate) const SECONDS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

const MS: u64 = 1_000_000;
const US: u64 = 1_000;

/// The same in nanoseconds.
const REQUEST_NANOS: [u64; 14] = [
    5 * MS,
    10 * MS,
    25 * MS,
    50 * MS,
    75 * MS,
    100 * MS,
    250 * MS,
    500 * MS,
    750 * MS,
    1_000 * MS,
    2_500 * MS,
    5_000 * MS,
    7_500 * MS,
    10_000 * MS,
];
/// A reused instance answers in less than one microsecond, a phase may take 50 ms.
const FILTER_NANOS: [u64; 13] = [
    5 * US,
    10 * US,
    25 * US,
    50 * US,
    100 * US,
    250 * US,
    500 * US,
    MS,
    5 * MS,
    10 * MS,
    25 * MS,
    50 * MS,
    100 * MS,
];
/// A filter in Rust needs some thousands for a request, an interpreter's start some millions.
const FUEL: [u64; 11] = [
    1_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000,
    20_000_000,
];
/// Powers of eight.
const BYTES: [u64; 8] = [64, 512, 4 << 10, 32 << 10, 256 << 10, 2 << 20, 16 << 20, 128 << 20];
/// From one page to what an interpreter of a large language may be given.
const MEMORY: [u64; 11] = [
    64 << 10,
    128 << 10,
    256 << 10,
    512 << 10,
    1 << 20,
    2 << 20,
    4 << 20,
    8 << 20,
    16 << 20,
    64 << 20,
    256 << 20,
];

const REQUEST_SECONDS: Kind =
    Kind::Histogram(Buckets { bounds: &REQUEST_NANOS, scale: 1_000_000_000.0 });
const BODY_BYTES: Kind = Kind::Histogram(Buckets { bounds: &BYTES, scale: 1.0 });

macro_rules! families {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $kind:expr, $help:literal;)*) => {
        $(
            $(#[$doc])*
            pub static $name: Family = Family { name: $text, help: $help, kind: $kind };
        )*

        /// All of them, in the order of the exposition.
        pub(crate) static ALL: &[&Family] = &[$(&$name),*];
    };
}

families! {
    /// From the end of a request's head to the end of its response. Observed in nanoseconds.
    SERVER_REQUEST_DURATION = "http_server_request_duration_seconds", REQUEST_SECONDS,
        "From the end of the request head to the end of the response";
    /// Requests that are being answered.
    SERVER_ACTIVE_REQUESTS = "http_server_active_requests", Kind::Gauge,
        "Requests that are being answered";
    /// Bytes of request bodies that were read.
    SERVER_REQUEST_BODY = "http_server_request_body_size_bytes", BODY_BYTES,
        "Bytes of request bodies that were read";
    /// Bytes of response bodies that were sent.
    SERVER_RESPONSE_BODY = "http_server_response_body_size_bytes", BODY_BYTES,
        "Bytes of response bodies that were sent";
    /// From the begin of an attempt to the head of its response, or its failure. Observed in nanoseconds.
    CLIENT_REQUEST_DURATION = "http_client_request_duration_seconds", REQUEST_SECONDS,
        "From the begin of an attempt at an upstream to the response head or the failure";
    /// Connections that have left HTTP.
    TUNNELS = "edgewit_tunnels", Kind::Gauge,
        "Connections and streams that carry another protocol, such as WebSockets";
    /// Calls of filters. Observed in nanoseconds.
    FILTER_DURATION = "edgewit_filter_duration_seconds",
        Kind::Histogram(Buckets { bounds: &FILTER_NANOS, scale: 1_000_000_000.0 }),
        "Time of one call of a filter";
    /// Fuel of one call.
    FILTER_FUEL = "edgewit_filter_fuel", Kind::Histogram(Buckets { bounds: &FUEL, scale: 1.0 }),
        "Fuel of one call of a filter";
    /// The largest memory that any instance had.
    FILTER_MEMORY_PEAK = "edgewit_filter_memory_peak_bytes", Kind::Gauge,
        "Largest linear memory of any instance so far";
    /// Linear memory of an instance after one call.
    FILTER_MEMORY = "edgewit_filter_memory_bytes",
        Kind::Histogram(Buckets { bounds: &MEMORY, scale: 1.0 }),
        "Linear memory of an instance after one call of a filter";
    /// Filters that were stopped.
    FILTER_STOPS = "edgewit_filter_stops", Kind::Counter,
        "Calls of filters that were stopped, by reason";
    /// Steps of requests that were not done on a worker.
    FILTER_ASIDE = "edgewit_filter_aside", Kind::Counter,
        "Steps of requests that were done apart from the workers because calls of the filter compute long";
    /// Plugins that serve.
    PLUGIN_INFO = "edgewit_plugin", Kind::Info, "Plugins that serve";
    /// Attempts to replace a plugin.
    PLUGIN_SWAPS = "edgewit_plugin_swaps", Kind::Counter, "Attempts to replace a plugin, by result";
    /// Plugins whose version that serves is not called.
    PLUGIN_QUARANTINED = "edgewit_plugin_quarantined", Kind::Gauge,
        "1 if a version of the plugin is not called because it was stopped too often, else 0";
    /// Instances of plugins.
    INSTANCES = "edgewit_instances", Kind::Gauge, "Instances of plugins, by state";
    /// Events that nobody got to see.
    EVENTS_DROPPED = "edgewit_events_dropped", Kind::Counter,
        "Events that were not put down, or not sent to a viewer that was too slow, by reason";
    /// Did the last reload succeed?
    CONFIG_LAST_RELOAD_SUCCESSFUL = "edgewit_config_last_reload_successful", Kind::Gauge,
        "1 if the last reload of the configuration succeeded, else 0";
    /// Which configuration serves.
    CONFIG_GENERATION = "edgewit_config_generation", Kind::Gauge,
        "Generation of the configuration that serves";
    /// Further attempts at upstreams.
    RETRIES = "edgewit_retries", Kind::Counter,
        "Further attempts at upstreams, by result and by the reason of the attempt before";
    /// Retries that were not made because of the budget.
    RETRY_BUDGET_EXHAUSTED = "edgewit_retry_budget_exhausted", Kind::Counter,
        "Retries that were not made because the budget of the upstream was used up";
    /// Servers of upstreams that get requests.
    UPSTREAM_SERVER_HEALTHY = "edgewit_upstream_server_healthy", Kind::Gauge,
        "1 if a server of an upstream gets requests, 0 if it is unhealthy or ejected";
    /// Ejections of servers.
    UPSTREAM_EJECTIONS = "edgewit_upstream_ejections", Kind::Counter,
        "Ejections of servers of an upstream by outlier detection, by reason";
    /// Upstreams that have enough to do.
    CIRCUIT_OPEN = "edgewit_circuit_open", Kind::Gauge,
        "1 if a request was refused within the last second because an upstream has enough to do, else 0";
    /// Attempts made while another was still waiting.
    HEDGES = "edgewit_hedges", Kind::Counter,
        "Attempts at upstreams made while another was still waiting, by result";
    /// Faults that were made on purpose.
    FAULTS = "edgewit_faults", Kind::Counter,
        "Faults that routes made on purpose, by kind";
    /// Copies of requests.
    MIRRORED = "edgewit_mirrored", Kind::Counter,
        "Copies of requests for mirrors, by result";
    /// Lines of the access log that were lost.
    ACCESS_LOG_DROPPED = "edgewit_access_log_dropped", Kind::Counter,
        "Lines of the access log that were dropped because the target was too slow";
    /// Connections that ended before their first request could be read.
    CONNECTIONS_REFUSED = "edgewit_connections_refused", Kind::Counter,
        "Connections that were closed before a request could be read, by listener and reason";
    /// Ends of certificates, as seconds since 1970: a gauge that is set once does not age.
    TLS_CERTIFICATE_EXPIRY = "edgewit_tls_certificate_expiry_seconds", Kind::Gauge,
        "When a certificate of a listener expires, in seconds since 1970";
    /// Connections to upstreams.
    CLIENT_OPEN_CONNECTIONS = "http_client_open_connections", Kind::Gauge,
        "Connections to upstreams that are open, by what they do";
    /// Endpoints that an upstream has.
    UPSTREAM_ENDPOINTS = "edgewit_upstream_endpoints", Kind::Gauge,
        "Endpoints of an upstream that can be chosen";
    /// Looks for endpoints.
    DISCOVERY_LOOKS = "edgewit_discovery_looks", Kind::Counter,
        "Looks for the endpoints of an upstream, by result";
    /// What the front door refused.
    REQUESTS_REFUSED = "edgewit_requests_refused", Kind::Counter,
        "Requests, streams and connections that the front door refused, by listener and reason";
    /// The running program.
    BUILD_INFO = "edgewit_build", Kind::Info, "The running program";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_ascend_and_both_scales_of_seconds_agree() {
        for family in ALL {
            if let Kind::Histogram(buckets) = family.kind {
                assert!(buckets.bounds.is_sorted(), "{}", family.name);
            }
        }
        for (nanos, seconds) in REQUEST_NANOS.iter().zip(SECONDS) {
            assert_eq!(*nanos as f64 / 1e9, seconds);
        }
    }
}
