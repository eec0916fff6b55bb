//! What does not come in (THREATS A11, A12, H); more of it is in `hostile`.

use edgewit_model::ByteSize;

use crate::support::{Backend, Gateway, forward_to, listener, route, talk, upstream};

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

#[tokio::test]
async fn a7_a_target_that_is_a_url_names_the_host() {
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
            "GET / HTTP/1.1\r\nhost: a\r\nauthorization: a\r\nauthorization: b\r\n\r\n",
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
