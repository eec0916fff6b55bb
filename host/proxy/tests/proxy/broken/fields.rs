//! B7, B8: bodies where there are none, and trailers.

use http::Method;
use tokio::io::AsyncWriteExt;

use super::{End, both, saying};
use crate::support::{Backend, Connection, Gateway, read_head};

#[tokio::test]
async fn b7_what_follows_a_response_without_body_reaches_nobody() {
    let evil = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil";
    for (method, answer) in [
        ("HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 48\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\ncontent-length: 48\r\n\r\n"),
        ("GET", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
    ] {
        let backend = Backend::new(move |mut stream, number| async move {
            while read_head(&mut stream).await.is_some() {
                let fine = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine".to_owned();
                let answer = if number == 0 { format!("{answer}{evil}") } else { fine };
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
        })
        .await;
        let gateway = Gateway::to(&backend);
        let mut client = Connection::new(gateway.address).await;
        client.write(format!("{method} / HTTP/1.1\r\nhost: a\r\n\r\n")).await;
        let head = client.head().await;
        if answer.ends_with("ok") {
            client.read(2).await;
        }
        // The next response on the client's own connection is that of the next request.
        client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(client.response().await.1, "fine", "{method} {answer} {head}");
        for (version, got) in both(&gateway, Method::GET, b"").await {
            assert_eq!(got.text(), b"fine", "{version} {method} {answer}");
        }
    }
}

#[tokio::test]
async fn b8_trailers_pass_by_rule_and_not_without_end() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n";
    let trailers = "x-sum: 1\r\ncontent-length: 9\r\nauthorization: a\r\nset-cookie: a=b\r\n";
    let fine = format!("{head}trailer: x-sum\r\n\r\n1\r\na\r\n0\r\n{trailers}\r\n");
    let backend = saying(fine, End::Close).await;
    let gateway = Gateway::to(&backend);
    for (version, got) in both(&gateway, Method::GET, b"").await {
        let (body, trailers) = got.body.unwrap();
        assert_eq!((body.as_ref(), trailers.len()), (b"a".as_slice(), 1), "{version} {trailers:?}");
        assert_eq!(trailers["x-sum"], "1");
    }
    let many: String = (0..33).map(|n| format!("x-{n}: 1\r\n")).collect();
    let backend = saying(format!("{head}\r\n1\r\na\r\n0\r\n{many}\r\n"), End::Close).await;
    let gateway = Gateway::to(&backend);
    for (version, got) in both(&gateway, Method::GET, b"").await {
        let is_error = got.status().is_some_and(|status| status == 502);
        assert!(is_error || !got.is_whole(), "{version} {got:?}");
    }
}
