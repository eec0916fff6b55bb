//! Certificates that change while they are in use (THREATS G10).

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use edgewit_model::{Listener, ListenerTls};
use edgewit_proxy::{Renewed, TlsError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Authority, Gateway, Issued, TlsClient, hello, listener, within};

const GET: &str = "GET / HTTP/1.1\r\nhost: a.test\r\n\r\n";

fn gateway(folder: &Path, first: &Issued) -> Gateway {
    let files = first.write(folder, "a");
    hello(Listener { tls: Some(ListenerTls::new(files.cert, files.key)), ..listener() })
}

/// The certificate that a new connection is shown.
async fn is_shown(gateway: &Gateway, client: &TlsClient, expected: &Issued) -> bool {
    let stream = client.connect(gateway.address, "a.test").await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0] == *expected.der()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g10_fifty_rotations_are_noticed_by_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("ca");
    let gateway = Arc::new(gateway(folder.path(), &authority.issue(&["a.test"])));
    let client = TlsClient::trusting(&authority).build();
    let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut clients = Vec::new();
    for kept in [true, true, false, false] {
        let (gateway, client) = (Arc::clone(&gateway), client.clone());
        let (stop, served) = (Arc::clone(&stop), Arc::clone(&served));
        clients.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let mut stream = client.connect(gateway.address, "a.test").await.unwrap();
                loop {
                    let head = "HTTP/1.1 200 OK\r\n";
                    stream.write_all(GET.as_bytes()).await.unwrap();
                    let mut answer = Vec::new();
                    while !answer.ends_with(b"hello") {
                        answer.push(within(stream.read_u8()).await.unwrap());
                    }
                    assert!(answer.starts_with(head.as_bytes()));
                    served.fetch_add(1, Ordering::Relaxed);
                    if !kept || stop.load(Ordering::Relaxed) {
                        break;
                    }
                }
            }
        }));
    }
    for _ in 0..50 {
        let next = authority.issue(&["a.test"]);
        next.write(folder.path(), "a");
        let renewal = gateway.proxy.renew_certificates().remove(0);
        assert!(renewal.is_news());
        assert_eq!(renewal.result.unwrap(), Renewed::Replaced);
        assert!(is_shown(&gateway, &client, &next).await);
    }
    let renewal = gateway.proxy.renew_certificates().remove(0);
    assert!(!renewal.is_news());
    assert_eq!((renewal.result.unwrap(), renewal.times), (Renewed::Unchanged, 1));
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        within(client).await.unwrap();
    }
    assert!(served.load(Ordering::Relaxed) >= 50);
    let text = gateway.metrics.text();
    let refused = r#"edgewit_connections_refused_total{listener="web",reason="handshake"} 0"#;
    assert!(text.contains(refused), "{text}");
}

#[tokio::test]
async fn g10_files_that_cannot_be_used_leave_the_old_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("ca");
    let first = authority.issue(&["a.test"]);
    let gateway = gateway(folder.path(), &first);
    let client = TlsClient::of_anybody(&[]).build();
    let (cert, key) = (folder.path().join("a.pem"), folder.path().join("a.key"));
    let other = authority.issue(&["a.test"]);
    type Check = fn(&TlsError) -> bool;
    let half = first.certificate.pem()[..200].to_owned();
    let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned();
    let cases: [(&Path, Option<String>, Check, &str); 6] = [
        (&cert, Some(other.certificate.pem()), |e| matches!(e, TlsError::Pair { .. }), "together"),
        (&cert, Some(half), |e| matches!(e, TlsError::File { .. }), "holds no certificate"),
        (&cert, Some(String::new()), |e| matches!(e, TlsError::File { .. }), "no certificate"),
        (&cert, Some(junk), |e| matches!(e, TlsError::Pair { .. }), "together"),
        (&key, Some("junk".to_owned()), |e| matches!(e, TlsError::File { .. }), "no private key"),
        (&key, None, |e| matches!(e, TlsError::Read { .. }), "cannot read"),
    ];
    for (path, content, is_expected, words) in cases {
        first.write(folder.path(), "a");
        gateway.proxy.renew_certificates();
        match content {
            Some(content) => std::fs::write(path, content).unwrap(),
            None => std::fs::remove_file(path).unwrap(),
        }
        for times in 1..4 {
            let renewal = gateway.proxy.renew_certificates().remove(0);
            assert_eq!(renewal.is_news(), times == 2, "it is told once, and not at the first look");
            let error = renewal.result.unwrap_err();
            assert!(is_expected(&error) && error.to_string().contains(words), "{error:?}");
            assert_eq!((renewal.listener.as_str(), renewal.times), ("web", times));
        }
        assert!(is_shown(&gateway, &client, &first).await, "{words}");
    }
    other.write(folder.path(), "a");
    assert_eq!(gateway.proxy.renew_certificates().remove(0).result.unwrap(), Renewed::Replaced);
    assert!(is_shown(&gateway, &client, &other).await);
}

