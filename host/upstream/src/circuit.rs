//! How much an upstream is asked at a time.

mod lines;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use edgewit_model as model;
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use crate::concurrency::Adaptive;

pub(crate) use lines::{Lines, Place};

/// A circuit counts as open for so long after it refused somebody.
const OPEN_FOR: Duration = Duration::from_secs(1);

/// Bounds on what is under way to one upstream, over all workers.
///
/// An attempt that finds room changes one number. Only if there is none it waits, in order of arrival and for a bounded
/// time; and if too many wait already it is refused at once. What was let in always has room: the work done is the work
/// the upstream can do, however much more is asked (THREATS F1).
#[derive(Debug)]
pub struct Circuit {
    rules: model::Circuit,
    start: Instant,
    requests: AtomicU32,
    waiting: AtomicU32,
    retries: AtomicU32,
    refused: AtomicU64,
    /// Milliseconds since the start, plus one; 0: never.
    last_refusal: AtomicU64,
    room: Notify,
    adaptive: Option<Adaptive>,
    connections: AtomicU32,
    waiting_for_lines: AtomicU32,
    /// A connection of any worker was closed.
    line_closed: Notify,
}

/// There is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// Leave for one attempt, to the end of its response.
#[derive(Debug)]
pub(crate) struct Permit {
    circuit: Arc<Circuit>,
    /// Since when, if anybody wants to know.
    began: Option<Instant>,
}

/// Leave for one further attempt.
#[derive(Debug)]
pub struct RetryPermit(Arc<Circuit>);

impl Circuit {
    pub(crate) fn new(rules: &model::Circuit, adaptive: Option<&model::Concurrency>) -> Arc<Self> {
        let start = Instant::now();
        Arc::new(Self {
            rules: rules.clone(),
            start,
            requests: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            retries: AtomicU32::new(0),
            refused: AtomicU64::new(0),
            last_refusal: AtomicU64::new(0),
            room: Notify::new(),
            adaptive: adaptive.map(|rules| Adaptive::new(rules, start)),
            connections: AtomicU32::new(0),
            waiting_for_lines: AtomicU32::new(0),
            line_closed: Notify::new(),
        })
    }

    /// Leave for an attempt, at once.
    pub(crate) fn try_enter(self: &Arc<Self>) -> Option<Permit> {
        // Who waits goes first. Nobody waits while there is room, so this is no second bound.
        let taken = self.waiting.load(Ordering::SeqCst) == 0 && self.take();
        taken.then(|| self.permit())
    }

    /// Leave for an attempt, after a while if need be, but not after the deadline.
    pub(crate) async fn enter(self: &Arc<Self>, deadline: Option<Instant>) -> Result<Permit, Full> {
        let Some(place) = Waits::begin(self) else { return Err(self.refuse()) };
        let patience = Instant::now() + self.rules.max_wait;
        let until = deadline.map_or(patience, |deadline| deadline.min(patience));
        let mut is_next = place.is_only;
        loop {
            let mut turn = std::pin::pin!(self.room.notified());
            let called = turn.as_mut().enable(); // before looking, so that room made in between is not missed
            if (is_next || called) && self.take() {
                self.call_next();
                return Ok(self.permit());
            }
            if timeout_at(until, turn).await.is_err() {
                return Err(self.refuse());
            }
            is_next = true;
        }
    }

    /// Who enters from the waiting room sees to it that the next does too, if there is still room: calls that come before
    /// somebody listens are kept, but several are kept as one.
    fn call_next(&self) {
        let others_wait = self.waiting.load(Ordering::SeqCst) > 1;
        if others_wait && self.requests.load(Ordering::SeqCst) < self.limit() {
            self.room.notify_one();
        }
    }

    /// Leave for a further attempt of a request.
    pub fn try_retry(self: &Arc<Self>) -> Option<RetryPermit> {
        let taken = take_one(&self.retries, self.rules.max_retries);
        taken.map(|_| RetryPermit(Arc::clone(self)))
    }

    /// Attempts that are under way.
    pub fn requests(&self) -> u32 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Attempts that wait for room.
    pub fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Further attempts that are under way.
    pub fn retries(&self) -> u32 {
        self.retries.load(Ordering::Relaxed)
    }

    /// Connections that are open; counted only if they are bounded.
    pub fn connections(&self) -> u32 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Connections that may be open, if they are bounded.
    pub fn max_connections(&self) -> Option<u32> {
        self.rules.max_connections
    }

    /// Attempts that may be under way at present.
    pub fn limit(&self) -> u32 {
        let adapted = self.adaptive.as_ref().map_or(u32::MAX, Adaptive::limit);
        self.rules.max_requests.min(adapted)
    }

    /// Attempts that were refused so far.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Whether somebody was refused within the last second.
    pub fn is_open(&self) -> bool {
        let last = self.last_refusal.load(Ordering::Relaxed);
        let now = self.now().saturating_add(1);
        last != 0 && now.saturating_sub(last) < u64::try_from(OPEN_FOR.as_millis()).unwrap_or(0)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn take(&self) -> bool {
        take_one(&self.requests, self.limit()).is_some()
    }

    fn permit(self: &Arc<Self>) -> Permit {
        let began = self.adaptive.as_ref().map(|_| Instant::now());
        Permit { circuit: Arc::clone(self), began }
    }

    fn refuse(&self) -> Full {
        self.refused.fetch_add(1, Ordering::Relaxed);
        self.last_refusal.store(self.now().saturating_add(1), Ordering::Relaxed);
        Full
    }
}

/// How many were taken before, if there is one left.
fn take_one(number: &AtomicU32, limit: u32) -> Option<u32> {
    let more = |taken: u32| (taken < limit).then(|| taken + 1);
    number.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).ok()
}

