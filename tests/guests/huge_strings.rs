//! Hands the host as many megabytes as a filter can make, through the configured function.

use edgewit_sdk::{Needs, Request, exchange, kv, log, metrics, rate};
use serde::Deserialize;

/// Where the bytes go.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HugeStrings {
    to: String,
}

impl HugeStrings {
    fn configure(config: Self, _: &mut Needs) -> Result<Self, String> {
        Ok(config)
    }

    fn on_request(&self, request: &mut Request) {
        let huge = "x".repeat(3 << 20);
        let limit = rate::Limit { tokens: 1, per_ms: 1, burst: 1 };
        match self.to.as_str() {
            "log" => log::info(&huge),
            "metrics" => metrics::add("bytes", &[("label", &huge)], 1),
            "exchange" => drop(exchange::request_field(&huge)),
            "kv-key" => drop(kv::get(&huge)),
            "kv-value" => drop(kv::set("key", huge.as_bytes(), None)),
            "rate" => drop(rate::take(&huge, limit, 1)),
            _ => request.set("x-huge", huge),
        }
    }
}

edgewit_sdk::export!(HugeStrings: lifecycle, request);
