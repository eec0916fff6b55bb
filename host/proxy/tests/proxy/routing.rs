//! Which route a request takes, over sockets.

use edgewit_model::{
    Condition, ListenerName, Matcher, Part, Regex, Route, RouteName, SplitOn, Test,
};
use http::Method;

use crate::support::{
    Backend, Gateway, Native, Ready, answer, forward_to, listener, respond, route, talk, upstream,
};

fn named(name: &str, change: impl FnOnce(&mut Matcher)) -> Ready {
    let mut route = Route { name: RouteName::new(name).unwrap(), ..route(respond(200, name)) };
    change(&mut route.matchers[0]);
    (route, Vec::new(), Vec::new())
}

async fn ask(gateway: &Gateway, head: &str) -> String {
    talk(gateway.address, format!("{head}\r\nhost: a\r\nconnection: close\r\n\r\n")).await
}

#[tokio::test]
async fn conditions_decide_between_routes_of_one_path() {
    let condition = |part: Part, test: Test| Condition { part, test };
    let gateway = Gateway::new(
        listener(),
        vec![
            named("beta", |m| {
                let part = Part::Cookie("beta".to_owned());
                m.conditions.push(condition(part, Test::Exact("1".to_owned())));
            }),
            named("team", |m| {
                let part = Part::Header("x-team".parse().unwrap());
                m.conditions.push(condition(part, Test::Prefix("edge-".to_owned())));
            }),
            named("number", |m| {
                let part = Part::Query("id".to_owned());
                m.conditions.push(condition(part, Test::Regex(Regex::new("[0-9]+").unwrap())));
            }),
            named("version", |m| m.path_regex = Some(Regex::new("/v[0-9]+/.*").unwrap())),
            named("rest", |_| {}),
        ],
    );
    for (head, expected) in [
        ("GET /x HTTP/1.1\r\ncookie: a=2; beta=1", "beta"),
        ("GET /x HTTP/1.1\r\ncookie: beta=2", "rest"),
        ("GET /x HTTP/1.1\r\nx-team: edge-1", "team"),
        ("GET /x?id=12 HTTP/1.1", "number"),
        ("GET /x?id=12a HTTP/1.1", "rest"),
        ("GET /v12/x HTTP/1.1", "version"),
        ("GET /a/../v12/x HTTP/1.1", "version"),
        ("GET /v/x HTTP/1.1", "rest"),
    ] {
        let response = ask(&gateway, head).await;
        assert!(response.ends_with(&format!("\r\n\r\n{expected}")), "{head}: {response}");
    }
}

#[tokio::test]
async fn the_client_is_who_trusted_proxies_say() {
    let office = |m: &mut Matcher| m.clients = vec!["10.0.0.0/8".parse().unwrap()];
    let routes = || vec![named("office", office), named("world", |_| {})];
    let head = "GET / HTTP/1.1\r\nx-forwarded-for: 10.0.0.7";
    // Nobody is trusted: what the client says of itself does not count.
    let response = ask(&Gateway::new(listener(), routes()), head).await;
    assert!(response.ends_with("\r\n\r\nworld"), "{response}");
    let mut trusting = listener();
    trusting.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let gateway = Gateway::new(trusting, routes());
    assert!(ask(&gateway, head).await.ends_with("\r\n\r\noffice"));
    assert!(ask(&gateway, "GET / HTTP/1.1").await.ends_with("\r\n\r\nworld"));
}

