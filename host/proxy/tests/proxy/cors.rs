//! Pages of other origins (Fetch 3.3).

use std::time::Duration;

use edgewit_chain::{BodyMode, BodyVerdict, Needs};
use edgewit_model::{Cors, OriginPattern};
use http::Method;

use crate::support::{
    Backend, Gateway, Native, answer, forward_to, listener, route, talk, upstream,
};

fn cors() -> Cors {
    Cors {
        origins: vec![
            OriginPattern::Exact("https://app.test".to_owned()),
            OriginPattern::Below { scheme: "https://".to_owned(), suffix: ".app.test".to_owned() },
        ],
        methods: Some(vec![Method::GET, Method::PUT]),
        headers: Some(vec!["content-type".parse().unwrap(), "x-a".parse().unwrap()]),
        expose: Some(vec!["x-total".parse().unwrap()]),
        credentials: true,
        max_age: Duration::from_secs(600),
    }
}

fn for_all() -> Cors {
    Cors {
        origins: vec![OriginPattern::Any],
        methods: None,
        headers: None,
        expose: None,
        credentials: false,
        max_age: Duration::ZERO,
    }
}

async fn ask(gateway: &Gateway, head: &str) -> String {
    talk(gateway.address, format!("{head}\r\nhost: a\r\nconnection: close\r\n\r\n")).await
}

/// The fields that are about permissions, sorted.
fn permissions(response: &str) -> Vec<&str> {
    let is_one = |line: &&str| line.starts_with("access-control-") || line.starts_with("vary");
    let mut lines: Vec<&str> = response.lines().filter(is_one).collect();
    lines.sort_unstable();
    lines
}

const ASKED: &str = "vary: origin, access-control-request-method, access-control-request-headers";

fn preflight(origin: &str, method: &str) -> String {
    format!("OPTIONS /x HTTP/1.1\r\norigin: {origin}\r\naccess-control-request-method: {method}")
}

#[tokio::test]
async fn a_question_for_permission_is_answered_before_the_filters() {
    let backend = Backend::ok().await;
    let door = Native {
        on_request: Some(Box::new(|_| Ok(edgewit_chain::RequestVerdict::Answer(answer(401, ""))))),
        ..Native::default()
    };
    let upstream = upstream("u", &[backend.address]);
    let mut own = route(forward_to(&[&upstream]));
    own.matchers[0].methods = vec![Method::GET, Method::PUT];
    own.cors = Some(cors());
    let gateway = Gateway::new(listener(), vec![(own, vec![door.into_filter()], vec![upstream])]);
    let granted = |origin: &'static str| {
        vec![
            "access-control-allow-credentials: true".to_owned(),
            "access-control-allow-headers: content-type, x-a".to_owned(),
            "access-control-allow-methods: GET, PUT".to_owned(),
            format!("access-control-allow-origin: {origin}"),
            "access-control-max-age: 600".to_owned(),
            ASKED.to_owned(),
        ]
    };
    for (origin, expected) in [
        ("https://app.test", granted("https://app.test")),
        ("https://x.app.test", granted("https://x.app.test")),
        ("https://evil.test", vec![ASKED.to_owned()]),
        ("http://app.test", vec![ASKED.to_owned()]),
        ("https://app.test:8443", vec![ASKED.to_owned()]),
        ("https://app.test.evil.test", vec![ASKED.to_owned()]),
        ("null", vec![ASKED.to_owned()]),
    ] {
        let response = ask(&gateway, &preflight(origin, "PUT")).await;
        assert!(response.starts_with("HTTP/1.1 204 "), "{origin}: {response}");
        assert_eq!(permissions(&response), expected, "{origin}");
    }
    // These ask for no permission, or for a method that no route has.
    for (head, status) in [
        ("OPTIONS /x HTTP/1.1".to_owned(), "405"),
        ("OPTIONS /x HTTP/1.1\r\norigin: https://app.test".to_owned(), "405"),
        ("OPTIONS /x HTTP/1.1\r\naccess-control-request-method: PUT".to_owned(), "405"),
        (preflight("https://app.test", "DELETE"), "405"),
        (preflight("https://app.test", "a b"), "405"),
        ("GET /x HTTP/1.1\r\norigin: https://app.test".to_owned(), "401"),
    ] {
        let response = ask(&gateway, &head).await;
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{head}: {response}");
    }
    assert!(backend.heads().is_empty(), "{:?}", backend.heads());
}

#[tokio::test]
async fn responses_have_our_permissions_and_not_the_upstreams() {
    let backend = Backend::answering(
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\naccess-control-allow-origin: *\r\n\
         access-control-allow-credentials: true\r\naccess-control-expose-headers: x-b\r\nvary: accept\r\n\r\nok",
    )
    .await;
    let gateway = Gateway::changed(&backend, |route| route.cors = Some(cors()));
    let granted = [
        "access-control-allow-credentials: true",
        "access-control-allow-origin: https://x.app.test",
        "access-control-expose-headers: x-total",
        "vary: accept",
        "vary: origin",
    ];
    let refused = ["vary: accept", "vary: origin"];
    for (head, expected) in [
        ("GET / HTTP/1.1\r\norigin: https://x.app.test", granted.as_slice()),
        ("POST / HTTP/1.1\r\norigin: https://x.app.test\r\ncontent-length: 0", &granted),
        ("GET / HTTP/1.1\r\norigin: https://evil.test", &refused),
        ("GET / HTTP/1.1\r\norigin: null", &refused),
        ("GET / HTTP/1.1", &refused),
    ] {
        let response = ask(&gateway, head).await;
        assert!(response.ends_with("\r\n\r\nok"), "{head}: {response}");
        assert_eq!(permissions(&response), expected, "{head}");
    }
    assert!(backend.heads()[0].contains("\r\norigin: https://x.app.test\r\n"));
}

