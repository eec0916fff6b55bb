//! Names with underscores (THREATS H5).

use edgewit_model::Underscores;

use crate::support::{Backend, Gateway, forward_to, listener, route, talk, upstream};

/// THREATS H5
#[tokio::test]
async fn names_with_underscores_pass_as_the_listener_says() {
    let backend = Backend::ok().await;
    let cases = [
        (Underscores::Refuse, "400", None),
        (Underscores::Drop, "200", Some(false)),
        (Underscores::Allow, "200", Some(true)),
    ];
    for (policy, status, passes) in cases {
        let mut listener = listener();
        listener.headers_with_underscores = policy;
        let upstream = upstream("u", &[backend.address]);
        let to = route(forward_to(&[&upstream]));
        let gateway = Gateway::new(listener, vec![(to, Vec::new(), vec![upstream])]);
        let before = backend.heads().len();
        let request =
            "GET / HTTP/1.1\r\nhost: a\r\nX_User: root\r\nx-other: 1\r\nconnection: close\r\n\r\n";
        let answer = talk(gateway.address, request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{policy:?}: {answer}");
        let seen = backend.heads().get(before).map(|head| {
            assert!(head.contains("\r\nx-other: 1\r\n"), "{head}");
            head.to_ascii_lowercase().contains("x_user")
        });
        assert_eq!(seen, passes, "{policy:?}");
    }
}

/// THREATS H5, H7: to CGI and its heirs `X_Forwarded_For` is `X-Forwarded-For`.
#[tokio::test]
async fn what_is_ours_to_say_is_not_said_in_another_spelling() {
    let backend = Backend::ok().await;
    let mut listener = listener();
    listener.headers_with_underscores = Underscores::Allow;
    let upstream = upstream("u", &[backend.address]);
    let to = route(forward_to(&[&upstream]));
    let gateway = Gateway::new(listener, vec![(to, Vec::new(), vec![upstream])]);
    let ours = [
        "X_Forwarded_For",
        "x_forwarded-proto",
        "X-Forwarded_Host",
        "x_real_ip",
        "client_cert",
        "Client-Cert_Chain",
        "x_forwarded_client_cert",
        "x_http_method_override",
        "x_original_url",
        "x_request_id",
        "Transfer_Encoding",
        "content_length",
        "proxy_connection",
    ];
    let fields: String = ours.iter().map(|name| format!("{name}: 203.0.113.9\r\n")).collect();
    let request =
        format!("GET / HTTP/1.1\r\nhost: a\r\n{fields}x_user: 1\r\nconnection: close\r\n\r\n");
    let answer = talk(gateway.address, request).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let head = backend.heads().concat().to_ascii_lowercase();
    assert!(head.contains("\r\nx_user: 1\r\n") && !head.contains("203.0.113.9"), "{head}");
}
