//! Connections that a worker keeps.

mod line;

mod http1;

mod http2;

mod switch;

mod places;

use std::{
    cell::RefCell,
    collections::HashMap,
    rc::{Rc, Weak},
    sync::Arc,
};

use edgewit_model as model;
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use crate::{
    circuit::Place,
    connect::{ConnectError, Offer, connect},
    upstream::{Endpoint, EndpointId, Upstream},
    wire::Gauge,
};

use places::{Bounded, Leave};

pub(crate) use line::{LineId, Open};
pub(crate) use switch::Switching;

/// The connections of one worker, by endpoint.
///
/// Cloning shares them. They stay on their thread: nothing here is locked. An HTTP/1.1 connection serves one request at a
/// time and waits on a shelf in between, the one used last on top; an HTTP/2 connection serves many. Each has one task
/// that drives it, closes it after the upstream's idle timeout and takes it off the shelf when the peer closes it.
/// Dropping the last clone closes all that are idle.
#[derive(Clone, Default)]
pub struct Pools(Rc<Shelves>, Rc<Bounded>);

/// The shelves of all endpoints.
pub(crate) type Shelves = RefCell<HashMap<EndpointId, Shelf>>;

/// The connections to one endpoint.
#[derive(Default)]
pub(crate) struct Shelf {
    idle: Vec<http1::Idle>,
    shared: Vec<Rc<http2::Shared>>,
    /// Somebody is making a connection that others may share.
    dialing: Option<Rc<Notify>>,
}

/// A connection, or a share of one, for one request and its response.
///
/// Dropped before [`Lease::finish`] it closes the HTTP/1.1 connection: what is left on it belongs to nobody.
pub(crate) enum Lease {
    Http1(http1::Http1Lease),
    Http2(http2::Http2Lease),
}

impl Pools {
    /// Empty, for a new worker.
    pub fn new() -> Self {
        Self::default()
    }

    /// Idle HTTP/1.1 connections and open HTTP/2 connections to an endpoint.
    pub fn kept(&self, endpoint: EndpointId) -> usize {
        self.0.borrow().get(&endpoint).map_or(0, |shelf| shelf.idle.len() + shelf.shared.len())
    }

    /// A connection for a request: a kept one, or a new one within the connect timeout. After a kept connection turned
    /// out to be closed, `avoid` names it: only a connection made later will do.
    pub(crate) async fn take(
        &self,
        upstream: &Upstream,
        endpoint: &Arc<Endpoint>,
        avoid: Option<LineId>,
    ) -> Result<Lease, ConnectError> {
        match self.kept_for(upstream, endpoint, avoid) {
            Some(lease) => Ok(lease),
            None => Box::pin(self.dial(upstream, endpoint, avoid)).await, // boxed, because it is large and rare
        }
    }

    fn kept_for(
        &self,
        upstream: &Upstream,
        endpoint: &Endpoint,
        avoid: Option<LineId>,
    ) -> Option<Lease> {
        let mut shelves = self.0.borrow_mut();
        let shelf = shelves.get_mut(&endpoint.id())?;
        if avoid.is_none() {
            let top = http1::Idle::take(&mut shelf.idle, upstream.pool().idle_timeout);
            if let Some(idle) = top {
                return Some(Lease::Http1(idle.lease(self.keep(upstream))));
            }
        }
        http2::Shared::pick(&mut shelf.shared, avoid).map(Lease::Http2)
    }

    /// The same if there can be no further one. An HTTP/2 connection that is still open is not given up then.
    fn kept_at_limit(
        &self,
        upstream: &Upstream,
        endpoint: &Endpoint,
        avoid: Option<LineId>,
    ) -> Option<Lease> {
        self.kept_for(upstream, endpoint, avoid).or_else(|| {
            let mut shelves = self.0.borrow_mut();
            let shelf = shelves.get_mut(&endpoint.id())?;
            http2::Shared::pick(&mut shelf.shared, None).map(Lease::Http2)
        })
    }

    /// Makes a connection. Requests for an endpoint that speaks HTTP/2 wait for one connection instead of each making
    /// its own.
    async fn dial(
        &self,
        upstream: &Upstream,
        endpoint: &Arc<Endpoint>,
        avoid: Option<LineId>,
    ) -> Result<Lease, ConnectError> {
        let limit = upstream.connect_timeout();
        let deadline = Instant::now() + limit;
        while let Some(dialing) = self.dialing(endpoint) {
            let waited = timeout_at(deadline, dialing.notified()).await;
            waited.map_err(|_| ConnectError::Timeout(limit))?;
            if let Some(lease) = self.kept_for(upstream, endpoint, avoid) {
                return Ok(lease);
            }
        }
        let kept = || self.kept_at_limit(upstream, endpoint, avoid);
        let place = match self.leave(upstream, kept).await? {
            Leave::Dial(place) => place,
            Leave::Kept(lease) => return Ok(lease),
        };
        let _announced =
            (endpoint.speaks_http2() || upstream.h2c()).then(|| self.announce(endpoint.id()));
        let made = self.make(upstream, endpoint, deadline, place).await;
        if made.is_err() {
            endpoint.counters().not_opened();
        }
        made
    }

