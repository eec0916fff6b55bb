//! `edgewit echo`: an origin that answers with what it was asked.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use bytes::Bytes;
use http::{
    HeaderValue, Request, Response, StatusCode, Version,
    header::{CONTENT_TYPE, HOST},
};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use serde_json::{Map, Value, json};
use tokio::net::{TcpListener, TcpStream};

use crate::{cli, screen::Screen};

/// Answers until it is stopped.
pub(crate) async fn run(options: cli::Echo, screen: Screen) -> anyhow::Result<()> {
    let listener = TcpListener::bind(options.listen)
        .await
        .with_context(|| format!("could not listen on {}", options.listen))?;
    screen.note(format!("  {}  http://{}", options.name, listener.local_addr()?));
    let served = serve(listener, Arc::new(Origin { options, requests: AtomicU64::new(0) }));
    tokio::select! {
        () = served => Ok(()),
        ended = crate::signals::end() => ended,
    }
}

struct Origin {
    options: cli::Echo,
    requests: AtomicU64,
}

/// After a failed accept, which mostly means that there are no file descriptors left.
const PAUSE: Duration = Duration::from_millis(100);

async fn serve(listener: TcpListener, origin: Arc<Origin>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(connection(stream, Arc::clone(&origin)))),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn connection(stream: TcpStream, origin: Arc<Origin>) {
    let _ = stream.set_nodelay(true); // answers come late without it, but they come
    let prior_knowledge = begins_like_http2(&stream).await;
    let answer = service_fn(move |request| {
        let origin = Arc::clone(&origin);
        async move { origin.answer(request).await }
    });
    let stream = TokioIo::new(stream);
    // A client may go away at any time; a test that minds sees it itself.
    let _ = match prior_knowledge {
        true => http2::Builder::new(TokioExecutor::new()).serve_connection(stream, answer).await,
        false => {
            http1::Builder::new().timer(TokioTimer::new()).serve_connection(stream, answer).await
        }
    };
}

/// No method of HTTP/1.1 begins with these letters of the HTTP/2 preface.
const PREFACE: &[u8] = b"PRI ";

async fn begins_like_http2(stream: &TcpStream) -> bool {
    let mut seen = [0; PREFACE.len()];
    loop {
        match stream.peek(&mut seen).await {
            Ok(n) if n < PREFACE.len() && n > 0 && PREFACE.starts_with(&seen[..n]) => {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Ok(_) => return seen == PREFACE,
            Err(_) => return false,
        }
    }
}

impl Origin {
    async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, hyper::Error> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        if !self.options.delay.is_zero() {
            tokio::time::sleep(self.options.delay).await;
        }
        let fails = fails(number, self.options.fail_rate);
        let (text, content_type) = match &self.options.body {
            _ if fails => ("failed as it was told\n".to_owned(), "text/plain; charset=utf-8"),
            Some(text) => (text.clone(), "text/plain; charset=utf-8"),
            None => (self.describe(&head, &body), "application/json"),
        };
        let mut response = Response::new(Full::new(Bytes::from(text)));
        let status = if fails { 500 } else { self.options.status };
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        Ok(response)
    }

    fn describe(&self, head: &http::request::Parts, body: &Bytes) -> String {
        let host = head.uri.authority().map(|authority| Value::from(authority.as_str()));
        let in_header = || head.headers.get(HOST).map(text);
        let description = json!({
            "name": self.options.name,
            "method": head.method.as_str(),
            "path": head.uri.path(),
            "query": head.uri.query(),
            "host": host.or_else(in_header),
            "protocol": protocol(head.version),
            "headers": fields(&head.headers),
            "body-bytes": body.len(),
        });
        format!("{description:#}\n")
    }
}

/// Several values of one name are a list.
fn fields(headers: &http::HeaderMap) -> Map<String, Value> {
    let mut out = Map::new();
    for name in headers.keys() {
        let mut values: Vec<Value> = headers.get_all(name).iter().map(text).collect();
        let value = if values.len() == 1 { values.remove(0) } else { Value::Array(values) };
        out.insert(name.as_str().to_owned(), value);
    }
    out
}

fn text(value: &HeaderValue) -> Value {
    String::from_utf8_lossy(value.as_bytes()).into()
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}

/// Spreads failures evenly instead of drawing them: a test that counts gets the same number each time.
fn fails(number: u64, rate: f64) -> bool {
    let sum = |n: u64| (n as f64 * rate).floor();
    sum(number + 1) > sum(number)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[test]
    fn failures_are_spread_evenly() {
        for (rate, expected) in [(0.0, 0), (0.1, 100), (0.5, 500), (1.0, 1_000)] {
            let failed = (0..1_000).filter(|n| fails(*n, rate)).count();
            assert_eq!(failed, expected, "{rate}");
        }
        assert!(!fails(0, 0.5) && fails(1, 0.5));
    }

    async fn origin(options: cli::Echo) -> SocketAddr {
        let listener = TcpListener::bind(options.listen).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, Arc::new(Origin { options, requests: AtomicU64::new(0) })));
        address
    }

    fn options() -> cli::Echo {
        cli::Echo {
            listen: ([127, 0, 0, 1], 0).into(),
            status: 201,
            body: None,
            delay: Duration::ZERO,
            fail_rate: 0.0,
            name: "one".to_owned(),
        }
    }

    #[tokio::test]
    async fn a_request_is_described() {
        let mut stream = TcpStream::connect(origin(options()).await).await.unwrap();
        let request = "POST /a?b=1 HTTP/1.1\r\nhost: x.example\r\nx-a: 1\r\nx-a: 2\r\n\
                       content-length: 3\r\nconnection: close\r\n\r\nabc";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 201 Created"), "{head}");
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["name"], "one");
        assert_eq!(body["path"], "/a");
        assert_eq!(body["query"], "b=1");
        assert_eq!(body["host"], "x.example");
        assert_eq!(body["headers"]["x-a"], json!(["1", "2"]));
        assert_eq!(body["body-bytes"], 3);
    }

    #[tokio::test]
    async fn http2_is_spoken_with_prior_knowledge() {
        let stream = TcpStream::connect(origin(options()).await).await.unwrap();
        let io = TokioIo::new(stream);
        let executor = TokioExecutor::new();
        let (mut client, connection) =
            hyper::client::conn::http2::handshake(executor, io).await.unwrap();
        tokio::spawn(connection);
        let request = Request::get("http://x.example/a").body(Full::<Bytes>::default()).unwrap();
        let response = client.send_request(request).await.unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&body["protocol"], &body["host"]), (&"HTTP/2".into(), &"x.example".into()));
    }
}
