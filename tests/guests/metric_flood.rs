//! Makes metrics without end: new label values, names that are not valid, labels that are too long.

use edgewit_sdk::{Request, metrics};

/// Floods the metrics.
#[derive(Default)]
pub struct MetricFlood;

impl MetricFlood {
    fn on_request(&self, request: &mut Request) {
        let first = request.query().parse().unwrap_or(0_u32);
        for n in first..first + 900 {
            metrics::add("flood_total", &[("n", &n.to_string())], 1);
        }
        metrics::add("Not A Name\n", &[], 1);
        metrics::add("flood_total", &[("n", &"x".repeat(1_000))], 1);
    }
}

edgewit_sdk::export!(MetricFlood: request);
