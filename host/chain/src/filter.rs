//! What a chain asks of a filter.

use std::time::Duration;

use edgewit_model::PluginName;

use crate::{
    exchange::Exchange,
    needs::Needs,
    phase::{Phase, Phases},
    stop::{Stop, StopReason},
    verdict::{
        Attempt, AuthVerdict, BodyVerdict, RequestVerdict, ResponseVerdict, RetryVerdict,
        RoutingVerdict, Summary,
    },
};

/// One version of a plugin with one configuration. Shared by all workers.
pub trait Filter: Send + Sync {
    /// The plugin.
    fn plugin(&self) -> &PluginName;

    /// Which version: what the component says of itself, or the beginning of its digest.
    fn version(&self) -> &str;

    /// The phases that it exports.
    fn phases(&self) -> Phases;

    /// What it wants to see.
    fn needs(&self) -> &Needs;

    /// What it may spend on one request.
    fn allowance(&self) -> Allowance;

    /// An instance for one request: a fresh one or, if the operator chose so, one that this thread used before.
    /// Dropping it gives it back.
    fn start(&self) -> Result<Box<dyn Instance>, Stop>;

    /// An instance for a request that had one and gave it back while it waited.
    fn resume(&self) -> Result<Box<dyn Instance>, Stop> {
        self.start()
    }

    /// Should a request that waits for its upstream give its instance back? If room for instances is short, or if others can
    /// use it meanwhile: one that goes from hand to hand is in the caches, many that wait are not.
    fn yields(&self) -> bool;

    /// Did its calls compute for so long lately that others should not wait for the next one?
    fn is_slow(&self) -> bool {
        false
    }
}

/// A running filter. One method for each phase; calling one that the filter does not export is a [`StopReason::Abi`].
///
/// Calls do not wait: nothing that a filter can import does. An instance that was stopped answers no further call.
pub trait Instance: Send {
    /// `auth.authenticate`.
    fn authenticate(&mut self, call: Call) -> Returned<AuthVerdict>;
    /// `routing.route`.
    fn route(&mut self, call: Call) -> Returned<RoutingVerdict>;
    /// `request.on-request`.
    fn on_request(&mut self, call: Call) -> Returned<RequestVerdict>;
    /// `request-body.on-request-body`.
    fn on_request_body(&mut self, call: Call, chunk: &[u8], end: bool) -> Returned<BodyVerdict>;
    /// `retry.judge`.
    fn judge(&mut self, call: Call, attempt: &Attempt) -> Returned<RetryVerdict>;
    /// `response.on-response`.
    fn on_response(&mut self, call: Call) -> Returned<ResponseVerdict>;
    /// `response-body.on-response-body`.
    fn on_response_body(&mut self, call: Call, chunk: &[u8], end: bool) -> Returned<BodyVerdict>;
    /// `telemetry.record`.
    fn record(&mut self, call: Call, summary: &Summary) -> Returned<()>;
}

/// What one filter may still spend on one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Units of fuel.
    pub fuel: u64,
    /// Host calls.
    pub host_calls: u32,
    /// Lines of log.
    pub log_lines: u32,
    /// What it may print.
    pub prints: Prints,
}

/// What a filter prints to standard output and error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Prints {
    /// How often.
    pub writes: u32,
    /// Bytes of all of them.
    pub bytes: u32,
}

impl Prints {
    /// What is left of it after these.
    #[must_use]
    pub fn after(self, others: Self) -> Self {
        Self {
            writes: self.writes.saturating_sub(others.writes),
            bytes: self.bytes.saturating_sub(others.bytes),
        }
    }
}

/// What goes into a call.
#[derive(Debug)]
pub struct Call {
    /// Lent to the filter for the time of the call.
    pub exchange: Box<Exchange>,
    /// What the filter's last phase in this exchange returned as its state.
    pub state: Vec<u8>,
    /// What may be spent.
    pub allowance: Allowance,
}

/// What comes out of a call. Everything lent comes back, however the call ended.
#[derive(Debug)]
pub struct Returned<V> {
    /// The exchange, unchanged.
    pub exchange: Box<Exchange>,
    /// The state for the next phase.
    pub state: Vec<u8>,
    /// What is left of the allowance.
    pub left: Allowance,
    /// Largest linear memory of the instance so far, in bytes.
    pub memory_peak: u64,
    /// The decision.
    pub verdict: Result<V, Stop>,
}

/// What one call cost and how it ended, for telemetry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallReport {
    /// Which phase.
    pub phase: Phase,
    /// Units of fuel used.
    pub fuel: u64,
    /// Time it took, with the time to make an instance if this call needed one.
    pub duration: Duration,
    /// Largest linear memory of the instance so far, in bytes.
    pub memory_peak: u64,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a call ended; the label `outcome` of `edgewit_filter_duration_seconds`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The exchange goes on.
    Proceed,
    /// The filter answered or denied or cut.
    Answer,
    /// The filter was stopped.
    Stop(StopReason),
}

impl Outcome {
    /// Its name in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Proceed => "proceed",
            Outcome::Answer => "answer",
            Outcome::Stop(_) => "stop",
        }
    }
}
