//! What does not come in (THREATS A1 to A12, H).

use edgewit_model::ByteSize;

use crate::support::{Backend, Connection, Gateway, forward_to, listener, route, talk, upstream};

/// Sends bytes; the answer must have one of these statuses, the connection must be closed, the upstream must see nothing.
async fn refused(cases: impl IntoIterator<Item = impl AsRef<[u8]>>, statuses: &[&str]) {
    let backend = Backend::ok().await;
    let gateway = Gateway::to(&backend);
    for case in cases {
        let shown = String::from_utf8_lossy(case.as_ref()).into_owned();
        let shown: String = shown.chars().take(300).collect();
        let answer = talk(gateway.address, case.as_ref()).await;
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert!(statuses.contains(&status), "{shown:?} got {answer:?}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{shown:?} got {answer:?}");
        assert_eq!(backend.heads(), Vec::<String>::new(), "{shown:?}");
    }
    let clean =
        talk(gateway.address, "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(clean.starts_with("HTTP/1.1 200"), "{clean}");
}

fn with_fields(fields: &[&str]) -> Vec<String> {
    let request = |f: &&str| format!("POST / HTTP/1.1\r\nhost: a\r\n{f}\r\n\r\nG");
    fields.iter().map(request).collect()
}

#[tokio::test]
async fn a1_to_a3_ambiguous_framing_is_refused() {
    let fields = [
        "content-length: 6\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 6",
        "transfer-encoding: xchunked",
        "transfer-encoding: chunked, identity",
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
        "transfer-encoding: \"chunked\"",
        "transfer-encoding: \u{b}chunked",
        "transfer-encoding : chunked",
        "content-length: 1\r\ncontent-length: 1",
        "content-length: 1\r\ncontent-length: 2",
        "content-length: 2, 2",
        "content-length: +2",
        "content-length: -2",
        "content-length: 0x2",
        "content-length:",
        "content-length: 2 2",
        "content-length: 18446744073709551618",
    ];
    refused(with_fields(&fields), &["400"]).await;
}

#[tokio::test]
async fn a4_other_versions_are_refused() {
    let versions = ["HTTP/1.2", "HTTP/2.0", "HTTP/1.10", "http/1.1", "HTTP/0.9"];
    let requests = versions.map(|version| format!("GET / {version}\r\nhost: a\r\n\r\n"));
    refused(requests, &["400", "505"]).await;
    refused(
        ["GET /\r\n\r\n", "GET / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"],
        &["400"],
    )
    .await;
}

#[tokio::test]
async fn a5_loose_chunks_are_refused() {
    let chunks = [
        "0x2\r\nab\r\n0\r\n\r\n",
        "-2\r\nab\r\n0\r\n\r\n",
        "2 \r\nab\r\n0\r\n\r\n",
        "2\nab\r\n0\r\n\r\n",
        "2;a\nb\r\nab\r\n0\r\n\r\n",
        "2\r\nabc\r\n0\r\n\r\n",
        "10000000000000000\r\n",
    ];
    let long = format!("2;{}\r\nab\r\n0\r\n\r\n", "x".repeat(64 << 10));
    for body in chunks.into_iter().chain([long.as_str()]) {
        // The upstream may have seen the head before the body turned out to be wrong, but never its end.
        let backend = Backend::ok().await;
        let gateway = Gateway::to(&backend);
        let request =
            format!("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{body}");
        let answer = talk(gateway.address, request).await;
        let ok = answer.starts_with("HTTP/1.1 400 ") || answer.starts_with("HTTP/1.1 200 ");
        assert!(ok, "{:?} got {answer:?}", body.get(..20));
    }
}

#[tokio::test]
async fn a6_broken_heads_are_refused() {
    let heads = [
        "GET / HTTP/1.1\nhost: a\n\n",
        "GET / HTTP/1.1\r\nhost: a\nx: y\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx: a\0b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx: a\r\n b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx y: z\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx\u{1}: z\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\n: z\r\n\r\n",
        "GET  / HTTP/1.1\r\nhost: a\r\n\r\n",
    ];
    refused(heads, &["400"]).await;
}

#[tokio::test]
async fn a7_a_request_has_one_host() {
    let heads = [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: u@a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a/admin\r\n\r\n",
        "GET / HTTP/1.1\r\nhost:\r\n\r\n",
        "GET http://b/ HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET http://b/ HTTP/1.1\r\n\r\n",
    ];
    refused(heads, &["400"]).await;
    let backend = Backend::ok().await;
    let gateway = Gateway::to(&backend);
    for head in [
        "GET http://A/x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        "GET /x HTTP/1.0\r\n\r\n",
    ] {
        let answer = talk(gateway.address, head).await;
        assert!(
            answer.starts_with("HTTP/1.1 200 ") || answer.starts_with("HTTP/1.0 200 "),
            "{answer}"
        );
        assert!(backend.heads().pop().unwrap().starts_with("GET /x HTTP/1.1\r\n"));
    }
}

#[tokio::test]
async fn a8_large_heads_are_refused() {
    let many = |n| format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(n));
    let cases = [
        many(101),
        many(20_001),
        format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(128 << 10)),
        format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "y".repeat(128 << 10)),
    ];
    refused(cases, &["431", "414", "400"]).await;
}

