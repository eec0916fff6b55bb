//! A running component and the calls of its phases.

use std::sync::Arc;

use edgewit_chain::{
    Allowance, Attempt, AuthVerdict, BodyVerdict, Call, Instance, Prints, RequestVerdict,
    ResponseVerdict, RetryVerdict, Returned, RoutingVerdict, Stop, StopReason, Summary,
};
use wasmtime::{Store, component};

use crate::{
    bindings::exports::edgewit::filter::{
        auth, request, request_body, response, response_body, retry, routing, telemetry,
    },
    convert,
    filter::Inner,
    indices::Indices,
    pack,
    state::State,
    stop, time,
};

/// A component with its store.
pub(crate) struct Running {
    pub(crate) store: Store<State>,
    pub(crate) instance: component::Instance,
    /// Requests that began with it, the one that it was made for among them.
    pub(crate) requests: u32,
    guests: Guests,
    first_memory: usize,
    /// Fuel of starting it, and what it printed then, charged to the first call.
    start_fuel: u64,
    start_prints: Prints,
}

/// Growth after which an instance is not used again, in bytes: what it keeps is no longer what it was made for. A filter that
/// rewrites a chunk of 64 KiB holds three of them.
const MAX_GROWTH: usize = 256 << 10;

#[derive(Default)]
struct Guests {
    auth: Option<auth::Guest>,
    routing: Option<routing::Guest>,
    request: Option<request::Guest>,
    request_body: Option<request_body::Guest>,
    retry: Option<retry::Guest>,
    response: Option<response::Guest>,
    response_body: Option<response_body::Guest>,
    telemetry: Option<telemetry::Guest>,
}

impl Running {
    pub(crate) fn new(store: Store<State>, instance: component::Instance) -> Self {
        let guests = Guests::default();
        Self {
            store,
            instance,
            requests: 1,
            guests,
            first_memory: 0,
            start_fuel: 0,
            start_prints: Prints::default(),
        }
    }

    /// Remembers what starting took, out of these.
    pub(crate) fn started(&mut self, fuel: u64, prints: Prints) {
        self.first_memory = self.store.data().limiter.memory();
        self.start_fuel = fuel.saturating_sub(self.store.get_fuel().unwrap_or(0));
        self.start_prints = prints.after(self.store.data().prints_left());
    }

    pub(crate) fn has_grown(&self) -> bool {
        self.store.data().limiter.memory() - self.first_memory > MAX_GROWTH
    }
}

/// An instance lent to one request.
pub(crate) struct WasmInstance {
    filter: Arc<Inner>,
    /// Where it goes when it is idle: a run may end on another thread than it began on.
    shard: usize,
    /// `None` after a trap: a component that was stopped cannot be entered again.
    running: Option<Running>,
}

impl WasmInstance {
    pub(crate) fn new(filter: Arc<Inner>, shard: usize, running: Running) -> Self {
        Self { filter, shard, running: Some(running) }
    }

    /// Lends the exchange to the store, sets the limits, asks, and takes everything back, however it ended.
    fn call<W, V>(
        &mut self,
        call: Call,
        ask: impl FnOnce(&mut Running, &Indices, &[u8]) -> Answered<W>,
        convert: impl FnOnce(W) -> Result<V, Stop>,
    ) -> Returned<V> {
        let Call { exchange, state, allowance } = call;
        let Some(mut running) = self.running.take() else {
            let stop = Stop::new(StopReason::Abi, "called after it was stopped");
            return Returned {
                exchange,
                state,
                left: allowance,
                memory_peak: 0,
                verdict: Err(stop),
            };
        };
        let limits = &self.filter.limits;
        let fuel = allowance.fuel.saturating_sub(std::mem::take(&mut running.start_fuel));
        time::begin(&mut running.store, limits.time);
        running.store.set_hostcall_fuel(limits.host_bytes.as_usize());
        let prints = allowance.prints.after(std::mem::take(&mut running.start_prints));
        let data = running.store.data_mut();
        data.allow(Allowance { prints, ..allowance });
        data.exchange = Some(exchange);
        let answered = match self.filter.set_fuel(&mut running.store, fuel) {
            Ok(()) => ask(&mut running, &self.filter.indices, &state),
            Err(stop) => Err(Failure::Stop(stop)),
        };
        let data = running.store.data();
        let left = Allowance {
            fuel: running.store.get_fuel().unwrap_or(0),
            prints: data.prints_left(),
            ..data.allowance
        };
        let memory_peak = running.store.data().limiter.memory() as u64;
        let exchange = running.store.data_mut().exchange.take().expect(LENT);
        self.filter.count_time(&running.store);
        let (verdict, state) = match answered {
            Ok((verdict, new_state)) => {
                self.running = Some(running);
                (convert(verdict), new_state.unwrap_or(state))
            }
            Err(Failure::Guest(message)) => {
                self.running = Some(running);
                let detail = crate::capability::clean(&message);
                (Err(Stop::new(StopReason::Error, detail)), state)
            }
            Err(Failure::Stop(stop)) => (Err(stop), state),
            Err(Failure::Wasm(error)) => {
                (Err(stop::classify(&error, &running.store.data().limiter)), state)
            }
        };
        Returned { exchange, state, left, memory_peak, verdict }
    }
}

