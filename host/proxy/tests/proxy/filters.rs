//! Filters in every phase, and what becomes of a request when they decide or fail.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use edgewit_chain::{
    BodyMode, BodyVerdict, Edit, Needs, RequestVerdict, ResponseVerdict, Stop, StopReason,
    SummaryEnding,
};
use tokio::io::AsyncWriteExt;

use crate::support::{
    Backend, Connection, Gateway, Native, Seen, answer, forward_to, listener, read_head, route,
    talk, until, upstream,
};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

fn post(body: &str) -> String {
    let length = body.len();
    format!(
        "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// Answers with the body it got, in chunks.
async fn echo() -> Backend {
    use tokio::io::AsyncReadExt;
    Backend::new(|mut stream, _| async move {
        while let Some(head) = read_head(&mut stream).await {
            let mut body = Vec::new();
            match head.lines().find_map(|line| line.strip_prefix("content-length: ")) {
                Some(length) => {
                    body.resize(length.parse().unwrap(), 0);
                    stream.read_exact(&mut body).await.unwrap();
                }
                None if head.contains("chunked") => loop {
                    let mut line = Vec::new();
                    while !line.ends_with(b"\r\n") {
                        let Ok(byte) = stream.read_u8().await else { return };
                        line.push(byte);
                    }
                    let size = std::str::from_utf8(&line).unwrap().trim();
                    let size = usize::from_str_radix(size, 16).unwrap();
                    let mut chunk = vec![0; size + 2];
                    if stream.read_exact(&mut chunk).await.is_err() {
                        return;
                    }
                    if size == 0 {
                        break;
                    }
                    body.extend_from_slice(&chunk[..size]);
                },
                None => {}
            }
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
        }
    })
    .await
}

fn body_filter(
    request: BodyMode,
    response: BodyMode,
    on: impl Fn(&[u8], bool) -> Result<BodyVerdict, Stop> + Clone + Send + Sync + 'static,
) -> Native {
    let mut native = Native {
        needs: Needs { request_body: request, response_body: response, ..Needs::default() },
        ..Native::default()
    };
    if request != BodyMode::None {
        native.on_request_body = Some(Box::new(on.clone()));
    }
    if response != BodyMode::None {
        native.on_response_body = Some(Box::new(on));
    }
    native
}

fn shout(chunk: &[u8], _: bool) -> Result<BodyVerdict, Stop> {
    Ok(BodyVerdict::Replace(Bytes::from(chunk.to_ascii_uppercase())))
}

#[tokio::test]
async fn edits_go_both_ways() {
    let backend = Backend::ok().await;
    let filter = Native {
        on_request: Some(Box::new(|exchange| {
            let path = exchange.path.as_str().as_bytes().to_vec();
            Ok(RequestVerdict::Proceed(vec![Edit::Set("x-path".into(), path)]))
        })),
        on_response: Some(Box::new(|exchange| {
            let status = exchange.response.as_ref().unwrap().status.as_str().as_bytes().to_vec();
            Ok(ResponseVerdict::Proceed {
                status: Some(http::StatusCode::ACCEPTED),
                edits: vec![Edit::Set("x-was".into(), status)],
            })
        })),
        ..Native::default()
    };
    let gateway = Gateway::filtered(&backend, vec![filter.into_filter()]);
    let response = talk(gateway.address, GET).await;
    assert!(response.starts_with("HTTP/1.1 202 Accepted\r\n"), "{response}");
    assert!(response.contains("\r\nx-was: 200\r\n") && response.ends_with("ok"), "{response}");
    assert!(backend.heads()[0].contains("\r\nx-path: /\r\n"));
}

#[tokio::test]
async fn a_filter_answers_and_the_filters_before_it_see_the_answer() {
    let backend = Backend::ok().await;
    let outer = Native {
        name: "outer",
        on_response: Some(Box::new(|exchange| {
            assert_eq!(exchange.response.as_ref().unwrap().status, 403);
            Ok(ResponseVerdict::Proceed {
                status: None,
                edits: vec![Edit::Set("x-outer".into(), b"1".to_vec())],
            })
        })),
        ..Native::default()
    };
    let inner = Native {
        name: "inner",
        on_request: Some(Box::new(|_| Ok(RequestVerdict::Answer(answer(403, "no"))))),
        ..Native::default()
    };
    let gateway = Gateway::filtered(&backend, vec![outer.into_filter(), inner.into_filter()]);
    let response = talk(gateway.address, GET).await;
    assert!(response.starts_with("HTTP/1.1 403 "), "{response}");
    for part in ["x-outer: 1", "x-by: filter", "content-length: 2", "\r\n\r\nno"] {
        assert!(response.contains(part), "{part} in {response}");
    }
    assert!(backend.heads().is_empty());
}

#[tokio::test]
async fn a_filter_that_fails_rejects_without_a_word_of_why() {
    let backend = Backend::ok().await;
    let failing = || Err(Stop::new(StopReason::Fuel, "secret detail"));
    let request = Native { on_request: Some(Box::new(move |_| failing())), ..Native::default() };
    let response = Native {
        on_response: Some(Box::new(move |_| Err(Stop::new(StopReason::Trap, "secret")))),
        ..Native::default()
    };
    for filter in [request, response] {
        let gateway = Gateway::filtered(&backend, vec![filter.into_filter()]);
        let response = talk(gateway.address, GET).await;
        assert!(response.starts_with("HTTP/1.1 503 "), "{response}");
        assert!(response.contains("application/problem+json") && !response.contains("secret"));
        assert!(gateway.metrics.text().contains("edgewit_filter_stops_total"));
    }
}

#[tokio::test]
async fn a_replaced_response_has_its_own_length() {
    let backend = Backend::ok().await;
    let filter = Native {
        on_response: Some(Box::new(|_| Ok(ResponseVerdict::Replace(answer(200, "replaced"))))),
        ..Native::default()
    };
    let gateway = Gateway::filtered(&backend, vec![filter.into_filter()]);
    let response = talk(gateway.address, GET).await;
    assert!(response.contains("\r\ncontent-length: 8\r\n"), "{response}");
    assert!(response.ends_with("\r\n\r\nreplaced"), "{response}");
}

#[tokio::test]
async fn bodies_are_changed_in_every_mode() {
    use BodyMode::{Buffer, None, Peek, Stream};
    for (request, response, expected) in [
        (Stream, None, "ABCDEF"),
        (Buffer(100), None, "ABCDEF"),
        (Peek(3), None, "ABCdef"),
        (None, Stream, "ABCDEF"),
        (None, Buffer(100), "ABCDEF"),
        (None, Peek(3), "ABCdef"),
        (Stream, Stream, "ABCDEF"),
    ] {
        let backend = echo().await;
        let filter = body_filter(request, response, shout);
        let gateway = Gateway::filtered(&backend, vec![filter.into_filter()]);
        let answer = talk(gateway.address, post("abcdef")).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let body: String = answer.split_once("\r\n\r\n").unwrap().1.to_owned();
        let plain = if answer.contains("transfer-encoding: chunked") {
            body.split("\r\n")
                .enumerate()
                .filter(|(n, _)| n % 2 == 1)
                .map(|(_, part)| part)
                .collect()
        } else {
            body
        };
        assert_eq!(plain, expected, "{request:?} {response:?}: {answer}");
    }
}

#[tokio::test]
async fn a_body_filter_answers_while_nothing_was_sent() {
    let deny = |_: &[u8], _| Ok(BodyVerdict::Answer(answer(422, "bad")));
    for (request, response) in [
        (BodyMode::Buffer(100), BodyMode::None),
        (BodyMode::Peek(2), BodyMode::None),
        (BodyMode::Stream, BodyMode::None),
        (BodyMode::None, BodyMode::Buffer(100)),
        (BodyMode::None, BodyMode::Peek(2)),
    ] {
        let backend = echo().await;
        let filter = body_filter(request, response, deny);
        let gateway = Gateway::filtered(&backend, vec![filter.into_filter()]);
        let response = talk(gateway.address, post("abcdef")).await;
        assert!(response.starts_with("HTTP/1.1 422 "), "{request:?}: {response}");
        assert!(response.ends_with("\r\n\r\nbad"), "{response}");
    }
}

#[tokio::test]
async fn a_body_beyond_a_filters_bound_is_refused() {
    let pass = |_: &[u8], _| Ok(BodyVerdict::Pass);
    for (request, response, status) in
        [(BodyMode::Buffer(3), BodyMode::None, "413"), (BodyMode::None, BodyMode::Buffer(3), "502")]
    {
        let backend = echo().await;
        let filter = body_filter(request, response, pass);
        let gateway = Gateway::filtered(&backend, vec![filter.into_filter()]);
        let response = talk(gateway.address, post("abcdef")).await;
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
    }
}

#[tokio::test]
async fn a_cut_is_seen_as_a_cut() {
    let cut = |_: &[u8], _| Ok(BodyVerdict::Cut);
    let backend = echo().await;
    let filter = body_filter(BodyMode::None, BodyMode::Stream, cut);
    let gateway = Gateway::filtered(&backend, vec![filter.into_filter()]);
    let response = talk(gateway.address, post("abcdef")).await;
    assert!(!response.ends_with("0\r\n\r\n") && !response.contains("abcdef"), "{response}");

    let filter = body_filter(BodyMode::Stream, BodyMode::None, cut);
    let gateway = Gateway::filtered(&backend, vec![filter.into_filter()]);
    let response = talk(gateway.address, post("abcdef")).await;
    assert!(response.starts_with("HTTP/1.1 400 "), "{response}");
}

#[tokio::test]
async fn filters_are_told_once_how_it_ended() {
    let seen = Seen::default();
    let filter = || Native { seen: Some(seen.clone()), ..Native::default() }.into_filter();
    let backend = Backend::ok().await;
    let gateway = Gateway::filtered(&backend, vec![filter()]);
    talk(gateway.address, GET).await;
    until("the filter is told", || seen.all().len() == 1).await;
    let summary = seen.all()[0];
    assert_eq!((summary.status, summary.ending), (200, SummaryEnding::Complete));
    assert_eq!((summary.attempts, summary.response_bytes), (1, 2));

    let silent = Backend::new(|mut stream, _| async move {
        read_head(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    let gateway = Gateway::filtered(&silent, vec![filter()]);
    let mut client = Connection::new(gateway.address).await;
    client.write(GET).await;
    until("the request is under way", || {
        gateway.metrics.text().contains("http_server_active_requests 1")
    })
    .await;
    drop(client);
    until("the filter is told", || seen.all().len() == 2).await;
    assert_eq!(seen.all()[1].ending, SummaryEnding::ClientGone);
    assert_eq!(seen.all()[1].status, 0);

    let cut = Backend::answering("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx").await;
    let gateway = Gateway::filtered(&cut, vec![filter()]);
    let mut client = Connection::new(gateway.address).await;
    client.write(GET).await;
    client.head().await;
    drop(cut);
    drop(client);
    until("the filter is told", || seen.all().len() == 3).await;
    assert_ne!(seen.all()[2].ending, SummaryEnding::Complete);
    drop(gateway);
    assert_eq!(seen.all().len(), 3);
}

#[tokio::test]
async fn what_still_runs_at_the_end_is_told_too() {
    let seen = Seen::default();
    let silent = Backend::new(|mut stream, _| async move {
        read_head(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    let filter = Native { seen: Some(seen.clone()), ..Native::default() }.into_filter();
    let gateway = Gateway::filtered(&silent, vec![filter]);
    let mut client = Connection::new(gateway.address).await;
    client.write(GET).await;
    until("the request is under way", || {
        gateway.metrics.text().contains("http_server_active_requests 1")
    })
    .await;
    drop(gateway);
    assert_eq!(seen.all().len(), 1);
}

#[tokio::test]
async fn a_panic_ends_its_own_request_only() {
    let backend = Backend::ok().await;
    let seen = Seen::default();
    let filter = Native {
        seen: Some(seen.clone()),
        on_request: Some(Box::new(|exchange| {
            assert!(!exchange.fields.contains_key("x-panic"), "a bug");
            Ok(RequestVerdict::Proceed(Vec::new()))
        })),
        ..Native::default()
    };
    let gateway = Arc::new(Gateway::filtered(&backend, vec![filter.into_filter()]));
    let mut neighbours = Vec::new();
    for _ in 0..4 {
        let mut neighbour = Connection::new(gateway.address).await;
        neighbour.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        neighbour.response().await;
        neighbours.push(neighbour);
    }
    for _ in 0..4 {
        let panicking = "GET / HTTP/1.1\r\nhost: a\r\nx-panic: 1\r\n\r\n";
        assert_eq!(talk(gateway.address, panicking).await, "");
    }
    for neighbour in &mut neighbours {
        neighbour.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(neighbour.response().await.1, "ok");
    }
    until("nothing is active", || gateway.metrics.text().contains("http_server_active_requests 0"))
        .await;
}

#[tokio::test]
async fn a_request_without_a_body_stays_one_that_can_be_repeated() {
    let answered = Arc::new(AtomicUsize::new(0));
    let heads: Arc<Mutex<Vec<String>>> = Arc::default();
    let (seen, count) = (Arc::clone(&heads), Arc::clone(&answered));
    let backend = Backend::new(move |mut stream, _| {
        let (seen, count) = (Arc::clone(&seen), Arc::clone(&count));
        async move {
            while let Some(head) = read_head(&mut stream).await {
                seen.lock().unwrap().push(head);
                let status = if count.fetch_add(1, Ordering::SeqCst) == 0 { 503 } else { 200 };
                let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        }
    })
    .await;
    let filter = body_filter(BodyMode::Stream, BodyMode::None, |_, _| Ok(BodyVerdict::Pass));
    let upstream = upstream("u", &[backend.address]);
    let mut to = route(forward_to(&[&upstream]));
    to.retry.attempts = 2;
    to.retry.on.statuses = vec![503];
    let gateway = Gateway::new(listener(), vec![(to, vec![filter.into_filter()], vec![upstream])]);
    let get = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let response = talk(gateway.address, get).await;
    assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    let heads = heads.lock().unwrap().clone();
    assert!(heads.len() == 2 && heads.iter().all(|head| head.starts_with("GET / ")), "{heads:?}");
    assert!(!heads.concat().contains("transfer-encoding"), "{heads:?}");
}
