//! To an upstream and back, with as many attempts as may be.

mod affinity;

mod attempts;

mod head;

mod hedge;

mod via;

use std::{rc::Rc, sync::Arc};

use edgewit_chain::{Phase, ResponseHead, Run};
use edgewit_upstream::{Decision, InBody, OutBody, SendError, send};
use http::{Request, Response};
use tokio::time::{Instant, sleep};

use crate::{
    exchange::Early,
    fields::{Census, Kind, announced_trailers, strip_counted},
    finish::Finish,
    guard::Trailers,
    problem::Problem,
    reply::{Reply, Source},
    shared_run::SharedRun,
    snapshot::{LiveRoute, LiveUpstream},
    upgrade::Upgrade,
    upload::{self, Halted, Upload},
    worker::Context,
};
use attempts::Attempts;
use hedge::Hedging;

/// The body of a request on its way to an upstream.
pub(crate) struct OutgoingBody {
    body: OutBody,
    /// Why it broke off, if it did; `None`: it cannot.
    halted: Option<Halted>,
    may_retry: bool,
}

/// Makes the body of a request, if it has one, ready for the upstream that was chosen for it; the reply if it went no
/// further.
pub(crate) async fn outgoing_body(
    route: &Arc<LiveRoute>,
    run: &Rc<SharedRun>,
    upload: Option<Box<Upload>>,
    is_upgrade: bool,
    request_id: &str,
) -> Result<OutgoingBody, Early> {
    let may_retry = may_retry(route, &run.borrow()).map_err(|problem| Box::new(Err(problem)))?;
    let Some(upload) = upload else {
        return Ok(OutgoingBody { body: OutBody::empty(), halted: None, may_retry });
    };
    let halted = Some(Rc::clone(upload.halted()));
    let replay = may_retry.then(|| route.route().retry.replay.as_usize());
    let body = match is_upgrade {
        true => Box::pin(upload.into_none()).await,
        false => Box::pin(upload.into_out(replay)).await,
    };
    let body = body.map_err(|halt| Box::new(Ok(upload::halted(halt, request_id))))?;
    Ok(OutgoingBody { body, halted, may_retry })
}

/// Whether there can be another attempt. Refuses what must not go on at all.
fn may_retry(route: &LiveRoute, run: &Run) -> Result<bool, Problem> {
    let exchange = run.exchange();
    via::check(&exchange.fields)?;
    chosen(route, run)?;
    let retry = &route.route().retry;
    let is_hedged = hedge::rules(retry, &exchange.method).is_some();
    Ok(retry.attempts > 1 || is_hedged || run.phases().has(Phase::Retry))
}

/// The upstream that was chosen.
fn chosen<'r>(route: &'r LiveRoute, run: &Run) -> Result<&'r LiveUpstream, Problem> {
    let name = run.exchange().upstream.as_ref();
    name.and_then(|name| route.upstream(name)).ok_or(Problem::Unavailable)
}

