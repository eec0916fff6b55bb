//! One attempt.

mod bounds;

mod error;

mod reason;

mod failed;

mod request;

mod response;

mod spare;

mod switch;

mod tried;

use std::{cell::Cell, pin::pin, rc::Rc, sync::Arc};

use http::{Method, Request, Response};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::{
    body::{Hold, InBody, OutBody, Watch},
    circuit::Permit,
    outlier::Ended,
    pool::{Lease, Pools},
    retry::is_idempotent,
    tunnel::Tunnel,
    upstream::{Endpoint, InFlight, Upstream},
};

use bounds::Bounds;
use failed::Failed;
use spare::Spare;

pub use error::{Failure, Processed, SendError};
pub use reason::Reason;
pub use response::ProtocolError;
pub use switch::Upgrade;
pub use tried::Tried;

/// One attempt: chooses an endpoint, takes a connection, sends the request, waits for the response head.
///
/// The request's target may be in any form; it is sent in the form of the connection's protocol (RFC 9112 3.2, RFC 9113
/// 8.3.1). The host is the `host` field, else the authority of the target, else the endpoint's own. Framing fields are
/// replaced by those that fit the body; all other fields are the caller's business. `CONNECT` is refused.
///
/// A kept connection that turns out to be closed, or one whose upstream says that it did nothing (`REFUSED_STREAM`,
/// `GOAWAY`), is replaced by a fresh one, once, without the caller noticing: always if nothing was done, else only if the method is idempotent and the body can be
/// replayed (THREATS B6). Any other failure is the caller's to judge, with [`decide`](crate::decide).
///
/// Before all that it needs leave of the upstream's [`Circuit`](crate::Circuit), which may take a moment, or be refused
/// with [`Failure::Overloaded`].
///
/// Informational responses are dropped, and more than 8 of them are an error. A `101` is one too unless the request has
/// an [`Upgrade`] in its extensions. Dropping the future cancels the request. Must run where tasks can be local: in a
/// `LocalRuntime`, or in a `LocalSet` of a current-thread runtime.
#[expect(
    clippy::manual_async_fn,
    reason = "the arguments of an `async fn` have two places in its future"
)]
pub fn send(
    upstream: &Arc<Upstream>,
    pools: &Pools,
    mut request: Request<OutBody>,
    tried: &mut Tried,
) -> impl Future<Output = Result<Response<InBody>, SendError>> {
    async move {
        let Some(permit) = admit(upstream, tried.deadline).await else {
            return Err(SendError::overloaded(request));
        };
        let Some(endpoint) = upstream.choose(tried) else {
            return Err(SendError::unavailable(request));
        };
        tried.note(endpoint.id());
        let attempt = Attempt {
            upstream,
            pools,
            in_flight: InFlight::new(endpoint.clone(), permit),
            endpoint,
            method: request.method().clone(),
            processed: Cell::new(Processed::No),
            is_anonymous: !request::has_host(&request),
        };
        let first_byte = tried.began.map(|began| (began, upstream.timeouts().first_byte));
        let bounds = Bounds { deadline: tried.deadline, first_byte };
        let upload = request.body_mut().watch();
        let began = upstream.wants_latency().then(Instant::now);
        let answered = {
            let exchange = pin!(attempt.exchange(request)); // moved no further: it is large
            bounds.keep(exchange, upload.as_deref()).await
        };
        let answered = answered.unwrap_or_else(|| Err(SendError::timeout(attempt.processed.get())));
        if let Some(began) = began {
            attempt.endpoint.answered(began.elapsed(), answered.is_err());
        }
        attempt.ended(answered, upload.as_deref())
    }
}

/// Leave of the circuit, after a while if there is no room at once.
async fn admit(upstream: &Upstream, deadline: Option<Instant>) -> Option<Permit> {
    match upstream.circuit().try_enter() {
        Some(permit) => Some(permit),
        None => Box::pin(upstream.circuit().enter(deadline)).await.ok(), // boxed, because it is large and rare
    }
}

/// One attempt at one endpoint.
struct Attempt<'a> {
    upstream: &'a Upstream,
    pools: &'a Pools,
    endpoint: Arc<Endpoint>,
    in_flight: InFlight,
    method: Method,
    /// The request does not say for which host it is.
    is_anonymous: bool,
    /// Whether the upstream may have processed the request, at any time.
    processed: Cell<Processed>,
}

