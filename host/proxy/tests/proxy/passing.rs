//! What the gateway has no opinion about passes untouched: `HEAD`, ranges, conditions.

use http::{Method, Request};
use http_body_util::{BodyExt, Empty};

use crate::support::{Backend, Connection, Gateway, http2, within};

/// Method and fields of a request, head and body of the answer to it.
type Case = (&'static str, &'static [(&'static str, &'static str)], &'static str, &'static str);

const CASES: [Case; 7] = [
    (
        "GET",
        &[("range", "bytes=0-3"), ("if-range", "\"v1\"")],
        "206 Partial Content\r\ncontent-range: bytes 0-3/10\r\netag: \"v1\"\r\naccept-ranges: bytes",
        "abcd",
    ),
    (
        "GET",
        &[("range", "bytes=0-1,4-5")],
        "206 Partial Content\r\ncontent-type: multipart/byteranges; boundary=x",
        "--x\r\n\r\nab\r\n--x--",
    ),
    (
        "GET",
        &[("range", "bytes=90-")],
        "416 Range Not Satisfiable\r\ncontent-range: bytes */10",
        "",
    ),
    (
        "GET",
        &[("if-none-match", "W/\"v1\""), ("if-modified-since", "Mon, 01 Jan 2024 00:00:00 GMT")],
        "304 Not Modified\r\netag: W/\"v1\"\r\nlast-modified: Mon, 01 Jan 2024 00:00:00 GMT",
        "",
    ),
    ("PUT", &[("if-match", "\"v1\"")], "412 Precondition Failed\r\netag: \"v2\"", "no"),
    ("HEAD", &[], "200 OK\r\netag: \"v1\"\r\naccept-ranges: bytes", ""),
    (
        "GET",
        &[("accept-encoding", "br;q=0.5")],
        "200 OK\r\ncontent-encoding: br\r\nvary: accept-encoding\r\ncache-control: no-transform",
        "xyz",
    ),
];

fn answer(method: &str, head: &str, body: &str) -> String {
    let length = match (method, head.starts_with("304")) {
        ("HEAD", _) => "content-length: 10\r\n".to_owned(),
        (_, true) => String::new(),
        _ => format!("content-length: {}\r\n", body.len()),
    };
    format!("HTTP/1.1 {head}\r\n{length}\r\n{body}")
}

#[tokio::test]
async fn ranges_and_conditions_pass_untouched() {
    for (method, asked, head, body) in CASES {
        let backend = Backend::answering(answer(method, head, body)).await;
        let gateway = Gateway::to(&backend);
        let status = &head[..3];
        let fields: Vec<&str> = head.split("\r\n").skip(1).collect();

        let mut client = Connection::new(gateway.address).await;
        let lines: String = asked.iter().map(|(n, v)| format!("{n}: {v}\r\n")).collect();
        for _ in 0..2 {
            client.write(format!("{method} /file HTTP/1.1\r\nhost: a\r\n{lines}\r\n")).await;
            let got = client.head().await;
            assert!(got.starts_with(&format!("HTTP/1.1 {status} ")), "{got}");
            assert!(fields.iter().all(|field| got.contains(&format!("\r\n{field}\r\n"))), "{got}");
            assert_eq!(client.read(body.len()).await, body.as_bytes());
            if method == "HEAD" {
                assert!(got.contains("content-length: 10\r\n"), "{got}");
            }
        }

        let mut sender = http2(gateway.address).await;
        let mut request = Request::builder().uri("http://a/file");
        for (name, value) in asked {
            request = request.header(*name, *value);
        }
        let empty = Empty::new().map_err(|e| match e {}).boxed_unsync();
        let request = request.method(Method::from_bytes(method.as_bytes()).unwrap()).body(empty);
        let response = within(sender.send_request(request.unwrap())).await.unwrap();
        assert_eq!(response.status().as_str(), status);
        for field in fields {
            let (name, value) = field.split_once(": ").unwrap();
            assert_eq!(response.headers()[name], value);
        }
        assert_eq!(within(response.into_body().collect()).await.unwrap().to_bytes(), body);

        let heads = backend.heads();
        assert_eq!(heads.len(), 3);
        for seen in heads {
            let sent =
                |(name, value): &(&str, &str)| seen.contains(&format!("{name}: {value}\r\n"));
            assert!(asked.iter().all(sent), "{seen}");
            assert!(seen.starts_with(&format!("{method} /file ")), "{seen}");
        }
    }
}
