//! B10: certificates that do not fit, and peers that speak no TLS. What the client is told; that nothing goes out in clear
//! text is held in `host/upstream/tests/upstream/tls.rs`.

use std::{path::Path, sync::Arc};

use http::Method;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer},
    },
};

use super::{both, to};
use crate::support::{Backend, Gateway};

/// A certificate for this name that vouches for itself, written to a file.
fn certificate(folder: &Path, name: &str, expired: bool) -> (CertificateDer<'static>, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    if expired {
        (params.not_before, params.not_after) =
            (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    }
    let made = params.self_signed(&key).unwrap();
    std::fs::write(folder.join("ca.pem"), made.pem()).unwrap();
    (made.der().clone(), key)
}

async fn serve((certificate, key): (CertificateDer<'static>, KeyPair)) -> Backend {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let acceptor =
        TlsAcceptor::from(Arc::new(config.with_single_cert(vec![certificate], key).unwrap()));
    Backend::new(move |stream: TcpStream, _| {
        let acceptor = acceptor.clone();
        async move {
            let accepted = acceptor.accept(stream).await;
            assert!(accepted.is_err(), "the gateway must not go on");
        }
    })
    .await
}

fn trusting(folder: &Path, backend: &Backend) -> Gateway {
    let change = |upstream: &mut edgewit_model::Upstream| {
        upstream.endpoints[0].tls = true;
        upstream.tls.ca = Some(folder.join("ca.pem"));
    };
    to(backend.address, change).0
}

async fn told(gateway: &Gateway, error: &str) {
    for (version, got) in both(gateway, Method::POST, b"secret").await {
        assert_eq!(got.status().unwrap(), 502, "{version} {error}");
        assert_eq!(got.field("proxy-status"), format!("edgewit; error={error}"), "{version}");
        let body = String::from_utf8_lossy(got.text()).into_owned();
        assert!(!body.contains("certificate") && !body.contains("127.0.0.1"), "{body}");
    }
}

#[tokio::test]
async fn b10_a_certificate_that_does_not_fit_is_a_502() {
    for (name, expired, own) in
        [("other.example", false, true), ("127.0.0.1", true, true), ("127.0.0.1", false, false)]
    {
        let folder = tempfile::tempdir().unwrap();
        let backend = serve(certificate(folder.path(), name, expired)).await;
        if !own {
            certificate(folder.path(), "127.0.0.1", false); // another one is trusted
        }
        told(&trusting(folder.path(), &backend), "tls_certificate_error").await;
    }
}

#[tokio::test]
async fn b10_clear_text_on_the_port_of_tls_is_a_502() {
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path(), "127.0.0.1", false);
    let plain = Backend::new(|mut stream, _| async move {
        let answer = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
        let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await;
        let mut seen = Vec::new();
        let _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut seen).await;
        assert!(!seen.windows(6).any(|window| window == b"secret"));
    })
    .await;
    told(&trusting(folder.path(), &plain), "tls_protocol_error").await;
}
