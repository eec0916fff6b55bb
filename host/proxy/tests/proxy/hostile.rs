//! Hostile clients, one test for each item of the threat model (THREATS A1 to A25): what they get, that the upstream sees
//! nothing of it, and that the next clean request is answered.

mod aborts;

mod bodies;

mod budget;

mod expect;

mod floods;

mod frames;

mod fuzz;

mod heads;

mod http2;

mod paths;

mod slow;

mod underscores;

mod visible;

use crate::support::{Backend, Connection, Gateway, talk};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

/// The gateway serves as before.
async fn is_well(gateway: &Gateway) {
    let clean = talk(gateway.address, GET).await;
    assert!(clean.starts_with("HTTP/1.1 200 "), "{clean}");
}

/// Sends bytes on a connection of their own and keeps it open for writing. All of these must hold: one answer with this
/// status, which is a problem document and says that it is the last; then the end of the connection; nothing upstream.
async fn refused(gateway: &Gateway, backend: &Backend, bytes: &[u8], status: u16) {
    let shown = bytes.get(..bytes.len().min(200)).unwrap().escape_ascii();
    let seen = backend.heads().len();
    let mut connection = Connection::new(gateway.address).await;
    connection.write(bytes).await;
    let (answer, _) = connection.rest().await;
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{shown} got {answer:?}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{shown} got {answer:?}");
    for field in ["\r\nconnection: close\r\n", "\r\ncontent-type: application/problem+json\r\n"] {
        assert!(answer.contains(field), "{shown} got {answer:?}");
    }
    assert!(answer.contains(&format!("\"status\":{status},")), "{shown} got {answer:?}");
    assert_eq!(backend.heads().len(), seen, "{shown} went to the upstream");
}

/// All of these are refused so, and counted under this reason.
async fn all_refused(cases: &[impl AsRef<[u8]>], status: u16, reason: &str) {
    let backend = Backend::ok().await;
    let gateway = Gateway::to(&backend);
    for case in cases {
        refused(&gateway, &backend, case.as_ref(), status).await;
    }
    let counted = format!(
        "edgewit_requests_refused_total{{listener=\"web\",reason=\"{reason}\"}} {}",
        cases.len()
    );
    crate::support::until(&counted, || gateway.metrics.text().contains(&counted)).await;
    is_well(&gateway).await;
}
