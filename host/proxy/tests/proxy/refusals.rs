//! A10, F8: what is refused costs nobody else, and is refused before anything is asked for.

use std::sync::Arc;

use edgewit_chain::{
    Allowance, Filter, Instance, Needs, Phase, Phases, Prints, RequestVerdict, Stop, StopReason,
};
use edgewit_model::{Matcher, PluginName, Route, RouteName};

use crate::support::{
    Backend, Connection, Gateway, Native, answer, forward_to, listener, respond, route, talk,
    upstream,
};

/// A filter for which there is no room.
struct Crowded(PluginName, Needs);

impl Filter for Crowded {
    fn plugin(&self) -> &PluginName {
        &self.0
    }

    fn version(&self) -> &str {
        "1"
    }

    fn phases(&self) -> Phases {
        [Phase::Request].into_iter().collect()
    }

    fn needs(&self) -> &Needs {
        &self.1
    }

    fn allowance(&self) -> Allowance {
        Allowance { fuel: 1_000, host_calls: 10, log_lines: 10, prints: Prints::default() }
    }

    fn start(&self) -> Result<Box<dyn Instance>, Stop> {
        Err(Stop::new(StopReason::Exhausted, "no room"))
    }

    fn yields(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn f8_a_route_without_the_filter_answers_while_there_is_no_room_for_it() {
    let backend = Backend::ok().await;
    let upstream = upstream("u", &[backend.address]);
    let filtered = route(forward_to(&[&upstream]));
    let mut health = Route::new(RouteName::new("health").unwrap(), respond(200, "alive"));
    health.matchers = vec![Matcher { path: "/health".to_owned(), ..Matcher::default() }];
    let crowded: Arc<dyn Filter> =
        Arc::new(Crowded(PluginName::new("crowded").unwrap(), Needs::default()));
    let routes = vec![(filtered, vec![crowded], vec![upstream]), (health, Vec::new(), Vec::new())];
    let gateway = Gateway::new(listener(), routes);
    for _ in 0..20 {
        let get = |path| format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let refused = talk(gateway.address, get("/orders")).await;
        assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
        assert!(refused.contains("proxy-status: edgewit; error=proxy_internal_error"), "{refused}");
        let health = talk(gateway.address, get("/health")).await;
        assert!(health.ends_with("alive"), "{health}");
    }
    assert!(backend.heads().is_empty());
}

#[tokio::test]
async fn a10_nobody_is_told_to_continue_who_may_not() {
    let backend = Backend::ok().await;
    let filter = Native {
        on_request: Some(Box::new(|_| Ok(RequestVerdict::Answer(answer(401, "who are you?"))))),
        ..Native::default()
    };
    let denied = Gateway::filtered(&backend, vec![filter.into_filter()]);
    let unrouted = Gateway::new(listener(), Vec::new());
    for (gateway, status) in [(&denied, "401"), (&unrouted, "404")] {
        let mut client = Connection::new(gateway.address).await;
        let expecting =
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n";
        client.write(expecting).await;
        let head = client.head().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    }
    assert!(backend.heads().is_empty());
}
