//! Authorities, certificates and TLS clients.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use edgewit_model::CertificateFiles;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationListParams, DnType,
    IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
    SignatureAlgorithm,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        self, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
        SupportedProtocolVersion,
        client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime},
    },
};

use super::within;

/// Somebody who signs certificates.
pub(crate) struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key.
pub(crate) struct Issued {
    pub(crate) certificate: Certificate,
    pub(crate) key: KeyPair,
    serial: SerialNumber,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).unwrap();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// A certificate for these hosts.
    pub(crate) fn issue(&self, hosts: &[&str]) -> Issued {
        self.issue_with(&rcgen::PKCS_ECDSA_P256_SHA256, hosts, |_| {})
    }

    pub(crate) fn issue_with(
        &self,
        algorithm: &'static SignatureAlgorithm,
        hosts: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Issued {
        let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(hosts).unwrap();
        let serial: [u8; 8] = std::array::from_fn(|n| random(n) & 0x3f | 0x40);
        let serial = SerialNumber::from(serial.to_vec());
        params.serial_number = Some(serial.clone());
        change(&mut params);
        let key = KeyPair::generate_for(algorithm).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Issued { certificate, key, serial }
    }

    pub(crate) fn pem(&self) -> String {
        self.certificate.pem()
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        self.certificate.der().clone()
    }

    /// A list of certificates that count no more, which is good for so long.
    pub(crate) fn revoke(&self, revoked: &[&Issued], good_for: Duration) -> String {
        let now = SystemTime::now();
        let entry = |issued: &&Issued| RevokedCertParams {
            serial_number: issued.serial.clone(),
            revocation_time: now.into(),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: (now - Duration::from_secs(24 * 3600)).into(),
            next_update: (now - Duration::from_secs(3600) + good_for).into(),
            crl_number: SerialNumber::from(vec![1]),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

/// Numbers of certificates must differ, nothing more.
fn random(n: usize) -> u8 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(n).to_be_bytes()[0]
}

impl Issued {
    /// Writes `<stem>.pem` and `<stem>.key`.
    pub(crate) fn write(&self, folder: &Path, stem: &str) -> CertificateFiles {
        let files = CertificateFiles {
            cert: folder.join(format!("{stem}.pem")),
            key: folder.join(format!("{stem}.key")),
        };
        std::fs::write(&files.cert, self.certificate.pem()).unwrap();
        std::fs::write(&files.key, self.key.serialize_pem()).unwrap();
        files
    }

    pub(crate) fn der(&self) -> &CertificateDer<'static> {
        self.certificate.der()
    }
}

/// A client that speaks TLS and remembers its sessions.
#[derive(Clone)]
pub(crate) struct TlsClient {
    config: Arc<ClientConfig>,
}

/// What a client is made of.
pub(crate) struct TlsClientBuilder {
    verifier: Option<Arc<dyn ServerCertVerifier>>,
    roots: RootCertStore,
    versions: Vec<&'static SupportedProtocolVersion>,
    alpn: Vec<Vec<u8>>,
    shows: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

impl TlsClient {
    /// Checks whom it speaks to.
    pub(crate) fn trusting(authority: &Authority) -> TlsClientBuilder {
        let mut builder = Self::of_anybody(&[]);
        builder.verifier = None;
        builder.roots.add(authority.der()).unwrap();
        builder
    }

    /// Speaks to whoever shows a certificate with one of these algorithms; none: with any.
    pub(crate) fn of_anybody(schemes: &[SignatureScheme]) -> TlsClientBuilder {
        TlsClientBuilder {
            verifier: Some(Arc::new(Anybody(schemes.to_vec()))),
            roots: RootCertStore::empty(),
            versions: rustls::ALL_VERSIONS.to_vec(),
            alpn: Vec::new(),
            shows: None,
        }
    }

    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }

    /// A connection. A name that is an address is not sent.
    pub(crate) async fn connect(
        &self,
        address: SocketAddr,
        name: &str,
    ) -> io::Result<TlsStream<TcpStream>> {
        self.over(within(TcpStream::connect(address)).await?, name).await
    }

    pub(crate) async fn over(
        &self,
        stream: TcpStream,
        name: &str,
    ) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        within(TlsConnector::from(Arc::clone(&self.config)).connect(name, stream)).await
    }

    /// One request on a connection of its own: the response as it comes.
    pub(crate) async fn get(
        &self,
        address: SocketAddr,
        name: &str,
        host: &str,
    ) -> io::Result<String> {
        let mut stream = self.connect(address, name).await?;
        let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        ask(&mut stream, &request).await
    }
}

/// Everything that comes back until the end. An end without an answer is an error.
pub(crate) async fn ask(stream: &mut TlsStream<TcpStream>, request: &str) -> io::Result<String> {
    within(async {
        stream.write_all(request.as_bytes()).await?;
        let mut out = Vec::new();
        let read = stream.read_to_end(&mut out).await;
        if out.is_empty() {
            read?;
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(String::from_utf8_lossy(&out).into_owned())
    })
    .await
}

impl TlsClientBuilder {
    pub(crate) fn shows(mut self, issued: &Issued) -> Self {
        let key = PrivateKeyDer::try_from(issued.key.serialize_der()).unwrap();
        self.shows = Some((vec![issued.der().clone()], key));
        self
    }

    /// Shows a certificate with others behind it.
    pub(crate) fn shows_chain(
        self,
        issued: &Issued,
        others: impl Iterator<Item = CertificateDer<'static>>,
    ) -> Self {
        let mut this = self.shows(issued);
        this.shows.as_mut().unwrap().0.extend(others);
        this
    }

    pub(crate) fn speaks(mut self, protocols: &[&str]) -> Self {
        self.alpn = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
        self
    }

    pub(crate) fn only(mut self, version: &'static SupportedProtocolVersion) -> Self {
        self.versions = vec![version];
        self
    }

    pub(crate) fn build(self) -> TlsClient {
        let builder = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_protocol_versions(&self.versions)
            .unwrap();
        let builder = match self.verifier {
            Some(verifier) => builder.dangerous().with_custom_certificate_verifier(verifier),
            None => builder.with_root_certificates(self.roots),
        };
        let mut config = match self.shows {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key).unwrap(),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = self.alpn;
        TlsClient { config: Arc::new(config) }
    }
}

/// Believes everybody, but checks that they hold their key.
#[derive(Debug)]
struct Anybody(Vec<SignatureScheme>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, signed, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, signed, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        if self.0.is_empty() {
            let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
            return algorithms.supported_schemes();
        }
        self.0.clone()
    }
}

/// A connection from an address of the loopback network.
pub(crate) async fn connect_from(source: [u8; 4], address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((IpAddr::from(source), 0).into()).unwrap();
    within(socket.connect(address)).await.unwrap()
}
