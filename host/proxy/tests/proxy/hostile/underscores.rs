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
