//! The plain way of a request.

use http::{Method, StatusCode};

use crate::support::{Backend, Connection, Gateway, listener, respond, route, talk};

const GET: &str = "GET /a/../b%7e?c=d HTTP/1.1\r\nhost: A.test\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn a_request_goes_to_the_upstream_and_back() {
    let backend = Backend::answering(
        "HTTP/1.1 201 Created\r\ncontent-length: 5\r\nserver: s\r\nconnection: x-hop\r\nx-hop: 1\r\n\r\nhello",
    )
    .await;
    let gateway = Gateway::to(&backend);
    let response = talk(gateway.address, GET).await;
    assert!(response.starts_with("HTTP/1.1 201 Created\r\n"), "{response}");
    assert!(response.ends_with("\r\n\r\nhello"), "{response}");
    for field in
        ["\r\ncontent-length: 5\r\n", "\r\nserver: s\r\n", "\r\ndate: ", "\r\nx-request-id: "]
    {
        assert!(response.contains(field), "{field:?} in {response}");
    }
    assert!(!response.contains("x-hop"), "{response}");

    let [head] = &backend.heads()[..] else { panic!("one request") };
    assert!(head.starts_with("GET /b~?c=d HTTP/1.1\r\n"), "{head}");
    for field in [
        "\r\nhost: a.test\r\n",
        "\r\nx-forwarded-for: 127.0.0.1\r\n",
        "\r\nx-forwarded-proto: http\r\n",
        "\r\nx-forwarded-host: a.test\r\n",
        "\r\nvia: 1.1 edgewit\r\n",
        "\r\ntraceparent: 00-",
    ] {
        assert!(head.contains(field), "{field:?} in {head}");
    }
    assert!(!head.contains("connection"), "{head}");
    let id = |text: &str| {
        let line = text.lines().find(|line| line.starts_with("x-request-id: ")).unwrap();
        line.to_owned()
    };
    assert_eq!(id(head), id(&response));
}

#[tokio::test]
async fn a_connection_serves_many_requests_over_few_of_the_upstream() {
    let backend = Backend::ok().await;
    let gateway = Gateway::to(&backend);
    let mut connection = Connection::new(gateway.address).await;
    for _ in 0..10 {
        connection.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let (head, body) = connection.response().await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert_eq!(body, "ok");
    }
    connection.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n".repeat(3)).await;
    for _ in 0..3 {
        assert_eq!(connection.response().await.1, "ok");
    }
    assert_eq!(backend.heads().len(), 13);
}

#[tokio::test]
async fn errors_of_the_host_are_problem_documents() {
    let mut read = route(respond(200, "hello"));
    read.matchers[0].methods = vec![Method::GET];
    read.matchers[0].path = "/x".to_owned();
    let gateway = Gateway::new(listener(), vec![(read, Vec::new(), Vec::new())]);
    let cases = [
        ("GET /y", StatusCode::NOT_FOUND, None),
        ("PUT /x", StatusCode::METHOD_NOT_ALLOWED, Some("allow: GET, HEAD")),
    ];
    for (line, status, field) in cases {
        let request = format!("{line} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let response = talk(gateway.address, request).await;
        assert!(response.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{response}");
        assert!(response.contains("\r\ncontent-type: application/problem+json\r\n"));
        if let Some(field) = field {
            assert!(response.contains(field), "{response}");
        }
        let body = response.split("\r\n\r\n").nth(1).unwrap();
        let id = response.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap();
        let title = status.canonical_reason().unwrap();
        let code = status.as_u16();
        assert_eq!(
            body,
            format!(
                "{{\"type\":\"about:blank\",\"title\":\"{title}\",\"status\":{code},\"instance\":\"{id}\"}}\n"
            )
        );
    }
}

#[tokio::test]
async fn a_fixed_answer_needs_no_upstream() {
    let gateway = Gateway::answering(Vec::new());
    let get = talk(gateway.address, "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(get.starts_with("HTTP/1.1 200 OK\r\n") && get.ends_with("\r\n\r\nhello"), "{get}");
    let head =
        talk(gateway.address, "HEAD / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(head.contains("\r\ncontent-length: 5\r\n") && head.ends_with("\r\n\r\n"), "{head}");
}

#[tokio::test]
async fn responses_without_body_have_none() {
    for (method, response) in [
        ("HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\netag: \"a\"\r\n\r\n"),
    ] {
        let backend = Backend::answering(response).await;
        let gateway = Gateway::to(&backend);
        let mut connection = Connection::new(gateway.address).await;
        for _ in 0..2 {
            connection.write(format!("{method} / HTTP/1.1\r\nhost: a\r\n\r\n")).await;
            let head = connection.head().await;
            assert_eq!(head.lines().next(), response.lines().next());
            assert_eq!(head.contains("content-length: 7"), method == "HEAD");
        }
    }
}

#[tokio::test]
async fn metrics_know_the_route() {
    let backend = Backend::ok().await;
    let gateway = Gateway::to(&backend);
    talk(gateway.address, GET).await;
    crate::support::until("the request is counted", || {
        let text = gateway.metrics.text();
        text.contains(r#"http_server_request_duration_seconds_count{http_request_method="GET",http_response_status_code="200",url_scheme="http",network_protocol_version="1.1",http_route="/{*rest}",edgewit_route="r"} 1"#)
            && text.contains("http_server_active_requests 0")
            && text.contains(r#"http_client_request_duration_seconds_count{server_address="127.0.0.1""#)
    })
    .await;
}
