//! Bodies in both directions: as they come, to their very end, or not at all.

use std::time::Duration;

use edgewit_model::ByteSize;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
    time::timeout,
};

use crate::support::{Backend, Connection, Gateway, http2, read_head, send, talk, within};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

#[tokio::test]
async fn bodies_stream_both_ways_at_the_same_time() {
    let backend = Backend::new(|mut stream, _| async move {
        read_head(&mut stream).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
        for _ in 0..3 {
            let mut chunk = [0; 6]; // 1 CRLF x CRLF
            stream.read_exact(&mut chunk).await.unwrap();
            stream.write_all(&chunk).await.unwrap();
        }
        stream.read_exact(&mut [0; 5]).await.unwrap();
        stream.write_all(b"0\r\n\r\n").await.unwrap();
    })
    .await;
    let gateway = Gateway::to(&backend);
    let mut client = Connection::new(gateway.address).await;
    client.write("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").await;
    assert!(client.head().await.contains("transfer-encoding: chunked"));
    for part in ["a", "b", "c"] {
        client.write(format!("1\r\n{part}\r\n")).await;
        assert_eq!(client.read(6).await, format!("1\r\n{part}\r\n").into_bytes());
    }
    client.write("0\r\n\r\n").await;
    assert_eq!(client.read(5).await, b"0\r\n\r\n");
}

#[tokio::test]
async fn nothing_is_read_that_nobody_takes() {
    // An endless response to a client that does not read must stop the upstream.
    let (sent, mut progress) = mpsc::unbounded_channel();
    let backend = Backend::new(move |mut stream, _| {
        let sent = sent.clone();
        async move {
            read_head(&mut stream).await.unwrap();
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                .await
                .unwrap();
            let chunk = [b"10000\r\n".as_slice(), &vec![b'x'; 65_536], b"\r\n"].concat();
            while stream.write_all(&chunk).await.is_ok() {
                let _ = sent.send(());
            }
        }
    })
    .await;
    let gateway = Gateway::to(&backend);
    let mut client = Connection::new(gateway.address).await;
    client.write(GET).await;
    client.head().await;
    let mut chunks = 0;
    while timeout(Duration::from_millis(500), progress.recv()).await.is_ok() {
        chunks += 1;
        assert!(chunks < 1_000, "64 MB went nowhere");
    }
    // And it goes on when the client does.
    client.read(chunks * 65_536 / 2).await;
    assert!(within(progress.recv()).await.is_some());
}

