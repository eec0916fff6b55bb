//! B2, B4, B5: bodies that break off, do not end, or begin too early.

use std::time::Duration;

use http::{Method, Request};
use http_body_util::{BodyExt, Empty};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
    time::timeout,
};

use super::{End, both, saying};
use crate::support::{Backend, Connection, Gateway, http2, read_head, until, within};

const LENGTH: usize = 10_000;

#[tokio::test]
async fn b2_a_body_that_breaks_off_never_ends_cleanly() {
    let body = vec![b'x'; LENGTH];
    for chunked in [false, true] {
        for part in [0, 1, LENGTH / 2, LENGTH - 1] {
            for end in [End::Close, End::Reset] {
                let (head, begin) = match chunked {
                    true => ("transfer-encoding: chunked".to_owned(), format!("{LENGTH:x}\r\n")),
                    false => (format!("content-length: {LENGTH}"), String::new()),
                };
                let head = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{begin}");
                let backend = saying([head.as_bytes(), &body[..part]].concat(), end).await;
                let gateway = Gateway::to(&backend);
                for (version, got) in both(&gateway, Method::GET, b"").await {
                    let is_error = got.status().is_some_and(|status| status == 502);
                    let what = format!("{version} chunked: {chunked} {part} {end:?} {got:?}");
                    assert!(is_error || !got.is_whole(), "{what}");
                }
                let ended = || gateway.metrics.text().contains("http_server_active_requests 0");
                until("nothing is left", ended).await;
            }
        }
    }
}

#[tokio::test]
async fn b2_all_but_the_terminator_is_not_all() {
    for missing in
        ["5\r\n12345\r\n", "5\r\n12345\r\n0\r\n", "5\r\n12345", "5\r\n12345\r\n0\r\na: b\r\n"]
    {
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let backend = saying(format!("{head}{missing}"), End::Close).await;
        let gateway = Gateway::to(&backend);
        for (version, got) in both(&gateway, Method::GET, b"").await {
            let is_error = got.status().is_some_and(|status| status == 502);
            assert!(is_error || !got.is_whole(), "{version} {missing:?} {got:?}");
        }
    }
}

#[tokio::test]
async fn b2_a_connection_that_broke_is_not_used_again() {
    let backend = Backend::new(|mut stream, number| async move {
        read_head(&mut stream).await;
        let broken =
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\nnonsense\r\n";
        let fine = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine";
        let answer = if number == 0 { broken } else { fine };
        stream.write_all(answer.as_bytes()).await.unwrap();
        let again = read_head(&mut stream).await;
        assert!(number > 0 || again.is_none(), "{again:?}");
    })
    .await;
    let gateway = Gateway::to(&backend);
    let [(_, first), (_, second)] = both(&gateway, Method::GET, b"").await;
    assert!(!first.is_whole(), "{first:?}");
    assert_eq!(second.text(), b"fine");
}

#[tokio::test]
async fn b4_an_endless_body_waits_for_a_reader_of_http2() {
    let (sent, mut progress) = mpsc::unbounded_channel();
    let backend = Backend::new(move |mut stream, _| {
        let sent = sent.clone();
        async move {
            read_head(&mut stream).await.unwrap();
            let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            stream.write_all(head).await.unwrap();
            let chunk = [b"10000\r\n".as_slice(), &vec![b'x'; 65_536], b"\r\n"].concat();
            while stream.write_all(&chunk).await.is_ok() {
                let _ = sent.send(());
            }
        }
    })
    .await;
    let gateway = Gateway::to(&backend);
    let mut sender = http2(gateway.address).await;
    let body = Empty::new().map_err(|e| match e {}).boxed_unsync();
    let request = Request::get("http://a/").body(body).unwrap();
    let mut response = within(sender.send_request(request)).await.unwrap().into_body();
    let mut chunks = 0;
    while timeout(Duration::from_millis(500), progress.recv()).await.is_ok() {
        chunks += 1;
        assert!(chunks < 1_000, "64 MB went nowhere");
    }
    let mut read = 0;
    while read < chunks * 65_536 {
        read += within(response.frame()).await.unwrap().unwrap().into_data().unwrap().len();
    }
    assert!(within(progress.recv()).await.is_some());
}

#[tokio::test]
async fn b5_an_early_answer_ends_the_upload_and_the_connection() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let backend = Backend::new(move |mut stream, number| {
        let tell = tell.clone();
        async move {
            let Some(_) = read_head(&mut stream).await else { return };
            let answer = format!("HTTP/1.1 413 Too Much\r\ncontent-length: 1\r\n\r\n{number}");
            stream.write_all(answer.as_bytes()).await.unwrap();
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
            let _ = tell.send(rest.len());
        }
    })
    .await;
    let gateway = Gateway::to(&backend);
    for expected in ["0", "1"] {
        let mut client = Connection::new(gateway.address).await;
        client.write("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\nabc").await;
        let (head, body) = client.response().await;
        assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
        assert_eq!(body, expected, "a new connection each time");
        assert!(within(told.recv()).await.unwrap() < 1_000_000, "the upload stopped");
    }
    until("nothing is left", || gateway.metrics.text().contains("http_server_active_requests 0"))
        .await;
}
