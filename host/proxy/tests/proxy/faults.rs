//! Faults of our own, injected into requests: filters that panic, in every phase, over both protocols. What does the client
//! see, what do its neighbours on the same connection and worker see, and is everything that was counted given back?

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use edgewit_chain::{
    BodyMode, BodyVerdict, Needs, RequestVerdict, ResponseVerdict, RoutingVerdict,
};
use http::Request;
use http_body_util::{BodyExt, Full};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{
    Backend, ClientBody, Connection, Gateway, Native, http2, read_head, talk, until, within,
};

const PHASES: [&str; 6] =
    ["routing", "request", "request-body", "response", "response-body", "telemetry"];

/// A filter that has every phase and panics in this one, if the request's path says so.
fn panicking(phase: &'static str, panics: &Arc<AtomicUsize>) -> Native {
    let count = Arc::clone(panics);
    let inject = move |here: &str, is_wanted: bool| {
        if here == phase && is_wanted {
            count.fetch_add(1, Ordering::SeqCst);
            panic!("injected in {here}");
        }
    };
    let of_path = |here: &'static str| {
        let inject = inject.clone();
        move |exchange: &edgewit_chain::Exchange| {
            inject(here, exchange.path.as_str().contains("panic"));
        }
    };
    let of_body = |here: &'static str| {
        let inject = inject.clone();
        move |chunk: &[u8], _: bool| {
            inject(here, chunk.starts_with(b"panic"));
            Ok(BodyVerdict::Pass)
        }
    };
    let (on_route, on_request, on_response) =
        (of_path("routing"), of_path("request"), of_path("response"));
    let (on_request_body, on_response_body) = (of_body("request-body"), of_body("response-body"));
    let on_record = inject.clone();
    Native {
        needs: Needs {
            request_body: BodyMode::Stream,
            response_body: BodyMode::Stream,
            ..Needs::default()
        },
        on_route: Some(Box::new(move |exchange| {
            on_route(exchange);
            RoutingVerdict::Stay
        })),
        on_request: Some(Box::new(move |exchange| {
            on_request(exchange);
            Ok(RequestVerdict::Proceed(Vec::new()))
        })),
        on_request_body: Some(Box::new(on_request_body)),
        on_response: Some(Box::new(move |exchange| {
            on_response(exchange);
            Ok(ResponseVerdict::Proceed { status: None, edits: Vec::new() })
        })),
        on_response_body: Some(Box::new(on_response_body)),
        // Those that panic send more than the others.
        on_record: Some(Box::new(move |summary| on_record("telemetry", summary.request_bytes > 2))),
        ..Native::default()
    }
}

/// Takes all of a body, and answers with one that says whether the request was one that panics.
async fn backend() -> Backend {
    Backend::new(|mut stream, _| async move {
        while let Some(head) = read_head(&mut stream).await {
            // A filter that sees a body takes its length away.
            let mut body = Vec::new();
            while head.contains("chunked") && !body.ends_with(b"0\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else { return };
                body.push(byte);
            }
            let body = if head.contains("/panic ") { "panic!" } else { "ok" };
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    })
    .await
}

fn post(path: &str, body: &'static str) -> Request<ClientBody> {
    let body = Full::new(Bytes::from_static(body.as_bytes()));
    let body = body.map_err(|never| match never {}).boxed_unsync();
    Request::post(format!("http://a{path}")).body(body).unwrap()
}

#[tokio::test]
async fn a_panic_in_any_phase_costs_its_own_request_and_nothing_else() {
    for phase in PHASES {
        let panics = Arc::new(AtomicUsize::new(0));
        let filter = panicking(phase, &panics).into_filter();
        let backend = backend().await;
        let gateway = Gateway::filtered(&backend, vec![filter]);
        let mut neighbour = Connection::new(gateway.address).await;
        let mut streams = http2(gateway.address).await;
        let panicking = "POST /panic HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\npanic";
        for round in 1..=3 {
            // Over HTTP/1.1 the connection ends; what was cut never looks whole.
            if phase == "telemetry" {
                let mut client = Connection::new(gateway.address).await;
                client.write(panicking).await;
                client.head().await;
                let body = "6\r\npanic!\r\n0\r\n\r\n";
                assert_eq!(client.read(body.len()).await, body.as_bytes(), "it is over for it");
            } else {
                let answer = talk(gateway.address, panicking).await;
                let is_whole = answer.contains("panic!") || answer.ends_with("\r\n0\r\n\r\n");
                assert!(!is_whole, "{phase}: {answer}");
            }
            // Over HTTP/2 the stream does, and the connection goes on.
            let answered = within(streams.send_request(post("/panic", "panic"))).await;
            let whole = match answered {
                Ok(response) if response.status() == 200 => {
                    within(response.into_body().collect()).await.is_ok()
                }
                _ => false,
            };
            assert_eq!(whole, phase == "telemetry", "{phase}");
            until("both have panicked", || panics.load(Ordering::SeqCst) == 2 * round).await;
            let response = within(streams.send_request(post("/", "ok"))).await.unwrap();
            assert_eq!(within(response.into_body().collect()).await.unwrap().to_bytes(), "ok");
            neighbour.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
            assert!(neighbour.head().await.starts_with("HTTP/1.1 200 "), "{phase}");
            let body = "2\r\nok\r\n0\r\n\r\n";
            assert_eq!(neighbour.read(body.len()).await, body.as_bytes(), "{phase}");
        }
        drop((neighbour, streams));
        until("nothing is active", || {
            gateway.metrics.text().contains("http_server_active_requests 0")
        })
        .await;
        until("every connection is given back", || gateway.proxy.connections() == 0).await;
    }
}
