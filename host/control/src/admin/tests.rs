use tokio::io::{AsyncReadExt, AsyncWriteExt};

use edgewit_telemetry::Metrics;

use super::*;
use crate::{status::Status, versions::Versions};

const DEADLINE: Duration = Duration::from_secs(10);

/// Status and body of the answer to a request head.
async fn ask(address: SocketAddr, head: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    tokio::time::timeout(DEADLINE, read).await.unwrap().unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

fn get(path: &str, host: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")
}

fn pages(metrics: &Arc<Metrics>, status: &Arc<Status>) -> Arc<Pages> {
    Pages::new(
        Arc::clone(metrics),
        Arc::clone(status),
        Arc::new(Versions::default()),
        Box::new(|| ()),
        Box::new(|_| 0),
        Box::new(|_| unreachable!("nothing is changed here")),
    )
}

#[tokio::test]
async fn the_endpoint_tells_how_things_are() {
    let metrics = Metrics::new(1);
    let status = Arc::new(Status::new(None, &metrics));
    let pages = pages(&metrics, &status);
    let admin = Admin::bind(([127, 0, 0, 1], 0).into(), None).unwrap();
    let address = admin.address();
    tokio::spawn(admin.serve(pages));

    let cases = [
        (get("/livez", "localhost"), "200 OK", "alive"),
        (get("/readyz", "127.0.0.1:9977"), "200 OK", "ready"),
        (get("/metrics", "localhost"), "200 OK", "# EOF"),
        (get("/v1/status", "localhost"), "200 OK", "\"state\": \"ready\""),
        (get("/v1/plugins", "localhost"), "200 OK", "\"plugins\": []"),
        (get("/v1/plugins/jwt", "localhost"), "404 ", "no plugin `jwt`"),
        (get("/v1/events", "localhost"), "200 OK", "\"events\": []"),
        (get("/v1/config", "localhost"), "404 Not Found", "/v1/status"),
        (get("/v1/status", "rebound.example.com"), "403 Forbidden", "loopback"),
        (
            get("/livez", "x").replace("GET", "POST").replace("x", "localhost"),
            "405 ",
            "only GET, HEAD",
        ),
    ];
    for (request, expected, text) in cases {
        let (head, body) = ask(address, &request).await;
        assert!(head.contains(expected) && body.contains(text), "{request}{head}{body}");
        let is_json = head.contains("json\r\n");
        assert!(!is_json || serde_json::from_str::<serde_json::Value>(&body).is_ok(), "{body}");
    }
    status.drain();
    let (head, _) = ask(address, &get("/readyz", "localhost")).await;
    assert!(head.contains("503 ") && head.contains("application/problem+json"), "{head}");
    let (_, body) = ask(address, &get("/v1/status", "localhost")).await;
    assert!(body.contains("\"state\": \"draining\""), "{body}");
}

#[tokio::test]
async fn a_viewer_that_does_not_read_loses_its_connection() {
    let metrics = Metrics::new(1);
    let status = Arc::new(Status::new(None, &metrics));
    let pages = pages(&metrics, &status).with_patience(Duration::from_millis(100));
    let admin = Admin::bind(([127, 0, 0, 1], 0).into(), None).unwrap();
    let address = admin.address();
    tokio::spawn(admin.serve(pages));
    let mut viewer = TcpStream::connect(address).await.unwrap();
    let head = "GET /v1/events HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n";
    viewer.write_all(head.as_bytes()).await.unwrap();
    let slow = || {
        let text = metrics.text();
        let line = "edgewit_events_dropped_total{reason=\"slow\"} ";
        let count = text.split_once(line).and_then(|(_, rest)| rest.lines().next()?.parse().ok());
        count.unwrap_or(0_u64)
    };
    // More and more, until the kernel keeps no more of it for the viewer.
    let cut = async {
        while slow() == 0 {
            for _ in 0..16 {
                status.event("swap", "x".repeat(1_000));
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(DEADLINE * 6, cut).await.unwrap();
    let end = async {
        let mut rest = Vec::new();
        let ended = viewer.read_to_end(&mut rest).await;
        ended.is_err() || !rest.ends_with(b"0\r\n\r\n")
    };
    assert!(tokio::time::timeout(DEADLINE, end).await.unwrap(), "it is cut and not ended cleanly");
    let (head, _) = ask(address, &get("/livez", "localhost")).await;
    assert!(head.contains("200 OK"), "the others are answered: {head}");
}
