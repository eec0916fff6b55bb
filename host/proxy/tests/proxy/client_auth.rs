//! Clients that show certificates.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use edgewit_chain::{Fact, RequestVerdict};
use edgewit_model::{
    AccessLog, AccessLogFormat, ClientAuth, ClientAuthMode, Listener, ListenerTls, LogTarget,
};
use rcgen::{CertificateParams, DnType, SanType};
use tokio_rustls::rustls::HandshakeKind;

use crate::support::{
    Authority, Gateway, Issued, Native, TlsClient, answer, ask, hello, listener, respond, route,
    until,
};

const GET: &str = "GET / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n";
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A listener for `a.test` whose clients show certificates of the same authority.
fn asking(authority: &Authority, folder: &Path, mode: ClientAuthMode) -> Listener {
    let ca = folder.join("ca.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    let files = vec![authority.issue(&["a.test"]).write(folder, "server")];
    let client_auth = Some(ClientAuth { ca, mode, crl: None });
    let tls = ListenerTls { files, min_version: edgewit_model::TlsVersion::V1_2, client_auth };
    Listener { tls: Some(tls), ..listener() }
}

fn client(authority: &Authority, shows: Option<&Issued>) -> TlsClient {
    let client = TlsClient::trusting(authority);
    shows.into_iter().fold(client, |client, issued| client.shows(issued)).build()
}

async fn get(gateway: &Gateway, client: &TlsClient) -> io::Result<String> {
    client.get(gateway.address, "a.test", "a.test").await
}

#[tokio::test]
async fn h11_only_certificates_of_the_authority_open_the_door() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (Authority::new("ca"), Authority::new("ca"));
    let good = ours.issue(&["me.test"]);
    let forged = theirs.issue(&["me.test"]);
    let expired = ours.issue_with(&rcgen::PKCS_ECDSA_P256_SHA256, &["me.test"], |params| {
        params.not_after = (SystemTime::now() - DAY).into();
    });
    for (mode, without) in [(ClientAuthMode::Require, false), (ClientAuthMode::Request, true)] {
        let gateway = hello(asking(&ours, folder.path(), mode));
        for (shows, passes) in
            [(None, without), (Some(&good), true), (Some(&forged), false), (Some(&expired), false)]
        {
            let client = client(&ours, shows);
            let answer = get(&gateway, &client).await;
            assert_eq!(answer.is_ok_and(|text| text.ends_with("hello")), passes, "{mode:?}");
        }
        until("refused handshakes are counted", || {
            let refused = if without { 2 } else { 3 };
            let series = r#"edgewit_connections_refused_total{listener="web",reason="handshake"}"#;
            gateway.metrics.text().contains(&format!("{series} {refused}\n"))
        })
        .await;
    }
}

#[tokio::test]
async fn a17_a_chain_without_end_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("ca");
    let gateway = hello(asking(&authority, folder.path(), ClientAuthMode::Require));
    let (good, stranger) = (authority.issue(&["me.test"]), Authority::new("x").issue(&["me.test"]));
    let padding: Vec<_> = (0..2_000).map(|_| authority.issue(&["x"]).der().clone()).collect();
    // Each of them may have signed any other, by their names.
    let maze: Vec<_> = (0..120).map(|_| Authority::new("x").der()).collect();
    for (shown, chain, passes) in [
        (&good, &padding[..100], true), // of no use, but no harm
        (&good, &padding[..], false),
        (&stranger, &maze[..], false),
    ] {
        let client = TlsClient::trusting(&authority).shows_chain(shown, chain.iter().cloned());
        let answer = get(&gateway, &client.build()).await;
        assert_eq!(answer.is_ok_and(|text| text.ends_with("hello")), passes, "{}", chain.len());
    }
    let answer = get(&gateway, &client(&authority, Some(&good))).await;
    assert!(answer.unwrap().ends_with("hello"));
}

