//! The way of one request, step by step. Start reading here.

use std::{convert::Infallible, rc::Rc, sync::Arc};

use edgewit_chain::{Passage, Phase, Phases, ResponseHead, ResponsePassage, Run};
use edgewit_model::{Action, Respond};
use http::{HeaderMap, Request, Response, header, request::Parts};
use http_body::Body;
use hyper::body::Incoming;

use crate::{
    connection::Connection,
    cors,
    fields::strip_hop_by_hop,
    finish::Finish,
    forward,
    guard::{self, Admitted, Trailers},
    http::StreamWatch,
    policy,
    problem::Problem,
    redirect, refused,
    reply::{Reply, ReplyBody, plain_text},
    route::{Ask, Found},
    shared_run::SharedRun,
    snapshot::{LiveRoute, Snapshot},
    template::Values,
    upgrade::{Asked, Upgrade},
    upload::{self, Upload, UploadLimits},
};

/// Answers one request.
///
/// `finish` was there before anything else and goes into the response's body: whenever it is dropped, at the end or
/// because the client is gone, the request is counted, logged and told to its filters, once.
///
/// What needs no waiting is done before the future is made, which is moved and should be small.
pub(crate) fn serve(
    connection: &Rc<Connection>,
    request: Request<Incoming>,
    watch: Option<Rc<StreamWatch>>,
) -> impl Future<Output = Result<Response<ReplyBody>, Infallible>> + use<> {
    let (parts, incoming) = request.into_parts();
    let mut finish = Finish::begin(connection, &parts);
    let begun = begin(connection, parts, !incoming.is_end_stream(), &mut finish);
    async move {
        let reply = match begun {
            Ok(begun) => exchange(begun, incoming, &mut finish).await,
            Err(early) => *early,
        };
        let mut reply = reply.unwrap_or_else(|problem| problem.into_reply(finish.request_id()));
        let run = finish.run().cloned();
        if let Some(run) = &run {
            reply = response_side(run, reply).await;
        }
        policy::shape(&finish, &mut reply);
        let mut sending = match reply.sending(run.as_ref(), watch, finish) {
            Ok(sending) => sending,
            Err(switched) => return Ok(*switched),
        };
        if sending.is_held() {
            sending = Box::pin(sending.released(run.as_ref())).await; // boxed, because it is large and rare
        }
        Ok(sending.into_response())
    }
}

/// A request whose run through its filters has begun.
struct Begun {
    route: Arc<LiveRoute>,
    matcher: usize,
    run: Rc<SharedRun>,
    trailers: Trailers,
    upgrade: Option<Upgrade>,
}

/// What is answered before the chain or the upstream was asked.
pub(crate) type Early = Box<Result<Reply, Problem>>;

fn early(problem: Problem) -> Early {
    Box::new(Err(problem))
}

/// From the request to its route: guard, routing; or the answer, if there is one already.
fn begin(
    connection: &Rc<Connection>,
    mut parts: Parts,
    has_body: bool,
    finish: &mut Finish,
) -> Result<Begun, Early> {
    let snapshot = Arc::clone(finish.snapshot());
    let upgrade = Asked::of(&mut parts, has_body);
    let admitted = guard::admit(connection, parts, finish.identity()).and_then(|admitted| {
        finish.enter(admitted.client)?;
        Ok(admitted)
    });
    let admitted = admitted.map_err(|problem| {
        refused::count_word(connection, problem.word());
        early(problem)
    })?;
    if connection.settings.config.redirect_https {
        return Err(Box::new(redirect::to_https(&admitted)));
    }
    let (index, matcher) = find(&snapshot, connection, &admitted).map_err(early)?;
    let route = snapshot.route(index).ok_or_else(|| early(Problem::NotFound))?;
    let upgrade = upgrade.map_or(Ok(None), |asked| asked.granted(route.route())).map_err(early)?;

    let upstream = route.draw(route.ticket(&admitted)).map(|live| live.upstream().name().clone());
    let name = route.route().name.clone();
    let (exchange, trailers) =
        admitted.into_exchange(connection, name, upstream, finish.identity());
    let run = SharedRun::new(route.chain().begin(exchange), &connection.context.away);
    finish.routed(index, matcher, &run);
    if let Some(reply) = preflight(route, &run.borrow()) {
        return Err(Box::new(Ok(reply)));
    }
    finish.wish(route.wishes(&run.borrow().exchange().fields));
    Ok(Begun { route: Arc::clone(route), matcher, run, trailers, upgrade })
}

/// From the route to an answer: request side of the chain, action.
async fn exchange(begun: Begun, incoming: Incoming, finish: &mut Finish) -> Result<Reply, Problem> {
    let Begun { route, matcher, run, trailers, upgrade } = begun;
    match request_side(&route, &run).await {
        Passage::Proceed => {}
        Passage::Answer(answer) => return Ok(Reply::answer(answer)),
        Passage::Failed(failed) => return Err(failed.into()),
    }
    if let Some(reply) = route.fault().await {
        return Ok(reply);
    }
    let limits = upload_limits(finish.connection(), &route, finish);
    let has_upload = !incoming.is_end_stream() || run.borrow().phases().has(Phase::RequestBody);
    let mut upload = None;
    if has_upload {
        let made = Upload::new(incoming, limits, &run, finish.request_bytes())?;
        let made = upload.insert(Box::new(made));
        if let Err(halt) = made.release().await {
            return Ok(upload::halted(halt, finish.request_id()));
        }
    }
    match &route.route().action {
        Action::Forward(_) => {
            let is_upgrade = upgrade.is_some();
            let body =
                forward::outgoing_body(&route, &run, upload, is_upgrade, finish.request_id()).await;
            let body = match body {
                Ok(body) => body,
                Err(early) => return *early,
            };
            let context = Rc::clone(&finish.connection().context);
            // Boxed, because it is large: what lies inside a future is moved with it, several times before it begins.
            Box::pin(forward::forward(&context, &route, &run, body, trailers, upgrade, finish))
                .await
        }
        Action::Respond(respond) => Ok(fixed(respond)),
        Action::Redirect(own) => {
            let run = run.borrow();
            let captured = route.captures().of(matcher, run.exchange().path.as_str());
            redirect::elsewhere(own, &Values::new(run.exchange(), captured))
        }
    }
}

