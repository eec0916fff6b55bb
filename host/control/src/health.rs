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

use crate::{
    news::{LOOK, News, Words},
    status::Status,
};

/// Where the pause between two events about a server ends to double.
const LONGEST_PAUSE: Duration = Duration::from_secs(5 * 60);

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
struct Known(News<Key, State>);

/// Upstream and server.
type Key = (String, String);

const WORDS: Words<Key, State> = Words {
    is_news: |told, state| told != state,
    tell: |status, (upstream, server), _, state| {
        status.event("health", format!("`{upstream}`: {server} {}", state.words()));
    },
};

impl Default for Known {
    fn default() -> Self {
        Self(News::new(LONGEST_PAUSE))
    }
}

/// How a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// For which one is taken that was never seen, as balancing takes it.
    #[default]
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
        let all = servers.iter().map(|(upstream, health)| {
            ((upstream.clone(), health.server.clone()), State::of(health))
        });
        self.0.look(all, now, status, &WORDS);
    }
}

#[cfg(test)]
mod tests {
    use edgewit_telemetry::Metrics;

    use super::*;
    use crate::news::MOST_EVENTS;

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
