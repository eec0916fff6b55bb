mod slow;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use edgewit_model::{Authority, ListenerName, NormalizedPath, RouteName, UpstreamName};
use http::{HeaderValue, Method, StatusCode, Version};

use edgewit_model::OnError;

use super::{ask::MAX_STATE, *};
use crate::{
    AuthVerdict, BodyMode, BodyPass, BodyPipe, CallReport, Direction, Filter, Link, Needs,
    Observer, Prints, RequestVerdict, ResponseHead, Returned, RoutingVerdict, Scheme,
    SummaryEnding,
};

/// What a filter does, by the name of its plugin.
#[derive(Clone, Default)]
struct Behaviour {
    phases: Vec<Phase>,
    subject: Option<&'static str>,
    deny: bool,
    deny_path: Option<&'static str>,
    rewrite: Option<&'static str>,
    upstream: Option<&'static str>,
    answer: bool,
    stop_in: Option<Phase>,
    bad_edit: bool,
    replace_response: bool,
    fuel: u64,
    body: BodyMode,
    body_replace: Option<&'static str>,
    state: usize,
    slow: bool,
}

struct Fake {
    plugin: PluginName,
    needs: Needs,
    behaviour: Behaviour,
    calls: Arc<Mutex<Vec<String>>>,
    alive: Arc<AtomicUsize>,
}

struct FakeInstance {
    plugin: PluginName,
    behaviour: Behaviour,
    calls: Arc<Mutex<Vec<String>>>,
    alive: Arc<AtomicUsize>,
}

impl Filter for Fake {
    fn plugin(&self) -> &PluginName {
        &self.plugin
    }
    fn version(&self) -> &str {
        "1"
    }
    fn phases(&self) -> Phases {
        self.behaviour.phases.iter().copied().collect()
    }
    fn needs(&self) -> &Needs {
        &self.needs
    }
    fn allowance(&self) -> Allowance {
        Allowance { fuel: 100, host_calls: 10, log_lines: 10, prints: Prints::default() }
    }
    fn start(&self) -> Result<Box<dyn Instance>, Stop> {
        self.alive.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(FakeInstance {
            plugin: self.plugin.clone(),
            behaviour: self.behaviour.clone(),
            calls: Arc::clone(&self.calls),
            alive: Arc::clone(&self.alive),
        }))
    }
    fn yields(&self) -> bool {
        true
    }
    fn is_slow(&self) -> bool {
        self.behaviour.slow
    }
}

impl Drop for FakeInstance {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

impl FakeInstance {
    fn answer<V>(&self, phase: Phase, call: Call, verdict: V) -> Returned<V> {
        let state = String::from_utf8_lossy(&call.state).into_owned();
        self.calls.lock().unwrap().push(format!("{}:{phase}{state}", self.plugin.as_str()));
        let stopped = self.behaviour.stop_in == Some(phase);
        let fuel = call.allowance.fuel.saturating_sub(self.behaviour.fuel);
        let out = call.allowance.fuel < self.behaviour.fuel;
        let verdict = match () {
            () if stopped => Err(Stop::new(StopReason::Trap, "unreachable")),
            () if out => Err(Stop::new(StopReason::Fuel, "out of fuel")),
            () => Ok(verdict),
        };
        Returned {
            exchange: call.exchange,
            state: vec![b'!'; self.behaviour.state],
            left: Allowance { fuel, ..call.allowance },
            memory_peak: 0,
            verdict,
        }
    }

