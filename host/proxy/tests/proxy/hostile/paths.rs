//! Paths that servers read differently (THREATS H1 to H4).

use super::{
    frames::{GET, GOAWAY, HEADERS, RST_STREAM, Raw, request},
    is_well,
};
use crate::support::{Backend, Gateway, forward_to, listener, respond, route, talk, upstream};

/// What becomes of a path.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    /// It has no one meaning.
    Refused,
    /// It is the path that is guarded.
    Guarded,
    /// It is another one and is sent so.
    Sent(&'static str),
}

use Fate::{Guarded, Refused, Sent};

const PATHS: [(&str, Fate); 32] = [
    ("/admin", Guarded),
    ("/ad%6din", Guarded),
    ("/%61%64%6D%69%6E", Guarded),
    ("//admin", Guarded),
    ("///admin", Guarded),
    ("/./admin", Guarded),
    ("/x/../admin", Guarded),
    ("/x/%2e%2e/admin", Guarded),
    ("/x/.%2E/admin", Guarded),
    ("/../../admin", Guarded),
    ("/x//../admin", Guarded),
    ("/admin?x=/../public", Guarded),
    ("/x/..%2fadmin", Refused),
    ("/%2fadmin", Refused),
    ("/x%2f..%2fadmin", Refused),
    ("/x/..;/admin", Refused),
    ("/x/..;a=b/admin", Refused),
    ("/x\\..\\admin", Refused),
    ("/x/..%5cadmin", Refused),
    ("/admin%00", Refused),
    ("/admin%0d%0a", Refused),
    ("/%c0%ae%c0%ae/admin", Refused),
    ("/%ff", Refused),
    ("/%", Refused),
    ("/%4", Refused),
    ("/%zz", Refused),
    ("/x#/../admin", Refused),
    ("/x/%252e%252e/admin", Sent("/x/%252e%252e/admin")),
    ("/Admin", Sent("/Admin")),
    ("/admin%20", Sent("/admin%20")),
    ("/x/../y?/../admin", Sent("/y?/../admin")),
    ("/admin%3fx", Sent("/admin%3Fx")),
];

/// `/admin` is closed, everything else is open.
async fn guarded() -> (Backend, Gateway) {
    let backend = Backend::ok().await;
    let upstream = upstream("u", &[backend.address]);
    let mut closed = route(respond(403, "no"));
    closed.matchers[0].path = "/admin".to_owned();
    closed.name = edgewit_model::RouteName::new("closed").unwrap();
    let open = route(forward_to(&[&upstream]));
    let routes = vec![(closed, Vec::new(), Vec::new()), (open, Vec::new(), vec![upstream])];
    (backend, Gateway::new(listener(), routes))
}

/// THREATS H1, H2, H3, H4
#[tokio::test]
async fn h1_the_path_that_is_decided_on_is_the_one_that_is_sent() {
    let (backend, gateway) = guarded().await;
    for (path, fate) in PATHS {
        let before = backend.heads().len();
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let answer = talk(gateway.address, request).await;
        let seen = backend.heads().get(before).cloned();
        let status = answer.split(' ').nth(1).unwrap_or_default().to_owned();
        let expected = match fate {
            Refused => ("400", None),
            Guarded => ("403", None),
            Sent(path) => ("200", Some(format!("GET {path} HTTP/1.1"))),
        };
        let line = seen.and_then(|head| head.lines().next().map(str::to_owned));
        assert_eq!((status.as_str(), line), expected, "{path}: {answer}");
    }
    is_well(&gateway).await;
}

/// THREATS H1, H2, H3, H4
#[tokio::test]
async fn h1_the_same_holds_over_http2() {
    let (backend, gateway) = guarded().await;
    for (path, fate) in PATHS {
        let before = backend.heads().len();
        let mut fields = GET;
        fields[3] = (":path", path);
        let mut raw = Raw::new(gateway.address).await;
        raw.write(&request(1, &fields)).await;
        let end = raw
            .until(|f| {
                matches!(f.kind, RST_STREAM | GOAWAY) || (f.kind == HEADERS && f.stream == 1)
            })
            .await
            .expect("an answer");
        let line = backend.heads().get(before).and_then(|h| h.lines().next().map(str::to_owned));
        match fate {
            // A fragment is cut off by the parser of targets: it names a place within what is fetched.
            Refused if path.contains('#') => assert_eq!(line.as_deref(), Some("GET /x HTTP/1.1")),
            Refused | Guarded => {
                assert_ne!(end.status(), Some(200), "{path}");
                assert_eq!(line, None, "{path}");
            }
            Sent(path) => {
                assert_eq!(end.status(), Some(200), "{path}");
                assert_eq!(line, Some(format!("GET {path} HTTP/1.1")));
            }
        }
    }
    is_well(&gateway).await;
}
