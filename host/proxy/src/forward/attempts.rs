//! Whether it is tried again.

use std::{rc::Rc, sync::Arc, time::Duration};

use edgewit_chain::{Attempt, Ending, Failure, Phase, Phases, Proposal, ResponseHead, Run};
use edgewit_upstream::{
    self as upstream, Decision, InBody, Outcome, RetryPermit, SendError, decide,
};
use http::{HeaderMap, Response, header::RETRY_AFTER};
use tokio::time::Instant;

use crate::{
    problem::Problem,
    random,
    shared_run::SharedRun,
    snapshot::{LiveRoute, LiveUpstream},
    worker::Context,
};

const RETRY: Phases = Phases::NONE.with(Phase::Retry);

/// The attempts of one exchange and what decides about the next.
pub(super) struct Attempts<'a> {
    context: &'a Context,
    route: &'a Arc<LiveRoute>,
    live: &'a LiveUpstream,
    run: &'a Rc<SharedRun>,
    began: Instant,
    deadline: Instant,
    number: u32,
    /// Why the attempt before was not enough.
    reason: Option<&'static str>,
    /// Leave for the attempt that runs, if it is not the first.
    leave: Option<RetryPermit>,
}

impl<'a> Attempts<'a> {
    /// `began`: when the request's head had come.
    pub(super) fn new(
        context: &'a Context,
        route: &'a Arc<LiveRoute>,
        live: &'a LiveUpstream,
        run: &'a Rc<SharedRun>,
        began: Instant,
    ) -> Self {
        live.upstream().budget().request(Instant::now());
        let deadline = began + route.route().timeout;
        Self { context, route, live, run, began, deadline, number: 0, reason: None, leave: None }
    }

    /// When the next attempt must have brought a response.
    pub(super) fn deadline(&self, now: Instant) -> Instant {
        let per_try = self.route.route().retry.per_try.map(|limit| now + limit);
        per_try.map_or(self.deadline, |own| own.min(self.deadline))
    }

    /// Whether another attempt follows the one that ended like this.
    pub(super) async fn judge(
        &mut self,
        sent: &Result<Response<InBody>, SendError>,
        replayable: bool,
    ) -> Result<Decision, Problem> {
        self.number += 1;
        self.leave = None;
        let outcome = match sent {
            Ok(response) => Outcome::Response(response.status().as_u16()),
            Err(error) => Outcome::Failed(error.kind, error.processed),
        };
        if let Some(reason) = self.reason.take() {
            self.context.shared.retries.count(succeeded(outcome), reason);
        }
        let proposal = self.propose(sent).await?;
        let run = self.run.borrow();
        let attempt = upstream::Attempt {
            method: &run.exchange().method,
            outcome,
            number: self.number,
            remaining: self.deadline.saturating_duration_since(Instant::now()),
            replayable,
            retry_after: sent.as_ref().ok().and_then(|response| retry_after(response.headers())),
        };
        let mut leave = None;
        let granted = |_| {
            leave = self.leave();
            leave.is_some()
        };
        let policy = &self.route.route().retry;
        let decision = decide(policy, &attempt, proposal, random::number(), granted);
        drop(run);
        if matches!(decision, Decision::Again { .. }) {
            self.leave = leave;
            self.reason = Some(reason(outcome));
        }
        Ok(decision)
    }

    /// Leave for a further attempt, by circuit and budget.
    pub(super) fn leave(&self) -> Option<RetryPermit> {
        let upstream = self.live.upstream();
        let leave = upstream.circuit().try_retry()?;
        let percent = self.route.route().retry.budget_percent;
        let granted = upstream.budget().try_retry(percent, Instant::now());
        if !granted {
            self.live.budget_exhausted();
        }
        granted.then_some(leave)
    }

    /// What the filters think of it.
    async fn propose(
        &self,
        sent: &Result<Response<InBody>, SendError>,
    ) -> Result<Option<upstream::Proposal>, Problem> {
        self.run.here().await;
        if !self.run.borrow().phases().has(Phase::Retry) {
            return Ok(None);
        }
        let now = Instant::now();
        let attempt = Attempt {
            number: self.number,
            ending: match sent {
                Ok(_) => Ending::Response,
                Err(error) => match failure(error.kind) {
                    Some(failure) => Ending::Failure(failure),
                    None => return Ok(None), // not the upstream's fault: nothing to judge
                },
            },
            elapsed_ms: millis(now.saturating_duration_since(self.began)),
            remaining_ms: millis(self.deadline.saturating_duration_since(now)),
        };
        self.run.borrow_mut().exchange_mut().response = sent.as_ref().ok().map(|response| {
            ResponseHead { status: response.status(), fields: response.headers().clone() }
        });
        let judge = move |run: &mut Run| run.judge(&attempt);
        let proposal = self.run.step(RETRY, judge).await?;
        Ok(proposal.map(|proposal| match proposal {
            Proposal::Finish => upstream::Proposal::Finish,
            Proposal::Again { after, elsewhere } => upstream::Proposal::Again { after, elsewhere },
        }))
    }
}

fn failure(kind: upstream::Failure) -> Option<Failure> {
    Some(match kind {
        upstream::Failure::Connect => Failure::Connect,
        upstream::Failure::Reset => Failure::Reset,
        upstream::Failure::Timeout => Failure::Timeout,
        upstream::Failure::Protocol => Failure::Protocol,
        upstream::Failure::Unavailable => Failure::Unavailable,
        upstream::Failure::Request | upstream::Failure::Overloaded => return None,
    })
}

/// When an upstream wants to be asked again (RFC 9110 10.2.3). A date says later than requests live, and so does what
/// cannot be read.
fn retry_after(fields: &HeaderMap) -> Option<Duration> {
    let text = fields.get(RETRY_AFTER)?.to_str().ok();
    let seconds = text.and_then(|text| text.trim().parse().ok());
    Some(seconds.map_or(Duration::MAX, Duration::from_secs))
}

fn succeeded(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Response(status) if status < 500)
}

/// The label `reason` of `edgewit_retries_total`.
fn reason(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Response(_) => "status",
        Outcome::Failed(kind, _) => match kind {
            upstream::Failure::Connect => "connect",
            upstream::Failure::Reset => "reset",
            upstream::Failure::Timeout => "timeout",
            upstream::Failure::Protocol => "protocol",
            upstream::Failure::Unavailable => "unavailable",
            upstream::Failure::Request => "request",
            upstream::Failure::Overloaded => "overloaded", // never followed by another
        },
    }
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