    fn edits(&self) -> Vec<Edit> {
        let name = if self.behaviour.bad_edit { "content-length" } else { "x-seen" };
        vec![Edit::Append(name.into(), self.plugin.as_str().into())]
    }
}

fn answer(status: u16) -> Answer {
    Answer {
        status: StatusCode::from_u16(status).unwrap(),
        fields: HeaderOut::default(),
        body: Bytes::from_static(b"answer"),
    }
}

impl Instance for FakeInstance {
    fn authenticate(&mut self, call: Call) -> Returned<AuthVerdict> {
        let path = call.exchange.path.as_str() == self.behaviour.deny_path.unwrap_or("-");
        let verdict = if self.behaviour.deny || path {
            AuthVerdict::Deny(answer(403))
        } else {
            let subject = self.behaviour.subject.map(str::to_owned);
            AuthVerdict::Allow { subject, edits: Vec::new() }
        };
        self.answer(Phase::Auth, call, verdict)
    }
    fn route(&mut self, call: Call) -> Returned<RoutingVerdict> {
        let verdict = RoutingVerdict::Choose {
            upstream: self.behaviour.upstream.map(str::to_owned),
            path: self.behaviour.rewrite.map(str::to_owned),
            edits: Vec::new(),
        };
        self.answer(Phase::Routing, call, verdict)
    }
    fn on_request(&mut self, call: Call) -> Returned<RequestVerdict> {
        let verdict = if self.behaviour.answer {
            RequestVerdict::Answer(answer(429))
        } else {
            RequestVerdict::Proceed(self.edits())
        };
        self.answer(Phase::Request, call, verdict)
    }
    fn on_request_body(&mut self, call: Call, chunk: &[u8], end: bool) -> Returned<BodyVerdict> {
        let text = String::from_utf8_lossy(chunk).into_owned();
        self.calls.lock().unwrap().push(format!("{text}{}", if end { "." } else { "" }));
        let verdict = match self.behaviour.body_replace {
            Some(text) => BodyVerdict::Replace(Bytes::from_static(text.as_bytes())),
            None => BodyVerdict::Pass,
        };
        self.answer(Phase::RequestBody, call, verdict)
    }
    fn judge(&mut self, call: Call, _: &Attempt) -> Returned<RetryVerdict> {
        self.answer(Phase::Retry, call, RetryVerdict::Again { after_ms: 5, elsewhere: true })
    }
    fn on_response(&mut self, call: Call) -> Returned<ResponseVerdict> {
        let verdict = if self.behaviour.replace_response {
            ResponseVerdict::Replace(answer(418))
        } else {
            ResponseVerdict::Proceed { status: None, edits: self.edits() }
        };
        self.answer(Phase::Response, call, verdict)
    }
    fn on_response_body(&mut self, call: Call, _: &[u8], _: bool) -> Returned<BodyVerdict> {
        self.answer(Phase::ResponseBody, call, BodyVerdict::Answer(answer(500)))
    }
    fn record(&mut self, call: Call, _: &Summary) -> Returned<()> {
        self.answer(Phase::Telemetry, call, ())
    }
}

struct Silent;

impl Observer for Silent {
    fn called(&self, _: &CallReport) {}
    fn stopped(&self, _: &CallReport, _: &Stop, _: &str) {}
}

struct Rig {
    run: Run,
    calls: Arc<Mutex<Vec<String>>>,
    alive: Arc<AtomicUsize>,
}

const ALL: [Phase; 4] = [Phase::Auth, Phase::Request, Phase::Response, Phase::Telemetry];

fn rig(filters: &[(&str, OnError, Behaviour)]) -> Rig {
    rig_with(filters, None)
}

fn rig_with(filters: &[(&str, OnError, Behaviour)], breaker: Option<&Arc<crate::Breaker>>) -> Rig {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let alive = Arc::new(AtomicUsize::new(0));
    let links = filters.iter().map(|(name, on_error, behaviour)| Link {
        filter: Arc::new(Fake {
            plugin: PluginName::new(name).unwrap(),
            needs: Needs {
                request_body: behaviour.body,
                response_body: behaviour.body,
                ..Needs::default()
            },
            behaviour: behaviour.clone(),
            calls: Arc::clone(&calls),
            alive: Arc::clone(&alive),
        }),
        on_error: *on_error,
        observer: Arc::new(Silent),
        breaker: breaker.cloned(),
    });
    let exchange = Exchange {
        method: Method::GET,
        scheme: Scheme::Http,
        authority: Authority::new("example.com").unwrap(),
        path: NormalizedPath::new("/public").unwrap(),
        query: None,
        fields: HeaderMap::new(),
        protocol: Version::HTTP_11,
        client: [127, 0, 0, 1].into(),
        listener: ListenerName::new("web").unwrap(),
        route: RouteName::new("route").unwrap(),
        request_id: "id".into(),
        subject: None,
        upstream: None,
        response: None,
        client_identity: None,
    };
    let chain = Arc::new(Chain::new(links.collect(), 150));
    Rig { run: chain.begin(Box::new(exchange)), calls, alive }
}

impl Rig {
    fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    fn request(&mut self) -> Passage {
        self.run.request_side(&[UpstreamName::new("blue").unwrap()])
    }

