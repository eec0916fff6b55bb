//! What requests and their connection tell each other.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

/// What requests and their connection tell each other.
#[derive(Debug)]
pub(crate) struct Activity {
    /// Requests whose response has not ended.
    pub(crate) in_flight: Cell<u32>,
    /// Requests so far.
    pub(crate) requests: Cell<u64>,
    /// Since when there was none in flight.
    pub(crate) idle_since: Cell<Instant>,
    /// The connection must not look as if it had ended cleanly.
    pub(crate) reset: Cell<bool>,
    /// No further request after those in flight.
    pub(crate) closing: Cell<bool>,
    /// What was written last has not all gone out.
    pub(crate) is_blocked: Cell<bool>,
    /// Said by the wire while the parser reads: there has been nothing to do for a while, and the parser can be given back.
    pub(crate) rests: Cell<bool>,
    /// Who waits until all requests have ended.
    quiet: RefCell<Option<Waker>>,
}

impl Activity {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self {
            in_flight: Cell::new(0),
            requests: Cell::new(0),
            idle_since: Cell::new(Instant::now()),
            reset: Cell::new(false),
            closing: Cell::new(false),
            is_blocked: Cell::new(false),
            rests: Cell::new(false),
            quiet: RefCell::new(None),
        })
    }

    /// A request began.
    pub(crate) fn begin(&self) {
        self.rests.set(false);
        self.in_flight.set(self.in_flight.get() + 1);
        self.requests.set(self.requests.get() + 1);
    }

    /// Returns when there has been no request for so long, beginning now.
    pub(crate) async fn quiet_for(&self, pause: Duration) {
        let mut since = Instant::now();
        loop {
            sleep_until(since + pause).await;
            let latest = match self.in_flight.get() {
                0 => since.max(self.idle_since.get()),
                _ => Instant::now(),
            };
            if latest == since {
                return;
            }
            since = latest;
        }
    }

    /// A request ended.
    pub(crate) fn end(&self) {
        self.in_flight.set(self.in_flight.get().saturating_sub(1));
        self.idle_since.set(Instant::now());
        self.wake();
    }

    /// Waits until so many requests have begun, all have ended, and all of their answers went out.
    pub(super) fn poll_quiet(&self, requests: u64, cx: &mut Context<'_>) -> Poll<()> {
        if self.in_flight.get() == 0 && self.requests.get() >= requests && !self.is_blocked.get() {
            return Poll::Ready(());
        }
        self.quiet.replace(Some(cx.waker().clone()));
        Poll::Pending
    }

    /// Lets whoever waits look again.
    pub(super) fn wake(&self) {
        if let Some(waker) = self.quiet.take() {
            waker.wake();
        }
    }
}
