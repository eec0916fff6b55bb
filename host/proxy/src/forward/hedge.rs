//! A second attempt while the first still waits.

use std::{
    cell::Cell,
    future::{Future, pending, poll_fn},
    pin::Pin,
    rc::Rc,
    task::Poll,
};

use edgewit_model::{Hedge, Retry};
use edgewit_upstream::{
    EndpointId, InBody, OutBody, Pools, RetryPermit, SendError, Tried, is_idempotent, send,
};
use http::{Method, Request, Response};
use tokio::time::{Instant, sleep_until};

use super::{Spare, attempts::Attempts};
use crate::{finish::Finish, snapshot::LiveUpstream};

type Sent = Result<Response<InBody>, SendError>;

/// Whether attempts at this request may be doubled: only where twice has the effect of once.
pub(super) fn rules<'r>(retry: &'r Retry, method: &Method) -> Option<&'r Hedge> {
    retry.hedge.as_ref().filter(|_| is_idempotent(method))
}

/// Attempts at one request that run side by side. The first good response wins, the others are cancelled.
///
/// Most requests are answered before the second attempt begins. Where one endpoint has a bad moment the other answers, at
/// the price of a share of the retry budget.
pub(super) struct Hedging<'a> {
    rules: &'a Hedge,
    live: &'a LiveUpstream,
    pools: &'a Pools,
    attempts: &'a Attempts<'a>,
    running: Vec<Running<'a>>,
    /// What did not go well while others still ran.
    spoilt: Option<Ended>,
}

/// How the attempts ended.
pub(super) struct Ended {
    pub(super) sent: Sent,
    pub(super) tried: Tried,
    /// When that attempt began.
    pub(super) began: Instant,
}

struct Running<'a> {
    future: Pin<Box<dyn Future<Output = (Sent, Tried)> + 'a>>,
    began: Instant,
    /// The endpoint, as soon as it is chosen.
    chosen: Rc<Cell<Option<EndpointId>>>,
    /// Set for all but the first.
    leave: Option<RetryPermit>,
}

impl<'a> Hedging<'a> {
    pub(super) fn new(
        rules: &'a Hedge,
        live: &'a LiveUpstream,
        pools: &'a Pools,
        attempts: &'a Attempts<'a>,
    ) -> Self {
        Self { rules, live, pools, attempts, running: Vec::new(), spoilt: None }
    }

    /// One attempt, and further ones while nothing comes of it.
    pub(super) async fn send(
        mut self,
        first: Request<OutBody>,
        spare: &Spare,
        tried: &Tried,
        finish: &mut Finish,
    ) -> Ended {
        self.begin(first, tried.clone(), None);
        let mut next = Some(Instant::now() + self.rules.after);
        loop {
            let ended = tokio::select! {
                biased;
                ended = first_of(&mut self.running) => Some(ended),
                () = at(next) => None,
            };
            match ended {
                Some((ended, was_hedge)) => {
                    if let Some(ended) = self.take(ended, was_hedge) {
                        return ended;
                    }
                }
                None => {
                    let begun = self.hedge(spare, tried).map(|()| finish.tried()).is_some();
                    let more = begun && self.running.len() <= self.rules.most as usize;
                    next = more.then(|| Instant::now() + self.rules.after);
                }
            }
        }
    }

    fn begin(&mut self, request: Request<OutBody>, mut tried: Tried, leave: Option<RetryPermit>) {
        let chosen = Rc::new(Cell::new(None));
        tried.chosen = Some(Rc::clone(&chosen));
        let began = Instant::now();
        tried.deadline = Some(self.attempts.deadline(began));
        tried.began = Some(began);
        let (live, pools) = (self.live, self.pools);
        let future = Box::pin(async move {
            let sent = send(live.upstream(), pools, request, &mut tried).await;
            tried.chosen = None;
            (sent, tried)
        });
        self.running.push(Running { future, began, chosen, leave });
    }

    /// Begins a further attempt elsewhere; `None` if there is no elsewhere, or the budget or the circuit forbid it.
    fn hedge(&mut self, spare: &Spare, tried: &Tried) -> Option<()> {
        let mut tried = tried.clone();
        for busy in &self.running {
            tried.add(busy.chosen.get()?); // still waits for leave: another would only wait too
        }
        tried.elsewhere = true;
        if !self.live.upstream().has_other(&tried) {
            return None;
        }
        let request = spare.request()?;
        let leave = self.attempts.leave()?;
        self.begin(request, tried, Some(leave));
        Some(())
    }

    /// Takes in the end of an attempt; `Some` if nothing better is to be expected.
    fn take(&mut self, ended: Ended, was_hedge: bool) -> Option<Ended> {
        let is_good = ended.sent.as_ref().is_ok_and(|r| r.status().as_u16() < 500);
        if is_good {
            if was_hedge {
                self.live.hedged(true);
            }
            let beaten = self.running.iter().filter(|running| running.leave.is_some()).count();
            (0..beaten).for_each(|_| self.live.hedged(false));
            return Some(ended);
        }
        if was_hedge {
            self.live.hedged(false);
        }
        if !self.running.is_empty() {
            self.spoilt.get_or_insert(ended);
            return None;
        }
        // A response says more than none.
        match self.spoilt.take() {
            Some(earlier) if ended.sent.is_err() => Some(earlier),
            _ => Some(ended),
        }
    }
}

/// The end of the attempt that ends first, and whether it was a further one.
async fn first_of(running: &mut Vec<Running<'_>>) -> (Ended, bool) {
    poll_fn(|cx| {
        for index in 0..running.len() {
            let Some(one) = running.get_mut(index) else { break };
            if let Poll::Ready((sent, tried)) = one.future.as_mut().poll(cx) {
                let Running { began, leave, .. } = running.swap_remove(index);
                return Poll::Ready((Ended { sent, tried, began }, leave.is_some()));
            }
        }
        Poll::Pending
    })
    .await
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => pending().await,
    }
}