    /// The response side with a host answer for each failure.
    fn response(&mut self) -> Vec<&'static str> {
        let head = |status| ResponseHead {
            status: StatusCode::from_u16(status).unwrap(),
            fields: HeaderMap::new(),
        };
        if self.run.exchange().response.is_none() {
            self.run.exchange_mut().response = Some(head(200));
        }
        let mut seen = Vec::new();
        loop {
            match self.run.response_side() {
                ResponsePassage::Done => return seen,
                ResponsePassage::Replaced(_) => seen.push("replaced"),
                ResponsePassage::Failed(_) => {
                    self.run.exchange_mut().response = Some(head(503));
                    seen.push("failed");
                }
            }
        }
    }
}

fn with(phases: &[Phase]) -> Behaviour {
    Behaviour { phases: phases.to_vec(), ..Behaviour::default() }
}

const SUMMARY: Summary = Summary {
    status: 200,
    ending: SummaryEnding::Complete,
    duration_us: 1,
    attempts: 1,
    request_bytes: 0,
    response_bytes: 0,
};

#[test]
fn order_is_forward_and_back() {
    let mut rig = rig(&[("a", OnError::Reject, with(&ALL)), ("b", OnError::Reject, with(&ALL))]);
    assert!(matches!(rig.request(), Passage::Proceed));
    rig.response();
    rig.run.finish(&SUMMARY);
    let expected = [
        "a:auth",
        "a:request",
        "b:auth",
        "b:request",
        "b:response",
        "a:response",
        "a:telemetry",
        "b:telemetry",
    ];
    assert_eq!(rig.calls(), expected);
    let seen: Vec<&HeaderValue> = rig.run.exchange().fields.get_all("x-seen").iter().collect();
    assert_eq!(seen, ["a", "b"]);
}

#[test]
fn a_denial_is_final() {
    let deny = Behaviour { deny: true, ..with(&ALL) };
    let mut rig = rig(&[
        ("a", OnError::Reject, with(&ALL)),
        ("b", OnError::Reject, deny),
        ("c", OnError::Reject, with(&ALL)),
    ]);
    assert!(matches!(rig.request(), Passage::Answer(a) if a.status == 403));
    rig.response();
    assert_eq!(rig.calls(), ["a:auth", "a:request", "b:auth", "b:response", "a:response"]);
}

#[test]
fn a_rewritten_path_is_authorised_again() {
    let auth = Behaviour { deny_path: Some("/admin"), ..with(&[Phase::Auth]) };
    let route = Behaviour { rewrite: Some("/x/../admin"), ..with(&[Phase::Routing]) };
    let mut rig = rig(&[("auth", OnError::Reject, auth), ("route", OnError::Reject, route)]);
    assert!(matches!(rig.request(), Passage::Answer(a) if a.status == 403));
    assert_eq!(rig.calls(), ["auth:auth", "route:routing", "auth:auth"]);
}

#[test]
fn only_listed_upstreams_can_be_chosen() {
    for (name, expected) in [("blue", true), ("green", false)] {
        let route = Behaviour { upstream: Some(name), ..with(&[Phase::Routing]) };
        let mut rig = rig(&[("r", OnError::Reject, route)]);
        assert_eq!(matches!(rig.request(), Passage::Proceed), expected, "{name}");
        let chosen = rig.run.exchange().upstream.as_ref().map(UpstreamName::as_str);
        assert_eq!(chosen, expected.then_some(name));
    }
}

#[test]
fn a_failure_rejects_or_is_skipped() {
    for phase in [Phase::Auth, Phase::Request] {
        for on_error in [OnError::Reject, OnError::SkipEvenAuth] {
            let bad = Behaviour { stop_in: Some(phase), ..with(&ALL) };
            let mut rig = rig(&[("bad", on_error, bad), ("good", OnError::Reject, with(&ALL))]);
            let passage = rig.request();
            match on_error {
                OnError::Reject => {
                    let failed = Failed {
                        plugin: PluginName::new("bad").unwrap(),
                        reason: StopReason::Trap,
                    };
                    assert!(matches!(passage, Passage::Failed(f) if f == failed));
                }
                _ => assert!(matches!(passage, Passage::Proceed), "{phase}"),
            }
            rig.response();
            assert!(!rig.calls().contains(&"bad:response".to_owned()), "not asked again");
        }
    }
}

#[test]
fn an_edit_that_is_not_allowed_is_a_failure() {
    let bad = Behaviour { bad_edit: true, ..with(&[Phase::Request]) };
    let mut rig = rig(&[("bad", OnError::Reject, bad)]);
    assert!(matches!(rig.request(), Passage::Failed(f) if f.reason == StopReason::Abi));
}

