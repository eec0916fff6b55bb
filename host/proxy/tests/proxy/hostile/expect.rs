//! `Expect: 100-continue` (THREATS A10).

use edgewit_chain::RequestVerdict;
use tokio::io::AsyncReadExt;

use crate::support::{
    Backend, Connection, Gateway, Native, answer, forward_to, listener, route, talk, upstream,
};

const ASKING: &str = "host: a\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n";

/// THREATS A10
#[tokio::test]
async fn a10_a_refused_request_is_never_told_to_continue() {
    let backend = Backend::ok().await;
    let denying = Native {
        on_request: Some(Box::new(|exchange| {
            Ok(match exchange.path.as_str() {
                "/private" => RequestVerdict::Answer(answer(401, "who?")),
                _ => RequestVerdict::Proceed(Vec::new()),
            })
        })),
        ..Native::default()
    };
    let upstream = upstream("u", &[backend.address]);
    let mut to = route(forward_to(&[&upstream]));
    to.matchers[0].path = "/private".to_owned();
    to.body = Some(edgewit_model::ByteSize(1_000));
    let ready = (to, vec![denying.into_filter()], vec![upstream]);
    let gateway = Gateway::new(listener(), vec![ready]);
    let cases = [
        ("POST /private", ASKING.to_owned(), "401"),
        ("POST /nowhere", ASKING.to_owned(), "404"),
        ("TRACE /private", ASKING.to_owned(), "405"),
        ("POST /private", ASKING.replace("100-continue", "200-more"), "417"),
        ("POST /private", format!("x_user: a\r\n{ASKING}"), "400"),
    ];
    for (line, fields, status) in cases {
        let mut connection = Connection::new(gateway.address).await;
        connection.write(format!("{line} HTTP/1.1\r\n{fields}")).await;
        let head = connection.head().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{line}: {head}");
    }
    assert!(backend.heads().is_empty());
}

/// THREATS A10
#[tokio::test]
async fn a10_a_body_that_is_too_long_is_not_waited_for() {
    let backend = Backend::ok().await;
    let gateway = Gateway::changed(&backend, |route| {
        route.body = Some(edgewit_model::ByteSize(2));
    });
    let mut connection = Connection::new(gateway.address).await;
    connection.write(format!("POST / HTTP/1.1\r\n{ASKING}")).await;
    assert!(connection.head().await.starts_with("HTTP/1.1 413 "));
    let unknown = talk(
        gateway.address,
        "GET / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue, x\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert!(unknown.starts_with("HTTP/1.1 417 "), "{unknown}");
    assert!(backend.heads().is_empty());
}

/// THREATS A10
#[tokio::test]
async fn a10_an_accepted_request_is_told_once() {
    let backend = Backend::new(|mut stream, _| async move {
        crate::support::read_head(&mut stream).await.unwrap();
        stream.read_exact(&mut [0; 3]).await.unwrap();
        let response = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        tokio::io::AsyncWriteExt::write_all(&mut stream, response).await.unwrap();
    })
    .await;
    let gateway = Gateway::to(&backend);
    let mut connection = Connection::new(gateway.address).await;
    connection.write(format!("POST / HTTP/1.1\r\n{ASKING}")).await;
    assert_eq!(connection.head().await, "HTTP/1.1 100 Continue\r\n\r\n");
    connection.write("abc").await;
    assert!(connection.head().await.starts_with("HTTP/1.1 200 "));
}
