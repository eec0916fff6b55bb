//! Header fields that routes change.

use edgewit_model::{Edits, HeaderEdits, Template};
use http::HeaderName;

use crate::support::{
    Backend, Gateway, Native, answer, forward_to, listener, route, talk, upstream,
};

fn fields(list: &[(&str, &str)]) -> Vec<(HeaderName, Template)> {
    list.iter().map(|(n, v)| (n.parse().unwrap(), Template::new(v).unwrap())).collect()
}

fn names(list: &[&str]) -> Vec<HeaderName> {
    list.iter().map(|name| name.parse().unwrap()).collect()
}

fn edits() -> HeaderEdits {
    HeaderEdits {
        request: Edits {
            remove: names(&["x-secret", "x-new"]),
            set: fields(&[
                ("x-client", "{client-address}"),
                ("x-new", "{id} on {host} by {route}"),
                ("x-id", "{request-id}"),
            ]),
            append: fields(&[("x-more", "b")]),
        },
        response: Edits {
            remove: names(&["server"]),
            set: fields(&[("strict-transport-security", "max-age=1"), ("x-order", "{id}")]),
            append: fields(&[("x-more", "b")]),
        },
    }
}

const GET: &str = "GET /o/7 HTTP/1.1\r\nhost: A.test\r\nx-secret: 1\r\nx-client: me\r\nx-more: a\r\n\
    x-new: old\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn fields_are_removed_set_and_appended_in_this_order() {
    let backend = Backend::answering(
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nserver: s\r\nx-more: a\r\nx-order: 9\r\n\r\nok",
    )
    .await;
    let gateway = Gateway::changed(&backend, |route| {
        route.matchers[0].path = "/o/{id}".to_owned();
        route.headers = edits();
    });
    let response = talk(gateway.address, GET).await;
    for field in ["strict-transport-security: max-age=1", "x-order: 7", "x-more: a", "x-more: b"] {
        assert!(response.contains(&format!("\r\n{field}\r\n")), "{field} in {response}");
    }
    assert!(!response.contains("server:") && !response.contains("x-order: 9"), "{response}");
    let head = backend.heads().remove(0);
    let id = head.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap();
    for field in [
        "x-client: 127.0.0.1",
        "x-new: 7 on a.test by r",
        "x-more: a",
        "x-more: b",
        &format!("x-id: {id}"),
    ] {
        assert!(head.contains(&format!("\r\n{field}\r\n")), "{field} in {head}");
    }
    for gone in ["x-secret", "x-client: me", "x-new: old"] {
        assert!(!head.contains(gone), "{gone} in {head}");
    }
}

#[tokio::test]
async fn every_answer_of_a_route_has_its_fields_whoever_gave_it() {
    let closed = upstream("u", &["127.0.0.1:1".parse().unwrap()]);
    let door = Native {
        on_request: Some(Box::new(|exchange| {
            Ok(match exchange.method.as_str() {
                "PUT" => edgewit_chain::RequestVerdict::Answer(answer(401, "")),
                _ => edgewit_chain::RequestVerdict::Proceed(Vec::new()),
            })
        })),
        ..Native::default()
    };
    let mut own = route(forward_to(&[&closed]));
    own.matchers[0].path = "/o/{id}".to_owned();
    own.headers = edits();
    let gateway = Gateway::new(listener(), vec![(own, vec![door.into_filter()], vec![closed])]);
    for (method, status) in [("GET", "502"), ("PUT", "401")] {
        let response = talk(gateway.address, GET.replacen("GET", method, 1)).await;
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
        assert!(response.contains("\r\nstrict-transport-security: max-age=1\r\n"), "{response}");
        assert!(response.contains("\r\nx-order: 7\r\n"), "{response}");
    }
    let elsewhere = talk(gateway.address, GET.replacen("/o/7", "/x", 1)).await;
    assert!(elsewhere.starts_with("HTTP/1.1 404 "), "{elsewhere}");
    assert!(!elsewhere.contains("strict-transport-security"), "{elsewhere}");
}
