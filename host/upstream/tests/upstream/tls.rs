//! B10: certificates that do not fit, and peers that speak no TLS.

use std::{error::Error, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use edgewit_model as model;
use edgewit_model::TlsIdentity;
use edgewit_upstream::{
    BodyError, ConnectError, Failure, Processed, SendError, TlsError, Upstream, UpstreamError,
};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::{
    HandshakeKind, RootCertStore, ServerConfig, crypto::aws_lc_rs, server::WebPkiClientVerifier,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt, net::TcpStream, task::spawn_local, time::sleep};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{
    support::{Raw, Worker, config, get, post, worker},
    upgrades::upgrade,
};

/// Certificate authorities, one of which the client trusts.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: TempDir,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer, dir: tempfile::tempdir().unwrap() }
    }

    fn file(&self) -> PathBuf {
        let path = self.dir.path().join("ca.pem");
        std::fs::write(&path, self.issuer.pem()).unwrap();
        path
    }

    /// A certificate with its key in files, for a client.
    fn client(&self, name: &str) -> TlsIdentity {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let file = |kind: &str, content: String| {
            let path = self.dir.path().join(format!("{name}.{kind}"));
            std::fs::write(&path, content).unwrap();
            path
        };
        TlsIdentity { cert: file("pem", certificate.pem()), key: file("key", key.serialize_pem()) }
    }

    /// A server that wants to see a certificate of ours.
    fn strict_server(&self) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap());
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = config.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        TlsAcceptor::from(Arc::new(config))
    }

    /// A server with a certificate for this name.
    fn server(&self, name: &str, expired: bool, alpn: &[&str]) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        if expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        acceptor(certificate.der().clone(), &key, alpn)
    }
}

fn acceptor(certificate: CertificateDer<'static>, key: &KeyPair, alpn: &[&str]) -> TlsAcceptor {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let mut config = config.with_single_cert(vec![certificate], key).unwrap();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

/// A client that trusts this authority, for a server on 127.0.0.1.
fn client(authority: &Authority, raw: &Raw, server_name: Option<&str>) -> Worker {
    let mut config = config(&[raw.port()]);
    config.endpoints[0].tls = true;
    config.tls.ca = Some(authority.file());
    config.tls.server_name = server_name.map(str::to_owned);
    Worker::new(&config)
}

/// A real HTTP server that speaks what was agreed on, and answers with it.
fn serve(raw: Raw, acceptor: TlsAcceptor) {
    spawn_local(async move {
        loop {
            let (tcp, _) = raw.listener().accept().await.unwrap();
            let Ok(tls) = acceptor.accept(tcp).await else { continue };
            spawn_local(serve_one(tls));
        }
    });
}

async fn serve_one(tls: TlsStream<TcpStream>) {
    let answer = service_fn(async |request: Request<Incoming>| {
        let version = format!("{:?}", request.version());
        let body = request.into_body().collect().await?.to_bytes();
        let body = [version.as_bytes(), b" ", &body].concat();
        Ok::<_, hyper::Error>(Response::new(Full::new(Bytes::from(body))))
    });
    let http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
    let io = TokioIo::new(tls);
    let _ = match http2 {
        true => {
            let builder = hyper::server::conn::http2::Builder::new(LocalExecutor);
            builder.serve_connection(io, answer).await
        }
        false => hyper::server::conn::http1::Builder::new().serve_connection(io, answer).await,
    };
}

#[derive(Clone)]
struct LocalExecutor;

impl<F: Future + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, task: F) {
        spawn_local(async move {
            task.await;
        });
    }
}

#[tokio::test]
async fn the_protocol_is_agreed_on_in_the_handshake() {
    let cases: [(&[&str], &str); 3] = [
        (&["h2", "http/1.1"], "HTTP/2.0 abc"),
        (&["http/1.1"], "HTTP/1.1 abc"),
        (&[], "HTTP/1.1 abc"),
    ];
    worker(async {
        let authority = Authority::new("ours");
        for (alpn, expected) in cases {
            let raw = Raw::bind().await;
            let client = client(&authority, &raw, None);
            serve(raw, authority.server("127.0.0.1", false, alpn));
            for _ in 0..5 {
                assert_eq!(client.ask(post("abc")).await.unwrap(), (200, expected.into()));
            }
            assert_eq!(client.upstream.endpoints()[0].counters().connects(), 1);
        }
    })
    .await;
}

#[tokio::test]
async fn only_http1_can_be_left_again() {
    worker(async {
        let authority = Authority::new("ours");
        let raw = Raw::bind().await;
        let client = client(&authority, &raw, None);
        serve(raw, authority.server("127.0.0.1", false, &["h2", "http/1.1"]));
        assert_eq!(client.ask(get()).await.unwrap(), (200, "HTTP/2.0 ".into()));
        let upgraded = client.ask(upgrade("websocket")).await.unwrap();
        assert_eq!(upgraded, (200, "HTTP/1.1 ".into()));
    })
    .await;
}

