//! The capability `metrics`: the filter's own metrics, exported by the host as `edgewit_plugin_<name>`.
//!
//! Names of metrics and labels are `[a-z][a-z0-9_]{0,63}`, label values at most 128 bytes. A plugin may have 1,000 series,
//! so label values must come from closed sets, never from a client. What is not valid is dropped and counted.

use crate::bindings::capabilities::edgewit::filter::metrics::Label;
use crate::host::metrics as host;

/// Adds to a counter, creating it at 0.
pub fn add(name: &str, labels: &[(&str, &str)], amount: u64) {
    host::add(name, &owned(labels), amount);
}

/// Sets a gauge.
pub fn set(name: &str, labels: &[(&str, &str)], value: f64) {
    host::set(name, &owned(labels), value);
}

/// Counts a value into a histogram, in seconds, with the buckets 0.005 to 10 of OpenTelemetry's HTTP durations.
pub fn observe(name: &str, labels: &[(&str, &str)], value: f64) {
    host::observe(name, &owned(labels), value);
}

fn owned(labels: &[(&str, &str)]) -> Vec<Label> {
    labels
        .iter()
        .map(|(name, value)| Label { name: (*name).to_owned(), value: (*value).to_owned() })
        .collect()
}
