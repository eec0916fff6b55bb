//! Bodies of HTTP/1 that are not what they say.

use tokio::io::AsyncReadExt;

use super::is_well;
use crate::support::{
    Backend, Connection, Gateway, forward_to, listener, respond, route, talk, upstream,
};

/// THREATS A5
#[tokio::test]
async fn a5_loose_chunks_are_a_400() {
    let hungry = Backend::new(|mut stream, _| async move {
        let _ = stream.read_to_end(&mut Vec::new()).await; // answers nothing
    })
    .await;
    let gateway = Gateway::to(&hungry);
    let long = format!("2;{}\r\nab\r\n0\r\n\r\n", "x".repeat(64 << 10));
    let bodies = [
        "0x2\r\nab\r\n0\r\n\r\n",
        "-2\r\nab\r\n0\r\n\r\n",
        "2 \r\nab\r\n0\r\n\r\n",
        "2\nab\r\n0\r\n\r\n",
        "2;a\nb\r\nab\r\n0\r\n\r\n",
        "2\r\nabc\r\n0\r\n\r\n",
        "2\r\nab0\r\n\r\n",
        "10000000000000000\r\nab",
        "0\r\n x: y\r\n\r\n",
        "0\r\nx: y\n\r\n",
        long.as_str(),
    ];
    for body in bodies {
        let head = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
        let answer = talk(gateway.address, format!("{head}{body}")).await;
        let shown = body.get(..body.len().min(30));
        assert!(answer.starts_with("HTTP/1.1 400 "), "{shown:?} got {answer:?}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{shown:?} got {answer:?}");
    }
    let counted = format!(
        "edgewit_requests_refused_total{{listener=\"web\",reason=\"body-framing\"}} {}",
        bodies.len()
    );
    assert!(gateway.metrics.text().contains(&counted), "{}", gateway.metrics.text());
}

/// THREATS A14
#[tokio::test]
async fn a14_the_rest_of_a_body_is_never_a_request() {
    let backend = Backend::ok().await;
    let upstream = upstream("u", &[backend.address]);
    let mut strict = route(respond(403, "no"));
    strict.matchers[0].path = "/closed".to_owned();
    strict.name = edgewit_model::RouteName::new("closed").unwrap();
    let mut open = route(forward_to(&[&upstream]));
    open.matchers[0].path = "/{*rest}".to_owned();
    let routes = vec![(strict, Vec::new(), Vec::new()), (open, Vec::new(), vec![upstream])];
    let gateway = Gateway::new(listener(), routes);
    let smuggled = "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    for size in [10_usize, 1_000, 70_000, 1_000_000] {
        let body = smuggled.repeat(size / smuggled.len() + 1);
        let head =
            format!("POST /closed HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len());
        let next = "GET /next HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        let mut connection = Connection::new(gateway.address).await;
        let all = format!("{head}{body}{next}");
        // The gateway may close before it has taken all.
        let _ = tokio::io::AsyncWriteExt::write_all(&mut connection.stream, all.as_bytes()).await;
        let (answers, _) = connection.rest().await;
        let answers = String::from_utf8(answers).unwrap();
        assert!(answers.starts_with("HTTP/1.1 403 "), "{size}: {answers}");
        assert!(answers.matches("HTTP/1.1 ").count() <= 2, "{size}: {answers}");
    }
    assert!(
        backend.heads().iter().all(|head| head.starts_with("GET /next ")),
        "{:?}",
        backend.heads()
    );
    is_well(&gateway).await;
}