impl Permit {
    /// How the attempt ended that this was for: a status, or `None` if no response came in time.
    pub(crate) fn answered(&self, status: Option<u16>) {
        if let (Some(adaptive), Some(began)) = (&self.circuit.adaptive, self.began)
            && adaptive.note(began, status, self.circuit.requests())
        {
            self.circuit.room.notify_waiters(); // the bound may have risen
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.circuit.requests.fetch_sub(1, Ordering::SeqCst);
        if self.circuit.waiting.load(Ordering::SeqCst) > 0 {
            self.circuit.room.notify_one();
        }
    }
}

impl Drop for RetryPermit {
    fn drop(&mut self) {
        self.0.retries.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A place in the waiting room.
struct Waits<'a> {
    circuit: &'a Circuit,
    /// Nobody waited before.
    is_only: bool,
}

impl<'a> Waits<'a> {
    fn begin(circuit: &'a Circuit) -> Option<Self> {
        let before = take_one(&circuit.waiting, circuit.rules.max_pending)?;
        Some(Self { circuit, is_only: before == 0 })
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.circuit.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use tokio::{task::yield_now, time::advance};

    use super::*;

    fn circuit(max_requests: u32, max_pending: u32) -> Arc<Circuit> {
        let max_wait = Duration::from_millis(50);
        let rules = model::Circuit {
            max_requests,
            max_pending,
            max_wait,
            max_retries: 2,
            max_connections: None,
        };
        Circuit::new(&rules, None)
    }

    async fn entered(circuit: &Arc<Circuit>) -> Result<Permit, Full> {
        match circuit.try_enter() {
            Some(permit) => Ok(permit),
            None => circuit.enter(None).await,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_finds_no_room_waits_and_then_is_refused() {
        let circuit = circuit(2, 1);
        let first = circuit.try_enter().unwrap();
        let _second = circuit.try_enter().unwrap();
        assert!(circuit.try_enter().is_none());
        let waiter = tokio::spawn({
            let circuit = Arc::clone(&circuit);
            async move { circuit.enter(None).await }
        });
        yield_now().await;
        assert_eq!((circuit.requests(), circuit.waiting()), (2, 1));
        let began = Instant::now();
        assert_eq!(circuit.enter(None).await.unwrap_err(), Full);
        assert_eq!(
            began.elapsed(),
            Duration::ZERO,
            "who finds no place to wait is refused at once"
        );
        assert!(circuit.is_open());
        drop(first);
        assert!(circuit.try_enter().is_none(), "who waits goes first");
        let third = waiter.await.unwrap().unwrap();
        assert_eq!((circuit.requests(), circuit.waiting(), circuit.refused()), (2, 0, 1));
        drop(third);
        assert_eq!(circuit.requests(), 1);
        advance(OPEN_FOR).await;
        assert!(!circuit.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_is_bearable() {
        let circuit = circuit(1, 9);
        let _only = circuit.try_enter().unwrap();
        let began = Instant::now();
        assert!(circuit.enter(None).await.is_err());
        assert_eq!(began.elapsed(), Duration::from_millis(50));
        let began = Instant::now();
        let deadline = began + Duration::from_millis(7);
        assert!(circuit.enter(Some(deadline)).await.is_err());
        assert_eq!(began.elapsed(), Duration::from_millis(7), "nor than until the deadline");
        assert_eq!(circuit.waiting(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn waiters_enter_in_order() {
        let circuit = circuit(1, 9);
        let only = circuit.try_enter().unwrap();
        let order = Arc::new(std::sync::Mutex::new(Vec::new()));
        let waiters: Vec<_> = (0..5)
            .map(|number| {
                let (circuit, order) = (Arc::clone(&circuit), Arc::clone(&order));
                tokio::spawn(async move {
                    let _permit = circuit.enter(None).await.unwrap();
                    order.lock().unwrap().push(number);
                    yield_now().await;
                })
            })
            .collect();
        for _ in 0..20 {
            yield_now().await;
        }
        drop(only);
        for waiter in waiters {
            waiter.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiter_that_gives_up_takes_nothing_with_it() {
        let circuit = circuit(1, 9);
        let only = circuit.try_enter().unwrap();
        let enter = |circuit: &Arc<Circuit>| {
            let circuit = Arc::clone(circuit);
            tokio::spawn(async move { circuit.enter(None).await })
        };
        let (gone, stays) = (enter(&circuit), enter(&circuit));
        yield_now().await;
        drop(only); // wakes the first, which never runs again
        gone.abort();
        assert!(stays.await.unwrap().is_ok());
        assert_eq!((circuit.requests(), circuit.waiting()), (0, 0));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn the_bound_holds_over_all_workers_and_nobody_is_forgotten() {
        let rules = model::Circuit {
            max_requests: 3,
            max_pending: 10_000,
            max_wait: Duration::from_secs(60),
            max_retries: 0,
            max_connections: None,
        };
        let circuit = Circuit::new(&rules, None);
        let tasks: Vec<_> = (0..64)
            .map(|_| {
                let circuit = Arc::clone(&circuit);
                tokio::spawn(async move {
                    for _ in 0..200 {
                        let _permit = entered(&circuit).await.unwrap();
                        assert!(circuit.requests() <= 3);
                        yield_now().await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!((circuit.requests(), circuit.waiting(), circuit.refused()), (0, 0, 0));
    }

    #[tokio::test]
    async fn further_attempts_have_a_bound_of_their_own() {
        let circuit = circuit(1, 0);
        let (first, second) = (circuit.try_retry(), circuit.try_retry());
        assert!(first.is_some() && second.is_some() && circuit.try_retry().is_none());
        drop(first);
        assert!(circuit.try_retry().is_some());
        assert_eq!(circuit.retries(), 1);
    }
}