#[tokio::test]
async fn what_is_for_all_does_not_depend_on_the_origin() {
    let backend = Backend::ok().await;
    let gateway = Gateway::changed(&backend, |route| route.cors = Some(for_all()));
    let response = ask(&gateway, "GET / HTTP/1.1\r\norigin: null").await;
    assert_eq!(
        permissions(&response),
        ["access-control-allow-origin: *", "access-control-expose-headers: *"]
    );
    let response = ask(&gateway, &preflight("https://any.test", "PATCH")).await;
    assert_eq!(
        permissions(&response),
        [
            "access-control-allow-headers: *",
            "access-control-allow-methods: *",
            "access-control-allow-origin: *",
            "access-control-max-age: 0",
            ASKED,
        ]
    );
    assert_eq!(backend.heads().len(), 1);
}

#[tokio::test]
async fn errors_can_be_read_by_the_pages_that_may() {
    let closed = upstream("u", &["127.0.0.1:1".parse().unwrap()]);
    let mut own = route(forward_to(&[&closed]));
    own.cors = Some(cors());
    let gateway = Gateway::new(listener(), vec![(own, Vec::new(), vec![closed])]);
    let response = ask(&gateway, "GET / HTTP/1.1\r\norigin: https://app.test").await;
    assert!(response.starts_with("HTTP/1.1 502 "), "{response}");
    assert!(permissions(&response).contains(&"access-control-allow-origin: https://app.test"));
}

#[tokio::test]
async fn an_answer_in_the_place_of_a_body_can_be_read_by_the_pages_that_may() {
    let backend = Backend::ok().await;
    let upstream = upstream("u", &[backend.address]);
    let mut own = route(forward_to(&[&upstream]));
    own.cors = Some(cors());
    let name = "strict-transport-security".parse().unwrap();
    own.headers.response.set.push((name, edgewit_model::Template::new("max-age=1").unwrap()));
    let filter = Native {
        needs: Needs { response_body: BodyMode::Buffer(100), ..Needs::default() },
        on_response_body: Some(Box::new(|_, _| Ok(BodyVerdict::Answer(answer(422, "bad"))))),
        ..Native::default()
    };
    let gateway = Gateway::new(listener(), vec![(own, vec![filter.into_filter()], vec![upstream])]);
    let response = ask(&gateway, "GET / HTTP/1.1\r\norigin: https://app.test").await;
    assert!(response.starts_with("HTTP/1.1 422 "), "{response}");
    assert!(permissions(&response).contains(&"access-control-allow-origin: https://app.test"));
    assert!(response.contains("\r\nstrict-transport-security: max-age=1\r\n"), "{response}");
}

/// The question is answered here, whatever else it brings; nothing of it goes anywhere.
#[tokio::test]
async fn a_question_for_permission_never_gets_behind_the_door() {
    let backend = Backend::ok().await;
    let door = Native {
        on_request: Some(Box::new(|_| Ok(edgewit_chain::RequestVerdict::Answer(answer(401, ""))))),
        ..Native::default()
    };
    let upstream = upstream("u", &[backend.address]);
    let mut own = route(forward_to(&[&upstream]));
    own.cors = Some(cors());
    own.upgrades = vec![http::HeaderValue::from_static("websocket")];
    let gateway = Gateway::new(listener(), vec![(own, vec![door.into_filter()], vec![upstream])]);
    let question = preflight("https://app.test", "PUT");
    for (more, status) in [
        ("content-length: 3\r\nconnection: close\r\n\r\nabc".to_owned(), "204"),
        ("transfer-encoding: chunked\r\nconnection: close\r\n\r\n0\r\n\r\n".to_owned(), "204"),
        ("connection: upgrade, close\r\nupgrade: websocket\r\n\r\n".to_owned(), "204"),
        ("x-http-method-override: DELETE\r\nconnection: close\r\n\r\n".to_owned(), "204"),
        (
            "expect: 100-continue\r\ncontent-length: 3\r\nconnection: close\r\n\r\n".to_owned(),
            "204",
        ),
    ] {
        let response = talk(gateway.address, format!("{question}\r\nhost: a\r\n{more}")).await;
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{more}: {response}");
    }
    // The same method without the question is a request like all others.
    for more in ["", "origin: https://app.test\r\n", "access-control-request-method: PUT\r\n"] {
        let head = format!("OPTIONS /x HTTP/1.1\r\nhost: a\r\n{more}connection: close\r\n\r\n");
        let response = talk(gateway.address, head).await;
        assert!(response.starts_with("HTTP/1.1 401 "), "{more}: {response}");
    }
    assert!(backend.heads().is_empty(), "{:?}", backend.heads());
}