#[tokio::test]
async fn uploads_wait_for_the_upstream() {
    let backend = Backend::new(|mut stream, _| async move {
        read_head(&mut stream).await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let gateway = Gateway::changed(&backend, |route| route.body = Some(ByteSize(1 << 30)));
    let mut client = Connection::new(gateway.address).await;
    client.write("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000000\r\n\r\n").await;
    let all = vec![b'x'; 100_000_000];
    let written = timeout(Duration::from_secs(1), client.stream.write_all(&all)).await;
    assert!(written.is_err(), "100 MB went nowhere");
}

#[tokio::test]
async fn a_truncated_response_is_never_a_whole_one() {
    for response in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n1",
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n123456789",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n",
    ] {
        let backend = Backend::new(move |mut stream, _| async move {
            read_head(&mut stream).await;
            let _ = stream.write_all(response.as_bytes()).await;
        })
        .await;
        let gateway = Gateway::to(&backend);
        let plain = talk(gateway.address, GET).await;
        if plain.is_empty() {
            // Cut before the head went out.
        } else if plain.starts_with("HTTP/1.1 200 ") {
            assert!(!plain.ends_with("0\r\n\r\n"), "{plain}");
            let body = plain.split_once("\r\n\r\n").unwrap().1;
            assert!(!plain.contains("content-length: 10") || body.len() < 10, "{plain}");
        } else {
            assert!(plain.starts_with("HTTP/1.1 502 "), "{plain}");
        }

        let mut sender = http2(gateway.address).await;
        let request =
            Request::get("http://a/").body(Full::default().map_err(|e| match e {}).boxed_unsync());
        if let Ok(response) = within(sender.send_request(request.unwrap())).await {
            let whole = within(response.into_body().collect()).await;
            assert!(whole.is_err(), "over HTTP/2: {whole:?}");
        }
    }
}

#[tokio::test]
async fn a_cut_response_to_http_1_0_ends_with_a_reset() {
    let (cut, cutting) = tokio::sync::watch::channel(());
    let backend = Backend::new(move |mut stream, _| {
        let mut cutting = cutting.clone();
        async move {
            read_head(&mut stream).await;
            let part = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\n";
            stream.write_all(part).await.unwrap();
            let _ = cutting.changed().await;
        }
    })
    .await;
    let gateway = Gateway::to(&backend);
    let mut client = Connection::new(gateway.address).await;
    client.write("GET / HTTP/1.0\r\nhost: a\r\n\r\n").await;
    client.head().await;
    assert_eq!(client.read(5).await, b"12345");
    drop(cut);
    let (rest, is_clean) = client.rest().await;
    assert!(rest.is_empty() && !is_clean);
}

#[tokio::test]
async fn trailers_pass_in_both_directions() {
    let backend = Backend::new(|mut stream, _| async move {
        let head = read_head(&mut stream).await.unwrap();
        assert!(head.contains("te: trailers\r\n") && head.contains("trailer: x-sum\r\n"), "{head}");
        let mut body = Vec::new();
        while !body.ends_with(b"\r\n\r\n") {
            body.push(stream.read_u8().await.unwrap());
        }
        let body = String::from_utf8(body).unwrap();
        assert_eq!(body, "1\r\na\r\n0\r\nx-sum: 1\r\n\r\n");
        let response = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-end, content-length\r\n\r\n\
            1\r\nb\r\n0\r\nx-end: 2\r\nset-cookie: a=b\r\n\r\n";
        stream.write_all(response.as_bytes()).await.unwrap();
    })
    .await;
    let gateway = Gateway::to(&backend);
    let request = "POST / HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: close, te\r\ntrailer: x-sum, authorization\r\n\
        transfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx-sum: 1\r\nauthorization: b\r\n\r\n";
    let answer = talk(gateway.address, request).await;
    assert!(answer.contains("\r\ntrailer: x-end\r\n"), "{answer}");
    assert!(answer.ends_with("1\r\nb\r\n0\r\nx-end: 2\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_upstream_request_with_it() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let backend = Backend::new(move |mut stream, _| {
        let tell = tell.clone();
        async move {
            read_head(&mut stream).await.unwrap();
            let _ = tell.send("came");
            let end = stream.read(&mut [0; 1]).await;
            assert!(matches!(end, Ok(0) | Err(_)));
            let _ = tell.send("gone");
        }
    })
    .await;
    let gateway = Gateway::to(&backend);
    let mut client = Connection::new(gateway.address).await;
    client.write(GET).await;
    assert_eq!(within(told.recv()).await, Some("came"));
    drop(client);
    assert_eq!(within(told.recv()).await, Some("gone"));
    crate::support::until("the request has ended", || {
        gateway.metrics.text().contains("http_server_active_requests 0")
    })
    .await;
}

#[tokio::test]
async fn an_early_answer_is_delivered_while_the_upload_is_not_over() {
    let backend = Backend::new(|mut stream, _| async move {
        read_head(&mut stream).await.unwrap();
        stream.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno").await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let gateway = Gateway::to(&backend);
    let mut client = Connection::new(gateway.address).await;
    client.write("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\nabc").await;
    let (head, body) = client.response().await;
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    assert_eq!(body, "no");
}

#[tokio::test]
async fn large_bodies_arrive_as_they_were() {
    let backend = Backend::new(|mut stream, _| async move {
        while let Some(head) = read_head(&mut stream).await {
            let length = head.lines().find_map(|l| l.strip_prefix("content-length: ")).unwrap();
            let mut body = vec![0; length.parse().unwrap()];
            stream.read_exact(&mut body).await.unwrap();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(&body).await.unwrap();
        }
    })
    .await;
    let gateway = Gateway::to(&backend);
    let body: Vec<u8> = (0..5_000_000_u32).map(|n| (n % 251) as u8).collect();
    let request = Request::put("/").header("host", "a").body(Full::from(body.clone())).unwrap();
    let (parts, echoed) = send(gateway.address, request).await;
    assert_eq!(parts.status, StatusCode::OK);
    assert!(echoed == body);
}