#[tokio::test]
async fn a9_garbage_is_refused() {
    refused(["\r\n".repeat(5_000)], &["400", ""]).await;
    refused(
        [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice(), b"\x00\xff\xfe\n\n"],
        &["400", ""],
    )
    .await;
}

#[tokio::test]
async fn a10_expectations() {
    refused(["GET / HTTP/1.1\r\nhost: a\r\nexpect: more\r\nconnection: close\r\n\r\n"], &["417"])
        .await;
    let backend = Backend::new(|mut stream, _| async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let head = crate::support::read_head(&mut stream).await.unwrap();
        assert!(!head.contains("expect"), "{head}");
        stream.read_exact(&mut [0; 3]).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
    })
    .await;
    let gateway = Gateway::to(&backend);
    let mut connection = Connection::new(gateway.address).await;
    connection
        .write("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n")
        .await;
    assert!(connection.head().await.starts_with("HTTP/1.1 100 "));
    connection.write("abc").await;
    assert_eq!(connection.response().await.1, "ok");
}

#[tokio::test]
async fn a11_a12_no_tunnels() {
    refused(
        [
            "CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\nconnection: close\r\n\r\n",
            "TRACE / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        ],
        &["405"],
    )
    .await;
    let backend = Backend::ok().await;
    let gateway = Gateway::to(&backend);
    let request = "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade, close, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: x\r\n\r\n";
    let answer = talk(gateway.address, request).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let head = backend.heads().pop().unwrap();
    assert!(!head.contains("upgrade") && !head.contains("http2-settings"), "{head}");

    let switching =
        Backend::answering("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n").await;
    let gateway = Gateway::to(&switching);
    let answer =
        talk(gateway.address, "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
}

#[tokio::test]
async fn h_fields_that_are_not_the_clients_to_say() {
    refused(
        [
            "GET / HTTP/1.1\r\nhost: a\r\nx_user: root\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\nconnection: close, authorization\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\nconnection: close, host\r\n\r\n",
        ],
        &["400"],
    )
    .await;
    let backend = Backend::ok().await;
    let request = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-forwarded-for: 9.9.9.9\r\nx-forwarded-proto: https\r\n\
        forwarded: for=9.9.9.9\r\nx-real-ip: 9.9.9.9\r\nx-request-id: mine\r\nx-http-method-override: DELETE\r\nx-original-url: /admin\r\n\r\n";
    let hostile = Gateway::to(&backend);
    talk(hostile.address, request).await;
    let head = backend.heads().pop().unwrap();
    for absent in ["9.9.9.9", "https", "mine", "DELETE", "/admin"] {
        assert!(!head.contains(absent), "{absent} in {head}");
    }
    let mut trusting = listener();
    trusting.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let upstream = upstream("u", &[backend.address]);
    let to = route(forward_to(&[&upstream]));
    let trusting = Gateway::new(trusting, vec![(to, Vec::new(), vec![upstream])]);
    let answer = talk(trusting.address, request).await;
    assert!(answer.contains("x-request-id: mine"), "{answer}");
    let head = backend.heads().pop().unwrap();
    for present in
        ["x-forwarded-for: 9.9.9.9, 127.0.0.1", "x-forwarded-proto: https", "x-request-id: mine"]
    {
        assert!(head.contains(present), "{present} in {head}");
    }
}

#[tokio::test]
async fn h1_paths_that_servers_read_differently_are_refused() {
    let paths = [
        "/x/..%2fadmin",
        "/%2fadmin",
        "/x/..;/admin",
        "/x/..%5cadmin",
        "/admin%00",
        "/%c0%ae%c0%ae/admin",
        "/%",
        "/%zz",
        "*",
    ];
    let request = |path| format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
    refused(paths.map(request), &["400"]).await;
}

#[tokio::test]
async fn bodies_have_a_limit() {
    let backend = Backend::ok().await;
    let gateway = Gateway::changed(&backend, |route| route.body = Some(ByteSize(10)));
    let known =
        talk(gateway.address, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 11\r\n\r\n").await;
    assert!(known.starts_with("HTTP/1.1 413 "), "{known}");
    assert_eq!(backend.heads().len(), 0);
    let hungry = Backend::new(|mut stream, _| async move {
        use tokio::io::AsyncReadExt;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let gateway = Gateway::changed(&hungry, |route| route.body = Some(ByteSize(10)));
    let chunked = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n8\r\n12345678\r\n8\r\n12345678\r\n0\r\n\r\n";
    let unknown = talk(gateway.address, chunked).await;
    assert!(unknown.starts_with("HTTP/1.1 413 "), "{unknown}");
}