#[test]
fn filters_before_a_failed_or_replacing_one_see_the_new_answer() {
    let bad = Behaviour { stop_in: Some(Phase::Response), ..with(&[Phase::Response]) };
    let tea = Behaviour { replace_response: true, ..with(&[Phase::Response]) };
    let mut rig = rig(&[
        ("outer", OnError::Reject, with(&[Phase::Response])),
        ("tea", OnError::Reject, tea),
        ("bad", OnError::Reject, bad),
    ]);
    assert!(matches!(rig.request(), Passage::Proceed));
    assert_eq!(rig.response(), ["failed", "replaced"]);
    assert_eq!(rig.calls(), ["bad:response", "tea:response", "outer:response"]);
    let head = rig.run.exchange().response.as_ref().unwrap();
    assert_eq!(head.status, 418);
    assert_eq!(head.fields["x-seen"], "outer");
}

#[test]
fn fuel_is_counted_for_each_plugin_and_over_the_chain() {
    let eager = |fuel| Behaviour { fuel, ..with(&[Phase::Request, Phase::Response]) };
    let mut one = rig(&[("a", OnError::Reject, eager(60))]);
    assert!(matches!(one.request(), Passage::Proceed));
    assert_eq!(one.response(), ["failed"], "60 of 100 are spent, 60 more are not there");
    let mut two = rig(&[("a", OnError::Reject, eager(90)), ("b", OnError::Reject, eager(90))]);
    assert!(
        matches!(two.request(), Passage::Failed(f) if f.reason == StopReason::Fuel),
        "180 exceed the 150 of the request, though neither plugin its 100"
    );
}

#[test]
fn telemetry_is_told_even_if_the_exchange_used_up_the_fuel() {
    let phases = [Phase::Request, Phase::Response, Phase::Telemetry];
    let eager = Behaviour { fuel: 60, ..with(&phases) };
    let mut rig = rig(&[("a", OnError::Reject, eager)]);
    rig.request();
    assert_eq!(rig.response(), ["failed"]);
    rig.run.finish(&SUMMARY);
    assert_eq!(rig.run.reports().next().unwrap().outcome, Some(Outcome::Proceed));
}

#[test]
fn state_travels_and_is_bounded() {
    let keeper = |state| Behaviour { state, ..with(&[Phase::Request, Phase::Response]) };
    let mut small = rig(&[("a", OnError::Reject, keeper(2))]);
    small.request();
    small.response();
    assert_eq!(small.calls(), ["a:request", "a:response!!"]);
    let mut large = rig(&[("a", OnError::Reject, keeper(MAX_STATE + 1))]);
    assert!(matches!(large.request(), Passage::Failed(f) if f.reason == StopReason::Abi));
}

#[test]
fn instances_are_given_back() {
    let mut rig =
        rig(&[("a", OnError::Reject, with(&ALL)), ("b", OnError::Reject, with(&[Phase::Request]))]);
    rig.request();
    assert_eq!(rig.alive.load(Ordering::Relaxed), 1, "`b` has nothing more to do");
    rig.run.yield_instances();
    assert_eq!(rig.alive.load(Ordering::Relaxed), 0, "room is short while the upstream works");
    rig.response();
    rig.run.finish(&SUMMARY);
    assert_eq!(rig.alive.load(Ordering::Relaxed), 0);
}

#[test]
fn the_last_judge_proposes() {
    let judge = with(&[Phase::Retry]);
    let mut rig = rig(&[("a", OnError::Reject, judge.clone()), ("b", OnError::Reject, judge)]);
    rig.request();
    let attempt = Attempt {
        number: 1,
        ending: crate::Ending::Failure(crate::Failure::Connect),
        elapsed_ms: 0,
        remaining_ms: 100,
    };
    let proposal = rig.run.judge(&attempt).unwrap();
    let after = Duration::from_millis(5);
    assert_eq!(proposal, Some(Proposal::Again { after, elsewhere: true }));
    assert_eq!(rig.calls(), ["b:retry"]);
}

