//! What upstreams and clients are sent to: rewrites and redirects.

use edgewit_chain::{RequestVerdict, RoutingVerdict};
use edgewit_model::{Action, Authority, PathRewrite, Redirect, Regex, Rewrite, Route, Template};
use http::StatusCode;
use std::sync::{Arc, Mutex};

use crate::support::{Backend, Gateway, Native, forward_to, listener, route, talk, upstream};

fn template(text: &str) -> Template {
    Template::new(text).unwrap()
}

async fn get(gateway: &Gateway, target: &str) -> String {
    let request = format!("GET {target} HTTP/1.1\r\nhost: a.test:81\r\nconnection: close\r\n\r\n");
    talk(gateway.address, request).await
}

#[tokio::test]
async fn a_rewrite_makes_the_target_that_the_upstream_gets() {
    let regex = || PathRewrite::Regex {
        pattern: Regex::new("/v(?<n>[0-9]+)/(.*)").unwrap(),
        replace: "/${n}/$2".to_owned(),
    };
    let prefix = || PathRewrite::Prefix { from: "/a".to_owned(), to: "/b".to_owned() };
    let named = || PathRewrite::Template(template("/new/{rest}/of/{id}"));
    let cases = [
        ("/{*rest}", prefix(), "/a/x%20y?q=1", "/b/x%20y?q=1"),
        ("/{*rest}", prefix(), "/ab", "/ab"),
        ("/{*rest}", regex(), "/v12/x/y?q", "/12/x/y?q"),
        ("/o/{id}/{*rest}", named(), "/o/7/x/y", "/new/x/y/of/7"),
    ];
    for (pattern, path, target, expected) in cases {
        let backend = Backend::ok().await;
        let gateway = Gateway::changed(&backend, |route| {
            route.matchers[0].path = pattern.to_owned();
            route.rewrite.path = Some(path);
            route.rewrite.host = Some(Authority::new("internal.test:9").unwrap());
        });
        let response = get(&gateway, target).await;
        assert!(response.starts_with("HTTP/1.1 200 OK"), "{target}: {response}");
        let head = backend.heads().remove(0);
        assert!(head.starts_with(&format!("GET {expected} HTTP/1.1\r\n")), "{head}");
        assert!(head.contains("\r\nhost: internal.test:9\r\n"), "{head}");
    }
}

#[tokio::test]
async fn a_query_is_kept_replaced_or_taken_away() {
    for (own, target, expected) in [
        (None, "/o/7?a=1", "/o/7?a=1"),
        (Some("id={id}&{query}"), "/o/7?a=1", "/o/7?id=7&a=1"),
        (Some("id={id}&{query}"), "/o/7", "/o/7?id=7"),
        (Some(""), "/o/7?a=1", "/o/7"),
    ] {
        let backend = Backend::ok().await;
        let gateway = Gateway::changed(&backend, |route| {
            route.matchers[0].path = "/o/{id}".to_owned();
            route.rewrite.query = own.map(template);
        });
        get(&gateway, target).await;
        let head = backend.heads().remove(0);
        assert!(head.starts_with(&format!("GET {expected} HTTP/1.1\r\n")), "{head}");
    }
}

#[tokio::test]
async fn h2_a_rewritten_path_that_reads_differently_is_never_sent() {
    let backend = Backend::ok().await;
    let regex = |replace: &str| Rewrite {
        path: Some(PathRewrite::Regex {
            pattern: Regex::new("/r/(.*)").unwrap(),
            replace: replace.to_owned(),
        }),
        ..Rewrite::default()
    };
    for (replace, target) in [
        ("/x/../$1", "/r/admin"),
        ("//$1", "/r/admin"),
        ("/%2$1", "/r/fadmin"),
        ("/%2$1", "/r/e/admin"),
        ("/a$1", "/r/%5Cadmin"),
        ("$1", "/r/admin"),
        ("/$1 HTTP/1.1", "/r/a"),
    ] {
        let gateway = Gateway::changed(&backend, |route| route.rewrite = regex(replace));
        let response = get(&gateway, target).await;
        assert!(response.starts_with("HTTP/1.1 400 "), "{replace} {target}: {response}");
    }
    assert!(backend.heads().is_empty(), "{:?}", backend.heads());
}

#[tokio::test]
async fn filters_judge_the_path_that_came_in() {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let own = Arc::clone(&seen);
    let watcher = Native {
        on_request: Some(Box::new(move |exchange| {
            own.lock().unwrap().push(exchange.path.to_string());
            Ok(RequestVerdict::Proceed(Vec::new()))
        })),
        ..Native::default()
    };
    let backend = Backend::ok().await;
    let upstream = upstream("u", &[backend.address]);
    let mut route = route(forward_to(&[&upstream]));
    let prefix = PathRewrite::Prefix { from: "/a".to_owned(), to: "/b".to_owned() };
    route.rewrite.path = Some(prefix);
    let ready = (route, vec![watcher.into_filter()], vec![upstream]);
    let gateway = Gateway::new(listener(), vec![ready]);
    get(&gateway, "/a/./x").await;
    assert_eq!(*seen.lock().unwrap(), ["/a/x"]);
    assert!(backend.heads()[0].starts_with("GET /b/x HTTP/1.1\r\n"));
}

