//! Counts further attempts.

use std::sync::{Arc, OnceLock};

use edgewit_telemetry::{Counter, Metrics, families};

/// `edgewit_retries_total`, by result and by the reason of the attempt before.
#[derive(Debug)]
pub(crate) struct Retries {
    metrics: Arc<Metrics>,
    counters: [[OnceLock<Counter>; REASONS.len()]; 2],
}

const REASONS: [&str; 7] =
    ["connect", "reset", "timeout", "protocol", "unavailable", "request", "status"];

impl Retries {
    pub(crate) fn new(metrics: &Arc<Metrics>) -> Self {
        Self { metrics: Arc::clone(metrics), counters: Default::default() }
    }

    pub(crate) fn count(&self, succeeded: bool, reason: &'static str) {
        let index = REASONS.iter().position(|known| *known == reason);
        let of_result = self.counters.get(usize::from(succeeded));
        let Some(counter) = of_result.zip(index).and_then(|(all, index)| all.get(index)) else {
            return;
        };
        let result = if succeeded { "ok" } else { "failed" };
        let make =
            || self.metrics.counter(&families::RETRIES, &[("result", result), ("reason", reason)]);
        counter.get_or_init(make).increment();
    }
}
