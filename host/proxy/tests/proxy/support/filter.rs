//! Filters that are Rust closures.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use edgewit_chain::{
    Allowance, Answer, Attempt, AuthVerdict, BodyVerdict, Call, Exchange, Filter, HeaderOut,
    Instance, Needs, Phase, Phases, Prints, RequestVerdict, ResponseVerdict, RetryVerdict,
    Returned, RoutingVerdict, Stop, StopReason, Summary,
};
use edgewit_model::PluginName;
use http::StatusCode;

type OnRequest = dyn Fn(&Exchange) -> Result<RequestVerdict, Stop> + Send + Sync;
type OnBody = dyn Fn(&[u8], bool) -> Result<BodyVerdict, Stop> + Send + Sync;
type OnResponse = dyn Fn(&Exchange) -> Result<ResponseVerdict, Stop> + Send + Sync;
type OnRoute = dyn Fn(&Exchange) -> RoutingVerdict + Send + Sync;
type OnRecord = dyn Fn(&Summary) + Send + Sync;
type OnRetry = dyn Fn(&Exchange, &Attempt) -> RetryVerdict + Send + Sync;

/// A filter whose phases are closures; those that are not set are not exported.
#[derive(Default)]
pub(crate) struct Native {
    pub(crate) name: &'static str,
    pub(crate) needs: Needs,
    pub(crate) on_request: Option<Box<OnRequest>>,
    pub(crate) on_request_body: Option<Box<OnBody>>,
    pub(crate) on_response: Option<Box<OnResponse>>,
    pub(crate) on_response_body: Option<Box<OnBody>>,
    pub(crate) on_retry: Option<Box<OnRetry>>,
    pub(crate) seen: Option<Seen>,
    pub(crate) on_route: Option<Box<OnRoute>>,
    /// Its calls are made where nobody else waits.
    pub(crate) slow: bool,
    pub(crate) on_record: Option<Box<OnRecord>>,
}

/// What the telemetry phase was told, in order.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<Vec<Summary>>>);

impl Seen {
    pub(crate) fn all(&self) -> Vec<Summary> {
        self.0.lock().unwrap().clone()
    }
}

/// An answer of a filter.
pub(crate) fn answer(status: u16, body: &'static str) -> Answer {
    Answer {
        status: StatusCode::from_u16(status).unwrap(),
        fields: HeaderOut::validate([("x-by", b"filter".as_slice())]).unwrap(),
        body: Bytes::from_static(body.as_bytes()),
    }
}

struct Live(Arc<Native>, PluginName, Phases);

struct Running(Arc<Native>);

impl Native {
    pub(crate) fn into_filter(self) -> Arc<dyn Filter> {
        let name = if self.name.is_empty() { "native" } else { self.name };
        let phases = [
            (Phase::Request, self.on_request.is_some()),
            (Phase::RequestBody, self.on_request_body.is_some()),
            (Phase::Retry, self.on_retry.is_some()),
            (Phase::Response, self.on_response.is_some()),
            (Phase::ResponseBody, self.on_response_body.is_some()),
            (Phase::Telemetry, self.seen.is_some() || self.on_record.is_some()),
            (Phase::Routing, self.on_route.is_some()),
        ];
        let phases = phases.into_iter().filter(|(_, is_there)| *is_there).map(|(phase, _)| phase);
        let phases = phases.collect();
        Arc::new(Live(Arc::new(self), PluginName::new(name).unwrap(), phases))
    }
}

impl Filter for Live {
    fn plugin(&self) -> &PluginName {
        &self.1
    }

    fn version(&self) -> &str {
        "1"
    }

    fn phases(&self) -> Phases {
        self.2
    }

    fn needs(&self) -> &Needs {
        &self.0.needs
    }

    fn allowance(&self) -> Allowance {
        Allowance { fuel: 1_000, host_calls: 10, log_lines: 10, prints: Prints::default() }
    }

    fn start(&self) -> Result<Box<dyn Instance>, Stop> {
        Ok(Box::new(Running(Arc::clone(&self.0))))
    }

    fn yields(&self) -> bool {
        true
    }

    fn is_slow(&self) -> bool {
        self.0.slow
    }
}

fn returned<V>(call: Call, verdict: Result<V, Stop>) -> Returned<V> {
    let mut left = call.allowance;
    left.fuel = left.fuel.saturating_sub(7);
    Returned { exchange: call.exchange, state: call.state, left, memory_peak: 1, verdict }
}

fn absent<V>() -> Result<V, Stop> {
    Err(Stop::new(StopReason::Abi, "not exported"))
}

impl Instance for Running {
    fn authenticate(&mut self, call: Call) -> Returned<AuthVerdict> {
        returned(call, absent())
    }

    fn route(&mut self, call: Call) -> Returned<RoutingVerdict> {
        let verdict = self.0.on_route.as_ref().map_or_else(absent, |on| Ok(on(&call.exchange)));
        returned(call, verdict)
    }

    fn on_request(&mut self, call: Call) -> Returned<RequestVerdict> {
        let verdict = self.0.on_request.as_ref().map_or_else(absent, |on| on(&call.exchange));
        returned(call, verdict)
    }

    fn on_request_body(&mut self, call: Call, chunk: &[u8], end: bool) -> Returned<BodyVerdict> {
        let verdict = self.0.on_request_body.as_ref().map_or_else(absent, |on| on(chunk, end));
        returned(call, verdict)
    }

    fn judge(&mut self, call: Call, attempt: &Attempt) -> Returned<RetryVerdict> {
        let on = self.0.on_retry.as_ref();
        let verdict = on.map_or_else(absent, |on| Ok(on(&call.exchange, attempt)));
        returned(call, verdict)
    }

    fn on_response(&mut self, call: Call) -> Returned<ResponseVerdict> {
        let verdict = self.0.on_response.as_ref().map_or_else(absent, |on| on(&call.exchange));
        returned(call, verdict)
    }

    fn on_response_body(&mut self, call: Call, chunk: &[u8], end: bool) -> Returned<BodyVerdict> {
        let verdict = self.0.on_response_body.as_ref().map_or_else(absent, |on| on(chunk, end));
        returned(call, verdict)
    }

    fn record(&mut self, call: Call, summary: &Summary) -> Returned<()> {
        if let Some(seen) = &self.0.seen {
            seen.0.lock().unwrap().push(*summary);
        }
        if let Some(on) = &self.0.on_record {
            on(summary);
        }
        returned(call, Ok(()))
    }
}
