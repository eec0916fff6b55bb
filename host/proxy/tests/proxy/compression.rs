//! Compressed responses, read by decoders of their own.

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZstdDecoder};
use bytes::Bytes;
use edgewit_chain::{BodyMode, BodyVerdict, Needs};
use edgewit_model::Compress;
use http::Request;
use http_body_util::{BodyExt, Full};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
};

use crate::support::{
    Backend, ClientBody, Connection, Gateway, Native, forward_to, http2, listener, read_head,
    respond, route, send, talk, upstream, within,
};

/// Text of this many bytes.
fn text(size: usize) -> String {
    "All work and no play makes Jack a dull boy. ".chars().cycle().take(size).collect()
}

fn whole(fields: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n{fields}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// What an encoding stands for; an error if it does not end properly.
async fn decoded(encoding: &str, coded: &[u8]) -> std::io::Result<String> {
    let mut out = String::new();
    match encoding {
        "gzip" => GzipDecoder::new(coded).read_to_string(&mut out).await,
        "br" => BrotliDecoder::new(coded).read_to_string(&mut out).await,
        "zstd" => ZstdDecoder::new(coded).read_to_string(&mut out).await,
        other => panic!("{other}"),
    }?;
    Ok(out)
}

fn compressing(backend: &Backend) -> Gateway {
    Gateway::changed(backend, |route| route.compress = Some(Compress::default()))
}

fn get(encoding: &str) -> Request<Full<Bytes>> {
    let request = Request::get("/").header("host", "a").header("accept-encoding", encoding);
    request.body(Full::default()).unwrap()
}

#[tokio::test]
async fn every_coding_is_read_back() {
    for size in [1024, 100_000, 3_000_000] {
        let body = text(size);
        let backend = Backend::answering(whole("etag: \"a\"\r\n", &body)).await;
        let gateway = compressing(&backend);
        for encoding in ["gzip", "br", "zstd"] {
            let (parts, coded) = send(gateway.address, get(encoding)).await;
            let field = |name: &str| parts.headers.get(name).map(|v| v.to_str().unwrap());
            assert_eq!(field("content-encoding"), Some(encoding));
            assert_eq!(field("vary"), Some("accept-encoding"));
            assert_eq!(field("etag"), Some("W/\"a\""));
            assert_eq!(field("content-length"), None);
            assert!(coded.len() < size / 2, "{encoding} {size}: {}", coded.len());
            assert_eq!(decoded(encoding, &coded).await.unwrap(), body, "{encoding} {size}");
        }
        let (parts, plain) = send(gateway.address, get("identity")).await;
        assert!(!parts.headers.contains_key("content-encoding"));
        assert_eq!(parts.headers["vary"], "accept-encoding");
        assert_eq!((plain.len(), parts.headers["etag"].to_str().unwrap()), (size, "\"a\""));
    }
}

#[tokio::test]
async fn what_is_not_to_be_touched_is_not_touched() {
    let body = text(5_000);
    for fields in [
        "content-encoding: gzip\r\n",
        "cache-control: no-transform\r\n",
        "content-digest: sha-256=:AA==:\r\n",
    ] {
        let backend = Backend::answering(whole(fields, &body)).await;
        let (parts, same) = send(compressing(&backend).address, get("gzip, br")).await;
        assert_eq!(same, body, "{fields}");
        assert_eq!(parts.headers["content-length"], "5000", "{fields}");
        assert!(!parts.headers.contains_key("vary"), "{fields}");
    }
    let small = Backend::answering(whole("", &text(1_023))).await;
    let (parts, same) = send(compressing(&small).address, get("gzip")).await;
    assert_eq!((same.len(), parts.headers.contains_key("content-encoding")), (1_023, false));
    let part = format!(
        "HTTP/1.1 206 Partial Content\r\ncontent-type: text/plain\r\ncontent-range: bytes 0-1999/5000\r\n\
         content-length: 2000\r\n\r\n{}",
        text(2_000)
    );
    let backend = Backend::answering(part).await;
    let (parts, same) = send(compressing(&backend).address, get("gzip")).await;
    assert_eq!((parts.status.as_u16(), same.len()), (206, 2_000));
}

#[tokio::test]
async fn head_says_what_get_would_say() {
    let body = text(5_000);
    let response = whole("etag: \"a\"\r\n", &body);
    let head_only = response.split_inclusive("\r\n\r\n").next().unwrap().to_owned();
    let fields = |response: &str| {
        let lines = response.split("\r\n\r\n").next().unwrap().lines().skip(1);
        let mut kept: Vec<String> = lines
            .filter(|line| !line.starts_with("date") && !line.starts_with("x-request-id"))
            .filter(|line| !line.starts_with("transfer-encoding"))
            .map(str::to_owned)
            .collect();
        kept.sort();
        kept
    };
    let mut seen = Vec::new();
    for (method, response) in [("GET", response), ("HEAD", head_only)] {
        let backend = Backend::answering(response).await;
        let gateway = compressing(&backend);
        let request = format!(
            "{method} / HTTP/1.1\r\nhost: a\r\naccept-encoding: br\r\nconnection: close\r\n\r\n"
        );
        let response = talk(gateway.address, request).await;
        if method == "HEAD" {
            assert!(response.ends_with("\r\n\r\n"), "{response}");
        }
        seen.push(fields(&response));
    }
    assert_eq!(seen[0], seen[1]);
    assert!(seen[0].contains(&"content-encoding: br".to_owned()), "{seen:?}");
}

#[tokio::test]
async fn what_was_sent_can_be_read_while_the_upstream_pauses() {
    for encoding in ["gzip", "br", "zstd"] {
        let (next, may) = mpsc::unbounded_channel::<()>();
        let may = std::sync::Arc::new(tokio::sync::Mutex::new(may));
        let backend = Backend::new(move |mut stream, _| {
            let may = may.clone();
            async move {
                read_head(&mut stream).await.unwrap();
                let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
                stream.write_all(head.as_bytes()).await.unwrap();
                let mut may = may.lock().await;
                for n in 0..3 {
                    stream.write_all(format!("5\r\nline{n}\r\n").as_bytes()).await.unwrap();
                    may.recv().await.unwrap(); // the next only after this one was read
                }
                stream.write_all(b"0\r\n\r\n").await.unwrap();
            }
        })
        .await;
        let gateway = compressing(&backend);
        let mut sender = http2(gateway.address).await;
        let request = Request::get("http://a/").header("accept-encoding", encoding);
        let body = ClientBody::new(Full::default().map_err(|never| match never {}));
        let response = within(sender.send_request(request.body(body).unwrap())).await.unwrap();
        assert_eq!(response.headers()["content-encoding"], encoding);
        let mut body = response.into_body();
        let (mut coded, mut lines) = (Vec::new(), 0);
        while let Some(frame) = within(body.frame()).await {
            coded.extend_from_slice(&frame.unwrap().into_data().unwrap());
            // A decoder gets everything so far: what was flushed it can read, though there is no end.
            let so_far = readable(encoding, &coded).await;
            while lines < 3 && so_far.contains(&format!("line{lines}")) {
                lines += 1;
                next.send(()).unwrap();
            }
        }
        assert_eq!(lines, 3, "{encoding}");
        assert_eq!(decoded(encoding, &coded).await.unwrap(), "line0line1line2");
    }
}

/// As much as can be read of something that has not ended.
async fn readable(encoding: &str, coded: &[u8]) -> String {
    let mut out = Vec::new();
    let _ = match encoding {
        "gzip" => GzipDecoder::new(coded).read_to_end(&mut out).await,
        "br" => BrotliDecoder::new(coded).read_to_end(&mut out).await,
        _ => ZstdDecoder::new(coded).read_to_end(&mut out).await,
    };
    String::from_utf8(out).unwrap()
}

#[tokio::test]
async fn b2_a_truncated_response_stays_truncated() {
    let body = text(50_000);
    for encoding in ["gzip", "br", "zstd"] {
        let response = whole("", &body);
        let cut = response[..response.len() - 10_000].to_owned();
        let backend = Backend::new(move |mut stream, _| {
            let cut = cut.clone();
            async move {
                read_head(&mut stream).await.unwrap();
                stream.write_all(cut.as_bytes()).await.unwrap();
            }
        })
        .await;
        let gateway = compressing(&backend);
        let mut client = Connection::new(gateway.address).await;
        let get = format!("GET / HTTP/1.1\r\nhost: a\r\naccept-encoding: {encoding}\r\n\r\n");
        client.write(get).await;
        assert!(client.head().await.contains("transfer-encoding: chunked"));
        let (rest, _) = client.rest().await;
        assert!(!rest.ends_with(b"0\r\n\r\n"), "{encoding}: the end of a message was sent");
        let mut sender = http2(gateway.address).await;
        let request = Request::get("http://a/").header("accept-encoding", encoding);
        let body = ClientBody::new(Full::default().map_err(|never| match never {}));
        let response = within(sender.send_request(request.body(body).unwrap())).await.unwrap();
        assert!(within(response.into_body().collect()).await.is_err(), "{encoding}");
    }
}

#[tokio::test]
async fn filters_see_the_plain_body_and_own_answers_are_compressed_too() {
    let backend = Backend::answering(whole("", &text(5_000))).await;
    let upper = Native {
        needs: Needs { response_body: BodyMode::Stream, ..Needs::default() },
        on_response_body: Some(Box::new(|chunk, _| {
            Ok(BodyVerdict::Replace(chunk.to_ascii_uppercase().into()))
        })),
        ..Native::default()
    };
    let upstream = upstream("u", &[backend.address]);
    let mut own = route(forward_to(&[&upstream]));
    own.compress = Some(Compress::default());
    let gateway = Gateway::new(listener(), vec![(own, vec![upper.into_filter()], vec![upstream])]);
    let (_, coded) = send(gateway.address, get("gzip")).await;
    assert_eq!(decoded("gzip", &coded).await.unwrap(), text(5_000).to_uppercase());

    let mut fixed = route(respond(200, &text(5_000)));
    fixed.compress = Some(Compress::default());
    let gateway = Gateway::new(listener(), vec![(fixed, Vec::new(), Vec::new())]);
    let (_, coded) = send(gateway.address, get("zstd")).await;
    assert_eq!(decoded("zstd", &coded).await.unwrap(), text(5_000));
}

#[tokio::test]
async fn an_old_client_reads_to_the_end_of_the_connection() {
    let body = text(50_000);
    let backend = Backend::answering(whole("", &body)).await;
    let gateway = compressing(&backend);
    let mut client = Connection::new(gateway.address).await;
    client.write("GET / HTTP/1.0\r\nhost: a\r\naccept-encoding: gzip\r\n\r\n").await;
    let head = client.head().await;
    assert!(head.contains("content-encoding: gzip") && !head.contains("chunked"), "{head}");
    let (coded, is_clean) = client.rest().await;
    assert!(is_clean);
    assert_eq!(decoded("gzip", &coded).await.unwrap(), body);
}

#[tokio::test]
async fn events_arrive_as_they_are() {
    let backend =
        Backend::answering(whole("", &text(5_000)).replace("text/plain", "text/event-stream"))
            .await;
    let (parts, same) = send(compressing(&backend).address, get("gzip")).await;
    assert_eq!((same.len(), parts.headers.contains_key("content-encoding")), (5_000, false));
}

#[tokio::test]
async fn trailers_follow_the_coded_body() {
    let body = text(100_000);
    let response = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntrailer: x-sum\r\n\
         transfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\nx-sum: 7\r\n\r\n",
        body.len()
    );
    let backend = Backend::answering(response).await;
    let gateway = compressing(&backend);
    let head = "host: a\r\naccept-encoding: gzip\r\nte: trailers\r\nconnection: te, close";
    let answer = talk(gateway.address, format!("GET / HTTP/1.1\r\n{head}\r\n\r\n")).await;
    assert!(answer.contains("content-encoding: gzip\r\n") && answer.contains("trailer: x-sum\r\n"));
    assert!(answer.ends_with("\r\n0\r\nx-sum: 7\r\n\r\n"), "{:?}", answer.lines().last());

    let mut sender = http2(gateway.address).await;
    let none = || Full::default().map_err(|never| match never {}).boxed_unsync();
    let request =
        Request::get("http://a/").header("accept-encoding", "gzip").header("te", "trailers");
    let request: Request<ClientBody> = request.body(none()).unwrap();
    let response = within(sender.send_request(request)).await.unwrap();
    assert_eq!(response.headers()["content-encoding"], "gzip");
    let collected = within(response.into_body().collect()).await.unwrap();
    assert_eq!(collected.trailers().unwrap()["x-sum"], "7");
    assert_eq!(decoded("gzip", &collected.to_bytes()).await.unwrap(), body);
}