#[tokio::test]
async fn g10_the_end_of_a_certificate_is_a_metric() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("ca");
    let issue = |hosts: &[&str], end: u64| {
        authority.issue_with(&rcgen::PKCS_ECDSA_P256_SHA256, hosts, |params| {
            params.not_before = (UNIX_EPOCH + Duration::from_secs(1_000)).into();
            params.not_after = (UNIX_EPOCH + Duration::from_secs(end)).into();
        })
    };
    let files = vec![
        issue(&["a.test", "b.test"], 4_000_000_000).write(folder.path(), "a"),
        issue(&["*.c.test"], 4_100_000_000).write(folder.path(), "c"),
        issue(&["a.test"], 4_200_000_000).write(folder.path(), "a2"),
    ];
    let mut tls = ListenerTls::new(files[0].cert.clone(), files[0].key.clone());
    tls.files = files;
    let gateway = hello(Listener { tls: Some(tls), ..listener() });
    let expiry = |name: &str| {
        let series =
            format!(r#"edgewit_tls_certificate_expiry_seconds{{listener="web",name="{name}"}} "#);
        let text = gateway.metrics.text();
        let line = text.lines().find_map(|line| line.strip_prefix(&series).map(str::to_owned));
        line.map(|value| value.parse::<u64>().unwrap())
    };
    assert_eq!(expiry("a.test"), Some(4_000_000_000), "the first that ends");
    assert_eq!(expiry("*.c.test"), Some(4_100_000_000));
    assert_eq!(expiry("b.test"), None);

    // One that has expired is shown all the same: it is for the client to decide.
    let gone = issue(&["d.test"], 2_000);
    gone.write(folder.path(), "c");
    assert_eq!(gateway.proxy.renew_certificates().remove(0).result.unwrap(), Renewed::Replaced);
    assert_eq!((expiry("*.c.test"), expiry("d.test")), (None, Some(2_000)));
    let client = TlsClient::of_anybody(&[]).build();
    let stream = client.connect(gateway.address, "d.test").await.unwrap();
    assert_eq!(stream.get_ref().1.peer_certificates().unwrap()[0], *gone.der());

    let infos = gateway.proxy.certificates();
    let names: Vec<_> = infos.iter().map(|info| info.names.join(" ")).collect();
    assert_eq!(names, ["a.test b.test", "d.test", "a.test"]);
    assert_eq!(infos[1].name, "d.test");
    assert!(infos[1].file.ends_with("c.pem") && infos[1].not_after < SystemTime::now());
    assert_eq!(infos[0].not_before, UNIX_EPOCH + Duration::from_secs(1_000));
}

#[tokio::test]
async fn a_listener_without_tls_has_nothing_to_renew() {
    let gateway = hello(listener());
    assert!(gateway.proxy.renew_certificates().is_empty());
    assert!(gateway.proxy.certificates().is_empty());
}