impl Attempt<'_> {
    /// Takes down what came of it.
    fn ended(
        self,
        answered: Result<Answer, SendError>,
        upload: Option<&Watch>,
    ) -> Result<Response<InBody>, SendError> {
        match answered {
            Ok(Answer::Switched(response, tunnel)) => {
                self.answered(response.status().as_u16());
                let tunnel = tunnel.holding(self.in_flight.without_leave());
                Ok(response.map(|body| InBody::switched(body, tunnel)))
            }
            Ok(Answer::Http(response, lease, upload)) => {
                self.answered(response.status().as_u16());
                let hold = Hold { lease, upload, in_flight: self.in_flight };
                let stall = self.upstream.timeouts().stall;
                Ok(response.map(|body| InBody::new(body, hold, stall)))
            }
            Err(mut error) => {
                self.failed(&error, upload);
                if let Some(unsent) = error.unsent.as_deref_mut().filter(|_| self.is_anonymous) {
                    request::forget_host(unsent); // the next endpoint has another name
                }
                Err(error)
            }
        }
    }

    /// A response head came: what it says about endpoint and upstream.
    fn answered(&self, status: u16) {
        if let Some(permit) = self.in_flight.permit() {
            permit.answered(Some(status));
        }
        self.note(Ended::with(status));
    }

    /// None came.
    fn failed(&self, error: &SendError, upload: Option<&Watch>) {
        self.endpoint.counters().failed();
        if error.kind == Failure::Timeout {
            if upload.is_some_and(|upload| upload.ended().is_none()) {
                return; // it was the client who took so long
            }
            if let Some(permit) = self.in_flight.permit() {
                permit.answered(None);
            }
        }
        if let Some(ended) = Ended::in_failure(error) {
            self.note(ended);
        }
    }

    fn note(&self, ended: Ended) {
        let upstream = self.upstream;
        upstream.safeguards().note(&self.endpoint, ended, || upstream.endpoints());
    }

    /// Sends the request, a second time if a kept connection turns out to be closed.
    #[expect(
        clippy::manual_async_fn,
        reason = "the arguments of an `async fn` have two places in its future"
    )]
    fn exchange(
        &self,
        mut request: Request<OutBody>,
    ) -> impl Future<Output = Result<Answer, SendError>> {
        async move {
            if self.method == Method::CONNECT {
                let what = "`CONNECT` is not forwarded";
                return Err(SendError::new(Failure::Request, Processed::No, what));
            }
            if let Some(upgrade) = request.extensions().get::<Upgrade>().cloned() {
                return Box::pin(self.switch(request, upgrade)).await; // boxed, because it is large and rare
            }
            let upload = request.body_mut().watch();
            let mut stale = None;
            loop {
                let mut lease = match self.pools.take(self.upstream, &self.endpoint, stale).await {
                    Ok(lease) => lease,
                    Err(error) => {
                        return Err(SendError::connect(error, request).after(self.processed.get()));
                    }
                };
                request::prepare(&mut request, &self.endpoint, lease.is_http2())?;
                let may_be_stale = stale.is_none() && lease.is_reused();
                let may_be_refused = stale.is_none() && lease.is_http2();
                let may_repeat = may_be_stale || may_be_refused;
                let spare = if may_repeat { self.spare(&request, &lease) } else { None };
                let repeatable = spare.is_some() && is_idempotent(&self.method);
                lease.begin(may_be_stale && !repeatable);
                let before = self.processed.replace(Processed::Maybe);
                let sent = match &mut lease {
                    Lease::Http1(lease) => lease.send(request).await,
                    Lease::Http2(lease) => lease.send(request).await,
                };
                let error = match sent {
                    Ok(response) => return accept(response, lease, upload),
                    Err(error) => Failed::new(error, &lease, upload.as_deref()),
                };
                if !may_repeat {
                    return Err(error.into_error().after(before));
                }
                let (again, processed) = error.resend(spare, may_be_stale && repeatable)?;
                self.processed.set(before.max(processed));
                self.endpoint.counters().sent_again();
                stale = Some(lease.id());
                request = again;
            }
        }
    }

    /// The request once more, if a closed connection could make it necessary: over HTTP/1.1 a method that is not
    /// idempotent is repeated only if nothing was sent, and then hyper gives the request back itself.
    fn spare(&self, request: &Request<OutBody>, lease: &Lease) -> Option<Spare> {
        let is_needed = lease.is_http2() || is_idempotent(&self.method);
        if is_needed { Spare::of(request) } else { None }
    }
}

/// A response head that passed.
enum Answer {
    /// With the connection its body comes on.
    Http(Response<Incoming>, Lease, Option<Rc<Watch>>),
    /// The connection belongs to the new protocol.
    Switched(Response<Incoming>, Box<Tunnel>),
}

fn accept(
    mut response: Response<Incoming>,
    lease: Lease,
    upload: Option<Rc<Watch>>,
) -> Result<Answer, SendError> {
    if let Some(gauge) = lease.gauge() {
        gauge.head_came();
    }
    response::check(&mut response)?; // if not, the connection is cut with the lease
    Ok(Answer::Http(response, lease, upload))
}