/// The request side of the chain.
async fn request_side(route: &Arc<LiveRoute>, run: &Rc<SharedRun>) -> Passage {
    if let Some(mut run) = run.at_hand(Phases::REQUEST_SIDE) {
        return run.request_side(route.upstream_names());
    }
    let route = Arc::clone(route);
    let step = move |run: &mut Run| run.request_side(route.upstream_names());
    Box::pin(run.step(Phases::REQUEST_SIDE, step)).await
}

/// The response side of the chain, for whatever the answer is and wherever it came from.
async fn response_side(run: &Rc<SharedRun>, reply: Reply) -> Reply {
    run.here().await;
    if !run.borrow().phases().any_from(Phase::Response) {
        return reply;
    }
    through_chain(run, reply).await
}

async fn through_chain(run: &Rc<SharedRun>, mut reply: Reply) -> Reply {
    let head = std::mem::replace(&mut reply.head, empty_head());
    run.borrow_mut().exchange_mut().response = Some(head);
    loop {
        match run.step(RESPONSE, Run::response_side).await {
            ResponsePassage::Done => break,
            ResponsePassage::Replaced(body) => {
                reply = Reply { close: reply.close, ..Reply::full(empty_head(), body) };
            }
            ResponsePassage::Failed(failed) => {
                let mut run = run.borrow_mut();
                let answer = Problem::from(failed).into_reply(&run.exchange().request_id);
                reply = Reply { close: reply.close, ..answer };
                let head = std::mem::replace(&mut reply.head, empty_head());
                run.exchange_mut().response = Some(head);
            }
        }
    }
    let mut run = run.borrow_mut();
    // A copy only if somebody will look at it again.
    let is_kept = run.phases().any_from(Phase::ResponseBody);
    let response = &mut run.exchange_mut().response;
    let head = if is_kept { response.clone() } else { response.take() };
    reply.head = head.unwrap_or_else(empty_head);
    reply
}

const RESPONSE: Phases = Phases::NONE.with(Phase::Response);

/// Positions of the route and its matcher.
fn find(
    snapshot: &Snapshot,
    connection: &Connection,
    admitted: &Admitted,
) -> Result<(usize, usize), Problem> {
    let ask = Ask {
        listener: Some(&connection.settings.config.name),
        method: &admitted.method,
        host: admitted.authority.host(),
        path: &admitted.path,
        query: admitted.query.as_deref(),
        fields: &admitted.fields,
        client: Some(admitted.client),
    };
    // A question for permission goes where the request itself would go.
    if let Some(method) = cors::asked(ask.method, ask.fields)
        && let Found::Route(route, matcher) = snapshot.find(&Ask { method: &method, ..ask })
        && snapshot.route(route).is_some_and(|live| live.route().cors.is_some())
    {
        return Ok((route, matcher));
    }
    match snapshot.find(&ask) {
        Found::Route(route, matcher) => Ok((route, matcher)),
        Found::OtherMethods(allow) => Err(Problem::MethodNotAllowed(allow)),
        Found::Nothing => Err(Problem::NotFound),
    }
}

/// The answer to a question for permission, if it is one and the route may answer it.
fn preflight(route: &LiveRoute, run: &Run) -> Option<Reply> {
    let cors = route.route().cors.as_ref()?;
    let exchange = run.exchange();
    cors::asked(&exchange.method, &exchange.fields)?;
    Some(cors::preflight(cors, exchange.fields.get(header::ORIGIN)))
}

fn upload_limits(connection: &Connection, route: &LiveRoute, finish: &Finish) -> UploadLimits {
    let limits = &connection.settings.config.limits;
    UploadLimits {
        size: route.route().body.unwrap_or(limits.body).0,
        stall: route.route().stall.unwrap_or(limits.stall_timeout),
        rate: limits.body_rate.filter(|_| !finish.is_grpc()),
    }
}

fn fixed(respond: &Respond) -> Reply {
    let mut fields = if respond.body.is_empty() { HeaderMap::new() } else { plain_text() };
    for (name, _) in &respond.headers {
        fields.remove(name);
    }
    fields.extend(respond.headers.iter().cloned());
    let _ = strip_hop_by_hop(&mut fields); // whatever the file says, framing is ours
    fields.remove(header::CONTENT_LENGTH);
    let body = bytes::Bytes::copy_from_slice(respond.body.as_bytes());
    Reply::full(ResponseHead { status: respond.status, fields }, body)
}

fn empty_head() -> ResponseHead {
    ResponseHead { status: http::StatusCode::OK, fields: HeaderMap::new() }
}
