//! Which certificate a client sees, and what it may resume.

use edgewit_model::{
    CertificateFiles, ClientAuth, ClientAuthMode, Listener, ListenerTls, TlsVersion,
};
use tokio_rustls::rustls::{
    HandshakeKind, SignatureScheme,
    pki_types::CertificateDer,
    version::{TLS12, TLS13},
};

use crate::support::{Authority, Issued, TlsClient, ask, hello, listener};

fn tls(files: Vec<CertificateFiles>) -> Listener {
    let tls = ListenerTls { files, min_version: TlsVersion::V1_2, client_auth: None };
    Listener { tls: Some(tls), ..listener() }
}

/// Position of the certificate that was shown.
fn shown(seen: Option<&[CertificateDer<'_>]>, issued: &[&Issued]) -> Option<usize> {
    let leaf = seen?.first()?;
    issued.iter().position(|issued| issued.der() == leaf)
}

#[tokio::test]
async fn the_host_that_is_named_decides_which_certificate_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("ca");
    let issued = [
        authority.issue(&["first.test", "127.0.0.1"]),
        authority.issue(&["a.test", "B.test"]),
        authority.issue(&["*.a.test", "10.0.0.1"]),
        authority.issue(&["x.a.test"]),
        authority.issue(&["a.test"]),
    ];
    let files = issued.iter().enumerate();
    let files = files.map(|(n, issued)| issued.write(folder.path(), &n.to_string())).collect();
    let gateway = hello(tls(files));
    let client = TlsClient::of_anybody(&[]).build();
    let issued: Vec<&Issued> = issued.iter().collect();
    for (name, expected) in [
        ("first.test", 0),
        ("a.test", 1),
        ("b.test", 1),
        ("B.Test", 1),
        ("y.a.test", 2),
        ("x.a.test", 3),
        ("z.y.a.test", 0),
        ("unknown.test", 0),
        ("127.0.0.1", 0),
        ("10.0.0.1", 0), // nobody can name an address
    ] {
        let stream = client.connect(gateway.address, name).await.unwrap();
        let seen = stream.get_ref().1.peer_certificates();
        assert_eq!(shown(seen, &issued), Some(expected), "{name}");
    }
}

#[tokio::test]
async fn a_client_sees_the_kind_of_key_that_it_can_check() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("ca");
    let rsa = authority.issue_with(&rcgen::PKCS_RSA_SHA256, &["a.test"], |_| {});
    let ecdsa = authority.issue(&["a.test"]);
    let files = vec![rsa.write(folder.path(), "rsa"), ecdsa.write(folder.path(), "ecdsa")];
    let gateway = hello(tls(files));
    let issued = [&rsa, &ecdsa];
    let schemes = [SignatureScheme::RSA_PSS_SHA256, SignatureScheme::RSA_PKCS1_SHA256];
    for version in [&TLS12, &TLS13] {
        for (schemes, expected) in [
            (schemes.as_slice(), 0),
            (&[SignatureScheme::ECDSA_NISTP256_SHA256], 1),
            (&[], 1), // both: the one that costs less
        ] {
            let client = TlsClient::of_anybody(schemes).only(version).build();
            for name in ["a.test", "unknown.test", "127.0.0.1"] {
                let stream = client.connect(gateway.address, name).await.unwrap();
                let seen = shown(stream.get_ref().1.peer_certificates(), &issued);
                assert_eq!(seen, Some(expected), "{name} {version:?} {schemes:?}");
            }
        }
    }
    let ed25519 = TlsClient::of_anybody(&[SignatureScheme::ED25519]).build();
    assert!(ed25519.connect(gateway.address, "a.test").await.is_err());
}

#[tokio::test]
async fn versions_below_the_lowest_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("ca");
    let mut listener = tls(vec![authority.issue(&["a.test"]).write(folder.path(), "a")]);
    listener.tls.as_mut().unwrap().min_version = TlsVersion::V1_3;
    let gateway = hello(listener);
    let client = |version| TlsClient::trusting(&authority).only(version).build();
    assert!(client(&TLS12).connect(gateway.address, "a.test").await.is_err());
    let answer = client(&TLS13).get(gateway.address, "a.test", "a.test").await.unwrap();
    assert!(answer.ends_with("hello"), "{answer}");
}

#[tokio::test]
async fn a_ticket_opens_the_listener_that_gave_it_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("ca");
    let open = tls(vec![authority.issue(&["a.test"]).write(folder.path(), "a")]);
    let mut closed = open.clone();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    closed.tls.as_mut().unwrap().client_auth =
        Some(ClientAuth { ca, mode: ClientAuthMode::Require, crl: None });
    let (open, closed) = (hello(open), hello(closed));
    for version in [&TLS12, &TLS13] {
        let client = TlsClient::trusting(&authority).only(version).build();
        let mut kinds = Vec::new();
        for _ in 0..2 {
            let mut stream = client.connect(open.address, "a.test").await.unwrap();
            let request = "GET / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n";
            assert!(ask(&mut stream, request).await.unwrap().ends_with("hello"));
            kinds.push(stream.get_ref().1.handshake_kind());
        }
        assert_eq!(kinds, [Some(HandshakeKind::Full), Some(HandshakeKind::Resumed)]);
        let answer = client.get(closed.address, "a.test", "a.test").await;
        assert!(answer.is_err(), "a ticket has stood for a certificate: {answer:?}");
    }
}

#[tokio::test]
async fn sessions_outlive_a_reload_that_changes_nothing_about_them() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("ca");
    let gateway = hello(tls(vec![authority.issue(&["a.test"]).write(folder.path(), "a")]));
    let client = TlsClient::trusting(&authority).build();
    client.get(gateway.address, "a.test", "a.test").await.unwrap();
    gateway.proxy.apply(&gateway.listeners, gateway.proxy.snapshot()).unwrap();
    let mut stream = client.connect(gateway.address, "a.test").await.unwrap();
    ask(&mut stream, "GET / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n").await.unwrap();
    assert_eq!(stream.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed));
}
