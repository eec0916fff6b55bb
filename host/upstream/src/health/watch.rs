//! All endpoints of an upstream, each at its time.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Weak},
    time::Duration,
};

use edgewit_model as model;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until, timeout_at},
};

use super::{Ask, Unwell, ask, streak::Streak};
use crate::{
    background::Background,
    upstream::{Endpoint, EndpointId, Upstream},
};

/// Checks of one upstream that are under way at most.
const AT_ONCE: usize = 64;

/// The first check of an endpoint comes within this time, spread evenly: soon, because the endpoint serves already, and
/// not all at once.
const FIRST: Duration = Duration::from_secs(1);

/// Whether discovery has brought other endpoints is looked at so often.
const LOOK: Duration = Duration::from_secs(1);

/// Begins to check the endpoints of an upstream, if it is configured and there is a runtime to do it on.
pub(crate) fn begin(upstream: &Arc<Upstream>, rules: Option<&model::Health>) {
    if let Some(rules) = rules.cloned() {
        Background::spawn(upstream, |weak| Watch::new(rules).run(weak));
    }
}

/// The checks of one upstream.
struct Watch {
    rules: Arc<model::Health>,
    plans: HashMap<EndpointId, Plan>,
    running: JoinSet<(EndpointId, Result<(), Unwell>)>,
    random: RandomState,
    drawn: u64,
}

/// When an endpoint is checked next, and what came of it so far.
struct Plan {
    endpoint: Arc<Endpoint>,
    /// `None` while a check is under way.
    due: Option<Instant>,
    streak: Streak,
}

impl Watch {
    fn new(rules: model::Health) -> Self {
        Self {
            rules: Arc::new(rules),
            plans: HashMap::new(),
            running: JoinSet::new(),
            random: RandomState::new(),
            drawn: 0,
        }
    }

    async fn run(mut self, upstream: Weak<Upstream>) {
        loop {
            let wake = {
                let Some(upstream) = upstream.upgrade() else { return };
                let now = Instant::now();
                self.follow(&upstream, now);
                self.start(&upstream, now);
                self.next(now)
            };
            let ended = match self.running.is_empty() {
                true => {
                    sleep_until(wake).await;
                    None
                }
                false => timeout_at(wake, self.running.join_next()).await.ok().flatten(),
            };
            let Some(upstream) = upstream.upgrade() else { return };
            if let Some(Ok((id, result))) = ended {
                self.note(&upstream, id, &result);
            }
        }
    }

    /// Plans for endpoints that are new, none for those that are gone.
    fn follow(&mut self, upstream: &Upstream, now: Instant) {
        let set = upstream.endpoints();
        self.plans.retain(|id, _| set.iter().any(|endpoint| endpoint.id() == *id));
        for endpoint in set.iter() {
            if !self.plans.contains_key(&endpoint.id()) {
                let due = Some(now + self.share(FIRST.min(self.rules.interval)));
                let plan = Plan { endpoint: endpoint.clone(), due, streak: Streak::new() };
                self.plans.insert(endpoint.id(), plan);
            }
        }
    }

    fn start(&mut self, upstream: &Arc<Upstream>, now: Instant) {
        for (id, plan) in &mut self.plans {
            if self.running.len() >= AT_ONCE {
                return;
            }
            if plan.due.is_none_or(|due| due > now) {
                continue;
            }
            plan.due = None;
            let (id, rules) = (*id, Arc::clone(&self.rules));
            let (upstream, endpoint) = (Arc::clone(upstream), Arc::clone(&plan.endpoint));
            self.running.spawn(async move {
                let deadline = Instant::now() + rules.timeout;
                (id, ask(Ask { rules, upstream, endpoint, deadline }).await)
            });
        }
    }

    /// When there is something to do, if no check ends before.
    fn next(&self, now: Instant) -> Instant {
        let full = self.running.len() >= AT_ONCE;
        let due = self.plans.values().filter_map(|plan| plan.due).min();
        let look = now + LOOK;
        due.filter(|_| !full).map_or(look, |due| due.min(look))
    }

    fn note(&mut self, upstream: &Upstream, id: EndpointId, result: &Result<(), Unwell>) {
        let tenth = self.rules.interval / 10;
        let pause = self.rules.interval - tenth + self.share(tenth * 2);
        let Some(plan) = self.plans.get_mut(&id) else { return };
        plan.due = Some(Instant::now() + pause);
        if let Some(healthy) = plan.streak.note(result.is_ok(), &self.rules) {
            let reason = result.as_ref().err().map(ToString::to_string).unwrap_or_default();
            upstream.safeguards().checked(&plan.endpoint, healthy, &reason);
        }
    }

    /// Anything up to so much.
    fn share(&mut self, most: Duration) -> Duration {
        self.drawn = self.drawn.wrapping_add(1);
        let random = self.random.hash_one(self.drawn) >> 32;
        let nanos = (most.as_nanos().saturating_mul(u128::from(random))) >> 32;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}