#[tokio::test]
async fn the_certificate_may_carry_a_configured_name() {
    worker(async {
        let authority = Authority::new("ours");
        let raw = Raw::bind().await;
        let client = client(&authority, &raw, Some("orders.internal"));
        serve(raw, authority.server("orders.internal", false, &[]));
        assert_eq!(client.ask(get()).await.unwrap().0, 200);
    })
    .await;
}

fn tls_error(error: &SendError) -> String {
    assert_eq!((error.kind, error.processed), (Failure::Connect, Processed::No));
    assert!(error.unsent.is_some());
    let connect = error.source().and_then(|e| e.downcast_ref::<ConnectError>()).unwrap();
    assert!(matches!(connect, ConnectError::Tls { .. }), "{connect:?}");
    connect.source().unwrap().to_string()
}

#[tokio::test]
async fn certificates_that_do_not_fit_are_refused() {
    worker(async {
        let authority = Authority::new("ours");
        let own = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        let cases = [
            (authority.server("other.example", false, &[]), "not valid for name"),
            (authority.server("127.0.0.1", true, &[]), "expired"),
            (Authority::new("theirs").server("127.0.0.1", false, &[]), "UnknownIssuer"),
            (acceptor(own.cert.der().clone(), &own.signing_key, &[]), "UnknownIssuer"),
        ];
        for (acceptor, expected) in cases {
            let raw = Raw::bind().await;
            let client = client(&authority, &raw, None);
            serve(raw, acceptor);
            let error = tls_error(&client.ask(post("secret")).await.unwrap_err());
            assert!(error.contains(expected), "{error:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_peer_without_tls_never_sees_the_request() {
    worker(async {
        let authority = Authority::new("ours");
        let raw = Raw::bind().await;
        let client = client(&authority, &raw, None);
        let upstream = spawn_local(async move {
            let mut peer = raw.accept().await;
            peer.say("HTTP/1.1 400 Bad Request\r\n\r\n").await;
            peer.bytes().await
        });
        tls_error(&client.ask(post("secret")).await.unwrap_err());
        let seen = upstream.await.unwrap();
        assert_eq!(seen.first(), Some(&0x16), "a handshake record");
        assert!(!seen.windows(6).any(|window| window == b"secret"));
    })
    .await;
}

#[tokio::test]
async fn the_system_s_authorities_do_not_trust_ours() {
    worker(async {
        let authority = Authority::new("ours");
        let raw = Raw::bind().await;
        let mut config = config(&[raw.port()]);
        config.endpoints[0].tls = true;
        let Ok(upstream) = Upstream::new(&config) else {
            return; // this system has no authorities at all, which is refused when the upstream is built
        };
        let client = Worker { upstream, pools: Default::default() };
        serve(raw, authority.server("127.0.0.1", false, &[]));
        let error = tls_error(&client.ask(get()).await.unwrap_err());
        assert!(error.contains("UnknownIssuer"), "{error:?}");
    })
    .await;
}

#[tokio::test]
async fn a_body_up_to_the_close_needs_the_close_of_tls() {
    worker(async {
        let authority = Authority::new("ours");
        for orderly in [true, false] {
            let raw = Raw::bind().await;
            let client = client(&authority, &raw, None);
            let acceptor = authority.server("127.0.0.1", false, &[]);
            spawn_local(async move {
                let (tcp, _) = raw.listener().accept().await.unwrap();
                let mut tls = acceptor.accept(tcp).await.unwrap();
                tls.write_all(b"HTTP/1.1 200 OK\r\n\r\nhello").await.unwrap();
                tls.flush().await.unwrap();
                match orderly {
                    true => tls.shutdown().await.unwrap(),
                    false => tls.get_mut().0.shutdown().await.unwrap(),
                }
            });
            let body = client.send(get()).await.unwrap().into_body().collect().await;
            match body {
                Ok(body) => assert!(orderly && body.to_bytes() == "hello"),
                Err(error) => assert!(!orderly && matches!(error, BodyError::Upstream(_))),
            }
        }
    })
    .await;
}

async fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_health_check_speaks_tls_and_believes_no_other_certificate() {
    let cases: [(&str, &[&str], bool); 3] = [
        ("127.0.0.1", &["h2", "http/1.1"], true),
        ("127.0.0.1", &[], true),
        ("wrong.example", &[], false),
    ];
    worker(async {
        let authority = Authority::new("ours");
        for (name, alpn, expected) in cases {
            let (raw, dead) = (Raw::bind().await, Raw::bind().await.port());
            let mut config = config(&[raw.port(), dead]);
            config.endpoints[0].tls = true;
            config.tls.ca = Some(authority.file());
            let path = http::uri::PathAndQuery::from_static("/");
            let kind = model::HealthKind::Http(model::HttpHealth::new(path));
            let mut health = model::Health::new(kind);
            health.interval = Duration::from_millis(20);
            health.timeout = Duration::from_secs(1);
            config.health = Some(health);
            let mut server = Some((raw, authority.server(name, false, alpn)));
            if !expected && let Some((raw, acceptor)) = server.take() {
                serve(raw, acceptor);
            }
            let client = Worker::new(&config);
            let states = || -> Vec<bool> {
                client.upstream.health().iter().map(|server| server.healthy).collect()
            };
            until(|| states() == [false, false]).await; // nobody answers, or with another name
            if let Some((raw, acceptor)) = server {
                serve(raw, acceptor);
                until(|| states() == [true, false]).await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_server_that_asks_who_we_are_is_told() {
    worker(async {
        let authority = Authority::new("ours");
        let stranger = Authority::new("theirs");
        for (identity, is_welcome) in [
            (Some(authority.client("edge")), true),
            (Some(stranger.client("edge")), false),
            (None, false),
        ] {
            let raw = Raw::bind().await;
            let mut config = config(&[raw.port()]);
            config.endpoints[0].tls = true;
            config.tls.ca = Some(authority.file());
            config.tls.identity = identity;
            serve(raw, authority.strict_server());
            let answered = Worker::new(&config).ask(post("abc")).await;
            assert_eq!(answered.is_ok(), is_welcome, "{answered:?}");
        }
    })
    .await;
}

#[test]
fn a_key_that_does_not_fit_its_certificate_is_refused() {
    let authority = Authority::new("ours");
    let (one, other) = (authority.client("one"), authority.client("other"));
    let mut config = config(&[1]);
    config.endpoints[0].tls = true;
    config.tls.ca = Some(authority.file());
    let missing = authority.dir.path().join("missing.pem");
    type Fits = fn(&TlsError) -> bool;
    let cases: [(TlsIdentity, Fits); 4] = [
        (TlsIdentity { key: other.key.clone(), ..one.clone() }, |e| {
            matches!(e, TlsError::Identity { .. })
        }),
        (TlsIdentity { key: missing.clone(), ..one.clone() }, |e| {
            matches!(e, TlsError::Key { .. })
        }),
        (TlsIdentity { cert: missing, ..one.clone() }, |e| matches!(e, TlsError::Read { .. })),
        (TlsIdentity { cert: one.key.clone(), ..one }, |e| matches!(e, TlsError::Empty { .. })),
    ];
    for (identity, fits) in cases {
        config.tls.identity = Some(identity);
        let error = Upstream::new(&config).unwrap_err();
        assert!(matches!(&error, UpstreamError::Tls { source, .. } if fits(source)), "{error:?}");
    }
}

#[tokio::test]
async fn certificates_are_read_again_when_they_change() {
    worker(async {
        let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
        let raw = Raw::bind().await;
        let mut config = config(&[raw.port()]);
        config.endpoints[0].tls = true;
        config.pool.idle = 0;
        config.tls.ca = Some(ours.file());
        let client = Worker::new(&config);
        serve(raw, theirs.server("127.0.0.1", false, &[]));
        let error = tls_error(&client.ask(get()).await.unwrap_err());
        assert!(error.contains("UnknownIssuer"), "{error:?}");
        let begun = std::time::Instant::now();
        std::fs::copy(theirs.file(), ours.dir.path().join("ca.pem")).unwrap();
        while client.ask(get()).await.is_err() {
            assert!(begun.elapsed().as_secs() < 40, "the new authorities are not trusted");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        // What cannot be used is left alone.
        std::fs::write(ours.dir.path().join("ca.pem"), "no certificate").unwrap();
        tokio::time::sleep(std::time::Duration::from_secs(7)).await; // more than between two looks
        assert_eq!(client.ask(get()).await.unwrap().0, 200);
    })
    .await;
}

#[tokio::test]
async fn a_further_connection_resumes_the_session() {
    worker(async {
        let authority = Authority::new("ours");
        let raw = Raw::bind().await;
        let mut config = config(&[raw.port()]);
        config.endpoints[0].tls = true;
        config.tls.ca = Some(authority.file());
        config.pool.idle = 0;
        let client = Worker::new(&config);
        let acceptor = authority.server("127.0.0.1", false, &[]);
        let kinds = spawn_local(async move {
            let mut kinds = Vec::new();
            for _ in 0..2 {
                let (tcp, _) = raw.listener().accept().await.unwrap();
                let tls = acceptor.accept(tcp).await.unwrap();
                kinds.push(tls.get_ref().1.handshake_kind().unwrap());
                serve_one(tls).await;
            }
            kinds
        });
        for _ in 0..2 {
            assert_eq!(client.ask(get()).await.unwrap().0, 200);
            client.all_closed().await;
        }
        assert_eq!(kinds.await.unwrap()[1], HandshakeKind::Resumed);
    })
    .await;
}