/// What a filter, the access log, and the upstream are told of clients that show these certificates.
#[tokio::test]
async fn h11_a_certificate_says_who_the_client_is_and_a_header_never_does() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("ca");
    let issue = |change: &dyn Fn(&mut CertificateParams)| {
        authority.issue_with(&rcgen::PKCS_ECDSA_P256_SHA256, &[], |params| change(params))
    };
    let uri = |text: &str| SanType::URI(text.try_into().unwrap());
    let dns = |text: &str| SanType::DnsName(text.try_into().unwrap());
    let cn = |params: &mut CertificateParams, text: &str| {
        params.distinguished_name.push(DnType::CommonName, text);
    };
    let web = "spiffe://prod/ns/shop/sa/web";
    let cases = [
        (None, None),
        (Some(issue(&|p| p.subject_alt_names = vec![dns("me.test"), uri(web)])), Some(web)),
        (Some(issue(&|p| p.subject_alt_names = vec![dns("me.test"), dns("x")])), Some("me.test")),
        (Some(issue(&|p| cn(p, "Me & Co"))), Some("Me & Co")),
        // Two URIs are no SPIFFE id, a common name is none, and neither are others.
        (Some(issue(&|p| p.subject_alt_names = vec![uri(web), uri("spiffe://b")])), Some("cn")),
        (Some(issue(&|p| cn(p, web))), None),
        (Some(issue(&|p| p.subject_alt_names = vec![uri("https://a")])), Some("cn")),
        (Some(issue(&|p| cn(p, "a\nb"))), None),
    ];
    let seen: Arc<Mutex<Vec<Option<String>>>> = Arc::default();
    let of_filter = Arc::clone(&seen);
    let filter = Native {
        on_request: Some(Box::new(move |exchange| {
            let identity = exchange.fact(Fact::ClientIdentity).map(|fact| fact.into_owned());
            of_filter.lock().unwrap().push(identity);
            Ok(RequestVerdict::Answer(answer(200, "seen")))
        })),
        ..Native::default()
    };
    let listener = asking(&authority, folder.path(), ClientAuthMode::Request);
    let path = folder.path().join("access.log");
    let log = AccessLog { format: AccessLogFormat::Json, target: LogTarget::File(path.clone()) };
    let routes = vec![(route(respond(200, "")), vec![filter.into_filter()], Vec::new())];
    let gateway = Gateway::with_log(listener, routes, Some(&log));
    let mut expected = Vec::new();
    for (issued, identity) in &cases {
        let client = client(&authority, issued.as_ref());
        for _ in 0..2 {
            let mut stream = client.connect(gateway.address, "a.test").await.unwrap();
            let request = "GET / HTTP/1.1\r\nhost: a.test\r\nclient-identity: root\r\n\
                x-client-identity: root\r\nx-forwarded-client-cert: root\r\nconnection: close\r\n\r\n";
            assert!(ask(&mut stream, request).await.unwrap().ends_with("seen"));
            let identity = match *identity {
                Some("cn") => Some("rcgen self signed cert".to_owned()),
                identity => identity.map(str::to_owned),
            };
            expected.push(identity);
        }
        // The second one was resumed and says the same.
    }
    assert_eq!(*seen.lock().unwrap(), expected);
    drop(gateway);
    let text = std::fs::read_to_string(path).unwrap();
    assert_eq!(text.lines().count(), expected.len());
    for identity in expected.iter().flatten() {
        let field = format!(r#""client_identity":"{identity}""#);
        assert!(text.contains(&field), "{field} in {text}");
    }
    let without = text.lines().filter(|line| !line.contains("client_identity")).count();
    assert_eq!(without, expected.iter().filter(|identity| identity.is_none()).count());
}

#[tokio::test]
async fn a_revoked_certificate_opens_nothing_and_neither_does_its_session() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("ca");
    let (bad, good) = (authority.issue(&["bad.test"]), authority.issue(&["good.test"]));
    let crl = folder.path().join("crl.pem");
    std::fs::write(&crl, authority.revoke(&[], DAY)).unwrap();
    let mut listener = asking(&authority, folder.path(), ClientAuthMode::Require);
    let tls = listener.tls.as_mut().unwrap();
    tls.client_auth.as_mut().unwrap().crl = Some(crl.clone());
    let gateway = hello(listener);
    let (thief, owner) = (client(&authority, Some(&bad)), client(&authority, Some(&good)));
    for client in [&thief, &owner] {
        assert!(get(&gateway, client).await.unwrap().ends_with("hello"));
    }
    std::fs::write(&crl, authority.revoke(&[&bad], DAY)).unwrap();
    assert!(gateway.proxy.renew_certificates()[0].result.is_ok());
    assert!(get(&gateway, &thief).await.is_err());
    assert!(get(&gateway, &owner).await.unwrap().ends_with("hello"));

    // A list that is out of date, or of another authority, says nothing about anybody: nobody comes in.
    let other = Authority::new("other");
    for list in [authority.revoke(&[], Duration::ZERO), other.revoke(&[], DAY)] {
        std::fs::write(&crl, list).unwrap();
        assert!(gateway.proxy.renew_certificates()[0].result.is_ok());
        assert!(get(&gateway, &owner).await.is_err());
    }
    std::fs::write(&crl, "junk").unwrap();
    let renewal = gateway.proxy.renew_certificates().remove(0);
    let expected = format!("`{}` holds no revocation list", crl.display());
    assert_eq!(renewal.result.unwrap_err().to_string(), expected);
}

#[tokio::test]
async fn a_session_ends_with_the_certificate_that_it_goes_back_to() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("ca");
    let gateway = hello(asking(&authority, folder.path(), ClientAuthMode::Require));
    let brief = authority.issue_with(&rcgen::PKCS_ECDSA_P256_SHA256, &["me.test"], |params| {
        params.not_after = (SystemTime::now() + Duration::from_secs(6)).into();
    });
    let client = client(&authority, Some(&brief));
    let mut was_resumed = false;
    let begun = std::time::Instant::now();
    loop {
        let Ok(mut stream) = client.connect(gateway.address, "a.test").await else { break };
        let kind = stream.get_ref().1.handshake_kind();
        if ask(&mut stream, GET).await.is_err() {
            break;
        }
        was_resumed |= kind == Some(HandshakeKind::Resumed);
        assert!(begun.elapsed() < crate::support::DEADLINE, "a session outlives its certificate");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(was_resumed);
}
