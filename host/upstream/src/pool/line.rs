//! One connection, from its making to its close, and the task that drives it.

use std::{
    cell::{Cell, OnceCell},
    future::Future,
    pin::pin,
    rc::{Rc, Weak},
    sync::Arc,
    time::Duration,
};

use tokio::{
    select,
    task::{JoinHandle, spawn_local},
    time::{Instant, sleep, timeout},
};

use super::{Shelves, forget, http1::Keep};
use crate::{balance::mix, circuit::Lines, upstream::Endpoint, wire::Gauge};

/// Time that a connection gets for an orderly close.
const LINGER: Duration = Duration::from_secs(1);

/// Identity of a connection within its worker; later ones are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LineId(u64);

impl LineId {
    fn next() -> Self {
        thread_local!(static NEXT: Cell<u64> = const { Cell::new(0) });
        NEXT.with(|next| {
            next.set(next.get().wrapping_add(1));
            Self(next.get())
        })
    }
}

/// One connection.
pub(crate) struct Line {
    pub(super) id: LineId,
    pub(super) gauge: Rc<Gauge>,
    endpoint: Arc<Endpoint>,
    pools: Weak<Shelves>,
    idle_since: Cell<Option<Instant>>,
    /// When it takes no further request.
    retires: Option<Instant>,
    driver: OnceCell<JoinHandle<()>>,
    /// Whoever waits for a connection, if their number is bounded.
    lines: Option<Rc<Lines>>,
}

impl Line {
    pub(super) fn new(gauge: Rc<Gauge>, endpoint: Arc<Endpoint>, keep: &Keep) -> Rc<Self> {
        let id = LineId::next();
        Rc::new(Self {
            id,
            gauge,
            endpoint,
            pools: keep.pools.clone(),
            idle_since: Cell::new(None),
            retires: keep.max_age.map(|age| Instant::now() + spread(age, id)),
            driver: OnceCell::new(),
            lines: keep.lines.clone(),
        })
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(super) fn shared_endpoint(&self) -> Arc<Endpoint> {
        self.endpoint.clone()
    }

    /// Begins to drive the connection: its one task.
    pub(super) fn drive(self: &Rc<Self>, connection: impl Future + 'static, idle: Duration) {
        let open = Open::new(self.endpoint.clone());
        let line = self.clone();
        let driver = spawn_local(async move {
            let _open = open;
            line.run(connection, idle).await;
        });
        let _ = self.driver.set(driver); // a line is driven once
    }

    async fn run(&self, connection: impl Future, idle: Duration) {
        let mut connection = pin!(connection);
        let ended = select! {
            biased;
            _ = &mut connection => true,
            () = self.idle_for(idle) => false,
        };
        forget(&self.pools, self.endpoint.id(), self.id); // and with it the last sender
        if !ended {
            let _ = timeout(LINGER, connection).await;
        }
    }

    /// Waits until the connection has been idle for this long. Looks again only when that could be, so that a busy
    /// connection never touches its timer.
    async fn idle_for(&self, limit: Duration) {
        let mut wait = limit;
        loop {
            sleep(wait).await;
            wait = match self.idle_since.get().map(|since| since.elapsed()) {
                Some(idle) if idle >= limit => return,
                Some(idle) => limit - idle,
                None => limit,
            };
        }
    }

    pub(super) fn set_idle(&self) {
        if self.idle_since.replace(Some(Instant::now())).is_none() {
            self.endpoint.counters().idles();
        }
    }

    /// It can take a request again.
    pub(super) fn came_back(&self) {
        if let Some(lines) = &self.lines {
            lines.came_back();
        }
    }

    /// Whether it is one of these.
    pub(super) fn is_within(&self, lines: &Rc<Lines>) -> bool {
        self.lines.as_ref().is_some_and(|own| Rc::ptr_eq(own, lines))
    }

    pub(super) fn set_busy(&self) {
        if self.idle_since.replace(None).is_some() {
            self.endpoint.counters().works();
        }
    }

    /// Whether it has been idle for too long to be trusted.
    pub(super) fn is_expired(&self, limit: Duration) -> bool {
        self.idle_since.get().is_some_and(|since| since.elapsed() >= limit)
    }

    /// Whether it is too old for a further request.
    pub(super) fn is_retired(&self) -> bool {
        self.retires.is_some_and(|at| Instant::now() >= at)
    }

    /// Closes the connection now, whatever is under way on it.
    pub(super) fn cut(&self) {
        if let Some(driver) = self.driver.get() {
            driver.abort();
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.set_busy(); // it is not idle any more, at any rate
    }
}

/// An age that is up to a tenth shorter, so that connections that were made together do not all end together.
fn spread(age: Duration, id: LineId) -> Duration {
    let drawn = mix(id.0) as f64 / u64::MAX as f64;
    age.mul_f64(1.0 - drawn / 10.0)
}

/// Counts a connection as open until its task ends.
pub(crate) struct Open(Arc<Endpoint>);

impl Open {
    pub(super) fn new(endpoint: Arc<Endpoint>) -> Self {
        endpoint.counters().opened();
        Self(endpoint)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.counters().closed();
    }
}