#[tokio::test]
async fn h15_a_method_that_no_route_has_never_reaches_the_upstream() {
    let backend = Backend::ok().await;
    let gateway = Gateway::changed(&backend, |route| route.matchers[0].methods = vec![Method::GET]);
    let odd = ["OPTIONS", "POST", "PURGE", "get", "GETX", "M-SEARCH", "QUERY", "LOCK"];
    for method in odd {
        let response =
            ask(&gateway, &format!("{method} / HTTP/1.1\r\norigin: https://x.test")).await;
        assert!(response.starts_with("HTTP/1.1 405 "), "{method}: {response}");
        assert!(response.contains("\r\nallow: GET, HEAD\r\n"), "{method}: {response}");
    }
    for method in ["CONNECT", "TRACE"] {
        let response = ask(&gateway, &format!("{method} / HTTP/1.1")).await;
        assert!(response.starts_with("HTTP/1.1 4"), "{method}: {response}");
    }
    assert!(backend.heads().is_empty(), "{:?}", backend.heads());
    assert!(ask(&gateway, "HEAD / HTTP/1.1").await.starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(backend.heads()[0].starts_with("HEAD / "));
}

#[tokio::test]
async fn h15_filters_see_every_method_that_a_route_takes() {
    let backend = Backend::ok().await;
    let door = Native {
        on_request: Some(Box::new(|_| Ok(edgewit_chain::RequestVerdict::Answer(answer(401, ""))))),
        ..Native::default()
    };
    let gateway = Gateway::filtered(&backend, vec![door.into_filter()]);
    for method in ["GET", "HEAD", "OPTIONS", "PURGE"] {
        let head = format!(
            "{method} / HTTP/1.1\r\norigin: https://x.test\r\naccess-control-request-method: GET"
        );
        let response = ask(&gateway, &head).await;
        assert!(response.starts_with("HTTP/1.1 401 "), "{method}: {response}");
    }
    assert!(backend.heads().is_empty());
}

#[tokio::test]
async fn a_split_keeps_a_client_where_it_is() {
    let one = Backend::answering("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none").await;
    let two = Backend::answering("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\ntwo").await;
    let upstreams = vec![upstream("one", &[one.address]), upstream("two", &[two.address])];
    let mut split = route(forward_to(&[&upstreams[0], &upstreams[1]]));
    split.split_on = Some(SplitOn::Cookie("sid".to_owned()));
    let gateway = Gateway::new(listener(), vec![(split, Vec::new(), upstreams)]);
    let ask = |cookie: String| {
        let address = gateway.address;
        async move {
            let head = format!("GET / HTTP/1.1\r\nhost: a\r\n{cookie}connection: close\r\n\r\n");
            let response = talk(address, head).await;
            response[response.len() - 3..].to_owned()
        }
    };
    let mut seen = [0, 0];
    for user in 0..24 {
        let cookie = format!("cookie: x=1; sid=user{user}\r\n");
        let first = ask(cookie.clone()).await;
        for _ in 0..3 {
            assert_eq!(ask(cookie.clone()).await, first, "user {user}");
        }
        seen[usize::from(first == "two")] += 1;
    }
    assert!(seen.iter().all(|users| *users > 0), "{seen:?}");
    let mut without = Vec::new();
    for _ in 0..40 {
        without.push(ask(String::new()).await);
    }
    let both = ["one", "two"].map(str::to_owned);
    assert!(both.iter().all(|own| without.contains(own)), "{without:?}");
}

#[tokio::test]
async fn a_listener_may_send_everything_to_https() {
    let backend = Backend::ok().await;
    let mut plain = listener();
    plain.name = ListenerName::new("web").unwrap();
    plain.redirect_https = true;
    let upstream = upstream("u", &[backend.address]);
    let route = route(forward_to(&[&upstream]));
    let gateway = Gateway::new(plain, vec![(route, Vec::new(), vec![upstream])]);
    for (line, host, location) in [
        ("GET /a/../b?c=d", "A.test:8080", "https://a.test/b?c=d"),
        ("POST /", "a.test", "https://a.test/"),
        ("GET //evil.test/x", "a.test", "https://a.test/evil.test/x"),
        ("GET /x", "[::1]:80", "https://[::1]/x"),
    ] {
        let request = format!("{line} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let response = talk(gateway.address, request).await;
        assert!(response.starts_with("HTTP/1.1 308 "), "{line}: {response}");
        assert!(response.contains(&format!("\r\nlocation: {location}\r\n")), "{line}: {response}");
    }
    assert!(backend.heads().is_empty());
}