/// Takes the request of a run to the upstream that was chosen for it. The response's head is the reply's.
#[expect(
    clippy::manual_async_fn,
    reason = "the arguments of an `async fn` have two places in its future"
)]
pub(crate) fn forward<'f>(
    context: &'f Rc<Context>,
    route: &'f Arc<LiveRoute>,
    run: &'f Rc<SharedRun>,
    OutgoingBody { body, halted, may_retry }: OutgoingBody,
    trailers: Trailers,
    upgrade: Option<Upgrade>,
    finish: &'f mut Finish,
) -> impl Future<Output = Result<Reply, Problem>> + 'f {
    async move {
        let live = chosen(route, &run.borrow())?;
        let hedge = hedge::rules(&route.route().retry, &run.borrow().exchange().method);
        let mut tried = affinity::begin(live.upstream(), run.borrow().exchange());
        let matcher = finish.matcher();
        let head = head::outgoing(&mut run.borrow_mut(), route, matcher, trailers, may_retry)?;
        let mut request = head.map(|()| body);
        if let Some(upgrade) = &upgrade {
            upgrade.ask(&mut request);
        }
        affinity::strip(live.upstream(), request.headers_mut());
        let spare = Spare::of(&request, may_retry);
        if let Some(mirror) = &route.policy().mirror {
            request = mirror.copy(context, request);
        }
        run.borrow_mut().yield_instances();
        let scheme = run.borrow().exchange().scheme;

        let mut attempts = Attempts::new(context, route, live, run, finish.began());
        loop {
            finish.tried();
            let mut began = Instant::now();
            tried.deadline = Some(attempts.deadline(began));
            tried.began = Some(began);
            let mut sent = match hedge.filter(|_| spare.body.is_some() && upgrade.is_none()) {
                None => send(live.upstream(), &context.pools, request, &mut tried).await,
                Some(rules) => {
                    let hedging = Hedging::new(rules, live, &context.pools, &attempts);
                    let ended = Box::pin(hedging.send(request, &spare, &tried, finish)).await;
                    (tried, began) = (ended.tried, ended.began);
                    ended.sent
                }
            };
            live.took(&tried, began.elapsed());
            if sent.is_err()
                && let Some(halt) = halted.as_ref().and_then(|halted| halted.take())
            {
                return Ok(upload::halted(halt, finish.request_id()));
            }
            let again = unsent(&mut sent).or_else(|| spare.request());
            match attempts.judge(&sent, again.is_some()).await? {
                Decision::Again { after, elsewhere } if let Some(again) = again => {
                    drop(sent);
                    tried.elsewhere = elsewhere;
                    sleep(after).await;
                    request = again;
                }
                _ => {
                    let mut reply = reply(sent, upgrade, finish)?;
                    affinity::mark(live.upstream(), &tried, scheme, &mut reply.head.fields);
                    return Ok(reply);
                }
            }
        }
    }
}

/// What another attempt is made of, if the first was sent.
struct Spare {
    head: Option<Box<Request<()>>>,
    body: Option<OutBody>,
}

impl Spare {
    /// Of a request; empty if there is no other attempt.
    fn of(request: &Request<OutBody>, may_retry: bool) -> Self {
        let body = request.body().replay().filter(|_| may_retry);
        let head = body.as_ref().map(|_| Box::new(head::copy(request)));
        Self { head, body }
    }

    fn request(&self) -> Option<Request<OutBody>> {
        let (head, body) = (self.head.as_ref()?, self.body.as_ref()?.replay()?);
        Some(head::copy(head).map(|()| body))
    }
}

/// The request itself, if nothing of it was sent.
fn unsent(sent: &mut Result<Response<InBody>, SendError>) -> Option<Request<OutBody>> {
    sent.as_mut().err()?.unsent.take().map(|request| *request)
}

fn reply(
    sent: Result<Response<InBody>, SendError>,
    upgrade: Option<Upgrade>,
    finish: &mut Finish,
) -> Result<Reply, Problem> {
    let response = sent.map_err(|error| {
        tracing::debug!(error = &error as &dyn std::error::Error, "no response");
        finish.blame(error.reason().into());
        Problem::from(&error)
    })?;
    let (parts, body) = response.into_parts();
    let source = match upgrade {
        None => Source::Upstream(Box::new(body)),
        Some(upgrade) => upgrade.answered(parts.status, body, finish)?,
    };
    let mut fields = parts.headers;
    let census = Census::of(&fields);
    let has_hops = census.has(Kind::HopByHop);
    let trailers = if has_hops { announced_trailers(&fields) } else { None };
    strip_counted(&mut fields, census).map_err(|_| Problem::BadGateway)?;
    Ok(Reply {
        head: ResponseHead { status: parts.status, fields },
        source,
        error: None,
        close: false,
        trailers,
    })
}
