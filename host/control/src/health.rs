//! Servers of upstreams that fall ill or recover, as events.
//!
//! The log has each change with its reason. Here the servers are looked at now and then, so that a request pays nothing for
//! it, and one that changes all the time is told of less and less often.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use edgewit_model::UpstreamName;
use edgewit_proxy::Proxy;
use edgewit_upstream::{ServerHealth, Upstream};

use crate::status::Status;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// From one event about a server to the next, at first; doubled as long as it keeps changing.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Where doubling ends.
const LONGEST_PAUSE: Duration = Duration::from_secs(5 * 60);
/// Events of one look. When a whole upstream goes, a few say so.
const MOST_EVENTS: usize = 20;

/// Tells of servers until the proxy has gone.
pub(crate) async fn tell(proxy: Weak<Proxy>, status: Arc<Status>) {
    let mut known = Known::default();
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(proxy) = proxy.upgrade() else { return };
        let snapshot = proxy.snapshot();
        let routes = snapshot.routes().iter();
        let all = routes.flat_map(|route| route.upstreams().iter().map(|live| live.upstream()));
        let upstreams: BTreeMap<&UpstreamName, &Arc<Upstream>> =
            all.map(|upstream| (upstream.name(), upstream)).collect();
        let servers: Vec<_> = upstreams
            .into_iter()
            .flat_map(|(name, upstream)| {
                upstream.health().into_iter().map(|server| (name.to_string(), server))
            })
            .collect();
        known.look(&servers, Instant::now(), &status);
    }
}

/// What has been told of servers, by upstream and server.
#[derive(Default)]
struct Known(BTreeMap<(String, String), Told>);

struct Told {
    state: State,
    /// When there may be another event.
    next: Instant,
    pause: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Available,
    Unhealthy,
    Ejected,
}

impl State {
    fn of(health: &ServerHealth) -> Self {
        match health {
            ServerHealth { healthy: false, .. } => Self::Unhealthy,
            ServerHealth { ejected_for: Some(_), .. } => Self::Ejected,
            _ => Self::Available,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Available => "is available again",
            Self::Unhealthy => "is unhealthy",
            Self::Ejected => "is ejected",
        }
    }
}

impl Known {
    fn look(&mut self, servers: &[(String, ServerHealth)], now: Instant, status: &Status) {
        let mut told = 0;
        let mut all = BTreeMap::new();
        for (upstream, health) in servers {
            let key = (upstream.clone(), health.server.clone());
            // Who was never seen is taken for available, as balancing takes it.
            let fresh = Told { state: State::Available, next: now, pause: Duration::ZERO };
            let mut known = self.0.remove(&key).unwrap_or(fresh);
            let state = State::of(health);
            if state != known.state && now >= known.next {
                if told < MOST_EVENTS {
                    let (server, words) = (&health.server, state.words());
                    status.event("health", format!("`{upstream}`: {server} {words}"));
                    told += 1;
                } else {
                    status.events().drop_some(1);
                }
                known.tell(state, now);
            }
            all.insert(key, known);
        }
        self.0 = all; // without servers that are gone
    }
}

impl Told {
    fn tell(&mut self, state: State, now: Instant) {
        let was_quiet = now.saturating_duration_since(self.next) > self.pause;
        let pause = if was_quiet { FIRST_PAUSE } else { self.pause * 2 };
        self.pause = pause.clamp(FIRST_PAUSE, LONGEST_PAUSE);
        self.next = now + self.pause;
        self.state = state;
    }
}

#[cfg(test)]
mod tests {
    use edgewit_telemetry::Metrics;

    use super::*;

    fn server(name: &str, healthy: bool, ejected: bool) -> (String, ServerHealth) {
        let ejected_for = ejected.then_some(Duration::from_secs(30));
        ("orders".to_owned(), ServerHealth { server: name.to_owned(), healthy, ejected_for })
    }

    fn messages(status: &Status) -> Vec<String> {
        status.events().after(0, usize::MAX).events.into_iter().map(|e| e.message).collect()
    }

    #[test]
    fn changes_are_told_and_nothing_else() {
        let status = Status::new(None, &Metrics::new(1));
        let (mut known, begun) = (Known::default(), Instant::now());
        let looks = [(true, false), (true, false), (false, false), (false, true), (true, true)];
        for (second, (healthy, ejected)) in (0_u32..).step_by(100).zip(looks) {
            let all = [server("a:80", healthy, ejected), server("b:80", true, false)];
            known.look(&all, begun + LOOK * second, &status);
        }
        known.look(&[server("a:80", true, false)], begun + LOOK * 1_000, &status);
        assert_eq!(
            messages(&status),
            [
                "`orders`: a:80 is unhealthy",
                "`orders`: a:80 is ejected",
                "`orders`: a:80 is available again"
            ]
        );
    }

    #[test]
    fn a_server_that_changes_all_the_time_is_told_of_less_and_less_often() {
        let status = Status::new(None, &Metrics::new(1));
        let (mut known, begun) = (Known::default(), Instant::now());
        for second in 0..3_600_u32 {
            known.look(&[server("a:80", second % 2 == 0, false)], begun + LOOK * second, &status);
        }
        let said = messages(&status).len();
        assert!((8..=40).contains(&said), "{said}");
    }

    #[test]
    fn when_all_servers_go_a_few_events_say_so() {
        let metrics = Metrics::new(1);
        let status = Status::new(None, &metrics);
        let all: Vec<_> = (0..100).map(|n| server(&format!("s{n}:80"), false, false)).collect();
        Known::default().look(&all, Instant::now(), &status);
        assert_eq!(messages(&status).len(), MOST_EVENTS);
        assert!(metrics.text().contains("edgewit_events_dropped_total{reason=\"limited\"} 80"));
    }
}
