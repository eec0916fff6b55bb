//! To an upstream and back, with as many attempts as may be.

mod affinity;

mod attempts;

mod head;

mod hedge;

mod via;

use std::{rc::Rc, sync::Arc};

use edgewit_chain::{Phase, ResponseHead};
use edgewit_upstream::{Decision, InBody, OutBody, SendError, send};
use http::{Request, Response};
use tokio::time::{Instant, sleep};

use crate::{
    fields::{Census, Kind, announced_trailers, strip_counted},
    finish::Finish,
    guard::Trailers,
    problem::Problem,
    reply::{Reply, Source},
    shared_run::SharedRun,
    snapshot::LiveRoute,
    upgrade::Upgrade,
    upload::{self, Upload},
    worker::Context,
};
use attempts::Attempts;
use hedge::Hedging;

/// Takes the request of a run to the upstream that was chosen for it. The response's head is the reply's.
pub(crate) async fn forward(
    context: &Rc<Context>,
    route: &Arc<LiveRoute>,
    run: &Rc<SharedRun>,
    upload: Upload,
    trailers: Trailers,
    upgrade: Option<Upgrade>,
    finish: &mut Finish,
) -> Result<Reply, Problem> {
    via::check(&run.borrow().exchange().fields)?;
    let chosen = run.borrow().exchange().upstream.clone();
    let live = chosen.and_then(|name| route.upstream(&name)).ok_or(Problem::Unavailable)?;
    let retry = &route.route().retry;
    let hedge = hedge::rules(retry, &run.borrow().exchange().method);
    let may_retry =
        retry.attempts > 1 || hedge.is_some() || run.borrow().phases().has(Phase::Retry);

    let halted = Rc::clone(upload.halted());
    let replay = may_retry.then(|| retry.replay.as_usize());
    let body = match upgrade {
        Some(_) => upload.into_none().await,
        None => upload.into_out(replay).await,
    };
    let body = match body {
        Ok(body) => body,
        Err(halt) => return Ok(upload::halted(halt, finish.request_id())),
    };
    let mut spare = Spare { body: body.replay().filter(|_| may_retry), head: None };
    let mut tried = affinity::begin(live.upstream(), run.borrow().exchange());
    let mut request =
        head::outgoing(&mut run.borrow_mut(), route, finish.matcher(), trailers, may_retry)?
            .map(|()| body);
    if let Some(upgrade) = &upgrade {
        upgrade.ask(&mut request);
    }
    affinity::strip(live.upstream(), request.headers_mut());
    if spare.body.is_some() {
        spare.head = Some(head::copy(&request));
    }
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
                let ended = hedging.send(request, &spare, &tried, finish).await;
                (tried, began) = (ended.tried, ended.began);
                ended.sent
            }
        };
        live.took(&tried, began.elapsed());
        if sent.is_err()
            && let Some(halt) = halted.take()
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

/// What another attempt is made of, if the first was sent.
struct Spare {
    head: Option<Request<()>>,
    body: Option<OutBody>,
}

impl Spare {
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