#[tokio::test]
async fn h14_a_path_that_a_filter_chose_is_sent_as_it_was_authorised() {
    // It does not fit the pattern any more, so there is nothing to fill the template with; nor is the old path used.
    let chooser = Native {
        on_route: Some(Box::new(|_| RoutingVerdict::Choose {
            upstream: None,
            path: Some("/chosen?own=1".to_owned()),
            edits: Vec::new(),
        })),
        ..Native::default()
    };
    let backend = Backend::ok().await;
    let upstream = upstream("u", &[backend.address]);
    let mut route = route(forward_to(&[&upstream]));
    route.matchers[0].path = "/o/{id}".to_owned();
    route.rewrite.path = Some(PathRewrite::Template(template("/new/{id}")));
    route.rewrite.query = Some(template("id={id}"));
    let ready = (route, vec![chooser.into_filter()], vec![upstream]);
    let gateway = Gateway::new(listener(), vec![ready]);
    get(&gateway, "/o/7?a=1").await;
    let head = backend.heads().remove(0);
    assert!(head.starts_with("GET /chosen?own=1 HTTP/1.1\r\n"), "{head}");
}

#[tokio::test]
async fn h1_no_spelling_leads_past_a_route_by_its_rewrite() {
    let backend = Backend::ok().await;
    let regex = PathRewrite::Regex {
        pattern: Regex::new("/x/(.*)").unwrap(),
        replace: "/public/$1".to_owned(),
    };
    let prefix = PathRewrite::Prefix { from: "/x".to_owned(), to: "/public".to_owned() };
    let named = PathRewrite::Template(template("/public/{rest}"));
    for rewrite in [regex, prefix, named] {
        let gateway = Gateway::changed(&backend, |route| {
            route.matchers[0].path = "/x/{*rest}".to_owned();
            route.rewrite.path = Some(rewrite);
        });
        for target in [
            "/ad%6din",
            "//admin",
            "/x/../admin",
            "/x/%2e%2e/admin",
            "/x/..%2fadmin",
            "/x/..;/admin",
            "/x\\..\\admin",
            "/x/..%5cadmin",
            "/x/%c0%ae%c0%ae/admin",
            "/x/%00",
            "/x#/../admin",
            "/x/%zz",
        ] {
            let response = get(&gateway, target).await;
            assert!(response.starts_with("HTTP/1.1 4"), "{target}: {response}");
        }
        // Escaped once more it is a name like any other, and stays one.
        get(&gateway, "/x/%252e%252e/admin").await;
    }
    let lines: Vec<String> =
        backend.heads().iter().map(|head| head.lines().next().unwrap().to_owned()).collect();
    assert_eq!(lines, ["GET /public/%252e%252e/admin HTTP/1.1"; 3]);
}

fn redirecting(location: &str, change: impl FnOnce(&mut Route)) -> Gateway {
    let location = template(location);
    let mut route = route(Action::Redirect(Redirect { status: StatusCode::FOUND, location }));
    change(&mut route);
    Gateway::new(listener(), vec![(route, Vec::new(), Vec::new())])
}

#[tokio::test]
async fn a_location_is_filled_in() {
    for (pattern, location, target, expected) in [
        ("/{*rest}", "/fixed", "/x", "/fixed"),
        ("/{*rest}", "https://b.test{path}?{query}", "/x?y=1", "https://b.test/x?y=1"),
        ("/{*rest}", "https://b.test{path}?{query}", "/x", "https://b.test/x"),
        ("/{*rest}", "{scheme}://{host}/n{path}", "/x", "http://a.test/n/x"),
        ("/{*rest}", "{scheme}://{authority}/n{path}", "/x", "http://a.test:81/n/x"),
        ("/old/{id}/{*rest}", "/new/{rest}?id={id}", "/old/7/x/y", "/new/x/y?id=7"),
        ("/old/{*rest}", "/new/{rest}", "/old/", "/new/"),
        ("/old/{*rest}", "/new/{rest}", "/old/%0d%20a", ""),
        ("/old/{*rest}", "/new/{rest}", "/old/a%20%3cb", "/new/a%20%3Cb"),
    ] {
        let gateway = redirecting(location, |route| route.matchers[0].path = pattern.to_owned());
        let response = get(&gateway, target).await;
        if expected.is_empty() {
            assert!(response.starts_with("HTTP/1.1 400 "), "{target}: {response}");
            continue;
        }
        assert!(response.starts_with("HTTP/1.1 302 "), "{target}: {response}");
        assert!(
            response.contains(&format!("\r\nlocation: {expected}\r\n")),
            "{target}: {response}"
        );
    }
}

#[tokio::test]
async fn a_client_cannot_be_sent_to_a_host_of_its_choice() {
    // What an expression captures may begin with a slash, which no segment does.
    let gateway = redirecting("/{to}", |route| {
        route.matchers[0].path_regex = Some(Regex::new("/go(?<to>.*)").unwrap());
    });
    for target in ["/go/evil.test", "/go/evil.test/x", "/go//evil.test"] {
        let response = get(&gateway, target).await;
        assert!(response.starts_with("HTTP/1.1 400 "), "{target}: {response}");
        assert!(!response.contains("location"), "{target}: {response}");
    }
    assert!(get(&gateway, "/gohome").await.contains("\r\nlocation: /home\r\n"));
    let gateway = redirecting("{path}", |_| {});
    let response = get(&gateway, "//evil.test/x").await;
    assert!(response.contains("\r\nlocation: /evil.test/x\r\n"), "{response}");
}