fn push(rig: &mut Rig, chunks: &[&'static str]) -> Result<String, String> {
    let mut pipe = BodyPipe::new(&rig.run, Direction::Request).expect("a filter wants the body");
    let mut out = String::new();
    for (n, chunk) in chunks.iter().enumerate() {
        let end = n + 1 == chunks.len();
        match pipe.push(&mut rig.run, Bytes::from_static(chunk.as_bytes()), end) {
            BodyPass::Forward(parts) => {
                for part in parts {
                    out.push_str(std::str::from_utf8(&part).unwrap());
                }
            }
            other => return Err(format!("{other:?}")),
        }
    }
    assert!(!pipe.holds(), "at the end nothing is held back");
    Ok(out)
}

#[test]
fn bodies_pass_in_each_mode() {
    let body =
        |body, replace| Behaviour { body, body_replace: replace, ..with(&[Phase::RequestBody]) };
    let cases: [(BodyMode, Option<&'static str>, &str, &[&str]); 6] = [
        (BodyMode::Stream, None, "abcdef", &["abc", "def", "."]),
        (BodyMode::Stream, Some("x"), "xxx", &["abc", "def", "."]),
        (BodyMode::Buffer(6), None, "abcdef", &["abcdef."]),
        (BodyMode::Buffer(6), Some("x"), "x", &["abcdef."]),
        (BodyMode::Peek(4), None, "abcdef", &["abcd"]),
        (BodyMode::Peek(4), Some("x"), "xef", &["abcd"]),
    ];
    for (mode, replace, expected, seen) in cases {
        let mut rig = rig(&[("a", OnError::Reject, body(mode, replace))]);
        rig.request();
        assert_eq!(push(&mut rig, &["abc", "def", ""]).as_deref(), Ok(expected), "{mode:?}");
        let shown: Vec<String> = rig.calls().into_iter().filter(|c| !c.contains(':')).collect();
        assert_eq!(shown, seen, "{mode:?}");
    }
}

#[test]
fn a_body_longer_than_a_buffer_is_too_large() {
    let buffer = Behaviour { body: BodyMode::Buffer(5), ..with(&[Phase::RequestBody]) };
    let mut rig = rig(&[("a", OnError::Reject, buffer)]);
    rig.request();
    assert!(push(&mut rig, &["abc", "def"]).unwrap_err().contains("TooLarge(5)"));
}

#[test]
fn a_skipped_filter_lets_the_body_pass_as_it_was() {
    for mode in [BodyMode::Stream, BodyMode::Buffer(9), BodyMode::Peek(4)] {
        let bad = Behaviour {
            body: mode,
            stop_in: Some(Phase::RequestBody),
            ..with(&[Phase::RequestBody])
        };
        let mut rig = rig(&[("a", OnError::Skip, bad)]);
        rig.request();
        assert_eq!(push(&mut rig, &["abc", "def", ""]).as_deref(), Ok("abcdef"), "{mode:?}");
    }
}

#[test]
fn a_stream_that_has_begun_cannot_be_answered() {
    let late = Behaviour { body: BodyMode::Stream, ..with(&[Phase::ResponseBody]) };
    let mut rig = rig(&[("a", OnError::Reject, late)]);
    rig.request();
    rig.response();
    let mut pipe = BodyPipe::new(&rig.run, Direction::Response).unwrap();
    let pass = pipe.push(&mut rig.run, Bytes::from_static(b"x"), true);
    assert!(matches!(pass, BodyPass::Failed(f) if f.reason == StopReason::Abi));
}

/// A breaker that has seen too much after one stop.
fn strict() -> Arc<crate::Breaker> {
    let rule = edgewit_model::Quarantine {
        stops: 1,
        probe: std::time::Duration::from_secs(3_600),
        ..Default::default()
    };
    crate::Breaker::new(Some(rule), Box::new(|_| ()))
}

#[test]
fn a_filter_in_quarantine_is_not_called_and_its_on_error_happens() {
    let cases = [(OnError::Reject, true), (OnError::Skip, false), (OnError::SkipEvenAuth, false)];
    for (on_error, fails) in cases {
        let breaker = strict();
        let trap =
            Behaviour { phases: ALL.to_vec(), stop_in: Some(Phase::Auth), ..Behaviour::default() };
        let _ = rig_with(&[("a", on_error, trap)], Some(&breaker)).run.request_side(&[]);
        assert!(breaker.is_open());
        let well = Behaviour { phases: ALL.to_vec(), ..Behaviour::default() };
        let mut rig = rig_with(&[("a", on_error, well)], Some(&breaker));
        let passage = rig.run.request_side(&[]);
        let reason = StopReason::Quarantine;
        match passage {
            Passage::Failed(failed) => assert!(fails && failed.reason == reason, "{on_error:?}"),
            other => assert!(!fails && matches!(other, Passage::Proceed), "{on_error:?}"),
        }
        rig.run.finish(&SUMMARY);
        assert_eq!(*rig.calls.lock().unwrap(), Vec::<String>::new(), "{on_error:?}");
        let report = rig.run.reports().next().unwrap();
        assert_eq!(report.outcome, Some(Outcome::Stop(reason)));
    }
}