    async fn make(
        &self,
        upstream: &Upstream,
        endpoint: &Arc<Endpoint>,
        deadline: Instant,
        place: Option<Place>,
    ) -> Result<Lease, ConnectError> {
        let (stream, http2) = connect(upstream, endpoint, deadline, Offer::Any, place).await?;
        endpoint.set_speaks_http2(http2);
        if !http2 {
            let lease = http1::open(stream, endpoint.clone(), self.keep(upstream)).await?;
            return Ok(Lease::Http1(lease));
        }
        let opened = http2::open(stream, endpoint.clone(), self.keep(upstream));
        let opened = timeout_at(deadline, opened).await;
        let shared = opened.map_err(|_| ConnectError::Timeout(upstream.connect_timeout()))??;
        let lease = http2::Shared::fresh_lease(&shared);
        shared.came_back();
        self.0.borrow_mut().entry(endpoint.id()).or_default().shared.push(shared);
        Ok(Lease::Http2(lease))
    }

    /// A connection for a request that wants to leave HTTP: a new one within the connect timeout.
    pub(crate) async fn dial_to_switch(
        &self,
        upstream: &Upstream,
        endpoint: &Arc<Endpoint>,
    ) -> Result<Switching, ConnectError> {
        let place = match Box::pin(self.leave(upstream, || None)).await? {
            Leave::Dial(place) => place,
            Leave::Kept(_) => None, // never found
        };
        let deadline = Instant::now() + upstream.connect_timeout();
        let made = connect(upstream, endpoint, deadline, Offer::Http1, place).await;
        let (stream, _) = made.inspect_err(|_| endpoint.counters().not_opened())?;
        http1::open_to_switch(stream, endpoint.clone(), self.keep(upstream)).await
    }

    fn dialing(&self, endpoint: &Endpoint) -> Option<Rc<Notify>> {
        self.0.borrow().get(&endpoint.id())?.dialing.clone()
    }

    fn announce(&self, endpoint: EndpointId) -> Announced {
        let done = Rc::new(Notify::new());
        self.0.borrow_mut().entry(endpoint).or_default().dialing = Some(done.clone());
        Announced { pools: self.downgrade(), endpoint, done }
    }

    fn keep(&self, upstream: &Upstream) -> http1::Keep {
        let model::Pool { idle, idle_timeout, max_age } = *upstream.pool();
        let lines = self.lines(upstream);
        http1::Keep { pools: self.downgrade(), most: idle, idle_timeout, max_age, lines }
    }

    fn downgrade(&self) -> Weak<Shelves> {
        Rc::downgrade(&self.0)
    }
}

/// Tells those who wait that the connection was made, or failed, or given up.
struct Announced {
    pools: Weak<Shelves>,
    endpoint: EndpointId,
    done: Rc<Notify>,
}

impl Drop for Announced {
    fn drop(&mut self) {
        if let Some(pools) = self.pools.upgrade() {
            let mut shelves = pools.borrow_mut();
            if let Some(shelf) = shelves.get_mut(&self.endpoint) {
                shelf.dialing = None;
                if shelf.is_empty() {
                    shelves.remove(&self.endpoint);
                }
            }
        }
        self.done.notify_waiters();
    }
}

impl Shelf {
    fn is_empty(&self) -> bool {
        self.idle.is_empty() && self.shared.is_empty() && self.dialing.is_none()
    }
}

/// Takes a connection that is closing off its shelf, and the shelf away if nothing is left on it.
fn forget(pools: &Weak<Shelves>, endpoint: EndpointId, line: LineId) {
    let Some(pools) = pools.upgrade() else { return };
    let mut shelves = pools.borrow_mut();
    let Some(shelf) = shelves.get_mut(&endpoint) else { return };
    shelf.idle.retain(|idle| idle.id() != line);
    shelf.shared.retain(|shared| shared.id() != line);
    if shelf.is_empty() {
        shelves.remove(&endpoint);
    }
}

impl Lease {
    /// Which connection this is.
    pub(crate) fn id(&self) -> LineId {
        match self {
            Self::Http1(lease) => lease.id(),
            Self::Http2(lease) => lease.id(),
        }
    }

    pub(crate) fn is_http2(&self) -> bool {
        matches!(self, Self::Http2(_))
    }

    /// Whether the connection served a request before this one, so that it may have been closed in the meantime.
    pub(crate) fn is_reused(&self) -> bool {
        match self {
            Self::Http1(lease) => lease.is_reused(),
            Self::Http2(lease) => lease.is_reused(),
        }
    }

    /// What is known about the request, if it has the connection for itself.
    pub(crate) fn gauge(&self) -> Option<&Gauge> {
        match self {
            Self::Http1(lease) => Some(lease.gauge()),
            Self::Http2(_) => None,
        }
    }

    /// A request begins. `look` asks the kernel first whether the peer has closed the connection.
    pub(crate) fn begin(&self, look: bool) {
        match self {
            Self::Http1(lease) => lease.gauge().begin(look),
            Self::Http2(lease) => lease.gauge().look(look),
        }
    }

    /// The response came to its clean end: the connection may serve the next request.
    pub(crate) fn finish(self) {
        match self {
            Self::Http1(lease) => lease.finish(),
            Self::Http2(_) => {} // its share goes back when it is dropped
        }
    }
}