const LENT: &str = "the exchange stays in the store during a call";

/// The verdict and the new state, or why there is none.
type Answered<W> = Result<(W, Option<Vec<u8>>), Failure>;

enum Failure {
    /// The guest returned an error.
    Guest(String),
    /// The guest was stopped.
    Wasm(wasmtime::Error),
    /// The host would not call it.
    Stop(Stop),
}

/// The bound guest of one phase: loaded when the phase is first called in this instance.
macro_rules! guest {
    ($running:ident, $indices:ident, $phase:ident) => {{
        let missing =
            || Failure::Stop(Stop::new(StopReason::Abi, "called in a phase it does not export"));
        if $running.guests.$phase.is_none() {
            let indices = $indices.$phase.as_ref().ok_or_else(missing)?;
            let guest = indices.load(&mut $running.store, &$running.instance);
            $running.guests.$phase = Some(guest.map_err(Failure::Wasm)?);
        }
        $running.guests.$phase.as_ref().ok_or_else(missing)?
    }};
}

/// Calls a phase function whose result is `result<outcome, string>`.
macro_rules! ask {
    ($self:ident, $call:ident, $phase:ident.$function:ident($($arg:expr),*), $convert:expr) => {
        $self.call(
            $call,
            |running, indices, state| {
                let guest = guest!(running, indices, $phase);
                match guest.$function(&mut running.store, $($arg,)* state) {
                    Ok(Ok(outcome)) => Ok((outcome.verdict, outcome.state)),
                    Ok(Err(message)) => Err(Failure::Guest(message)),
                    Err(error) => Err(Failure::Wasm(error)),
                }
            },
            $convert,
        )
    };
}

impl Instance for WasmInstance {
    fn authenticate(&mut self, call: Call) -> Returned<AuthVerdict> {
        let head = pack::request(&call.exchange, &self.filter.needs);
        ask!(self, call, auth.call_authenticate(&head), convert::auth)
    }

    fn route(&mut self, call: Call) -> Returned<RoutingVerdict> {
        let head = pack::request(&call.exchange, &self.filter.needs);
        ask!(self, call, routing.call_route(&head), convert::routing)
    }

    fn on_request(&mut self, call: Call) -> Returned<RequestVerdict> {
        let head = pack::request(&call.exchange, &self.filter.needs);
        ask!(self, call, request.call_on_request(&head), convert::request)
    }

    fn on_request_body(&mut self, call: Call, chunk: &[u8], end: bool) -> Returned<BodyVerdict> {
        ask!(self, call, request_body.call_on_request_body(chunk, end), convert::request_body)
    }

    fn judge(&mut self, call: Call, attempt: &Attempt) -> Returned<RetryVerdict> {
        let head = pack::response(&call.exchange, &self.filter.needs);
        let status = call.exchange.response.as_ref().map_or(0, |r| r.status.as_u16());
        let attempt = convert::attempt(attempt, status, head);
        ask!(self, call, retry.call_judge(&attempt), |v| Ok(convert::retry(v)))
    }

    fn on_response(&mut self, call: Call) -> Returned<ResponseVerdict> {
        let head = pack::response(&call.exchange, &self.filter.needs);
        let status = call.exchange.response.as_ref().map_or(0, |r| r.status.as_u16());
        ask!(self, call, response.call_on_response(status, &head), convert::response)
    }

    fn on_response_body(&mut self, call: Call, chunk: &[u8], end: bool) -> Returned<BodyVerdict> {
        ask!(self, call, response_body.call_on_response_body(chunk, end), convert::response_body)
    }

    fn record(&mut self, call: Call, summary: &Summary) -> Returned<()> {
        let head = pack::request(&call.exchange, &self.filter.needs);
        let summary = convert::summary(summary, head);
        self.call(
            call,
            |running, indices, state| {
                let guest = guest!(running, indices, telemetry);
                match guest.call_record(&mut running.store, &summary, state) {
                    Ok(Ok(())) => Ok(((), None)),
                    Ok(Err(message)) => Err(Failure::Guest(message)),
                    Err(error) => Err(Failure::Wasm(error)),
                }
            },
            Ok,
        )
    }
}

impl Drop for WasmInstance {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            self.filter.take_back(self.shard, running);
        }
    }
}
