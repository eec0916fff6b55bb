//! TLS towards clients.

mod files;

mod names;

mod certificates;

mod client_auth;

mod session;

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use edgewit_model::{ListenerName, ListenerTls, Protocols, TlsVersion};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs::{self, Ticketer},
    pki_types::pem,
    server::NoClientAuth,
    version::{TLS12, TLS13},
};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use certificates::Certificates;
use files::Files;

pub use certificates::CertificateInfo;
pub use client_auth::ClientAuthError;
pub(crate) use session::Session;

/// Certificates, versions and protocols of a listener, ready for handshakes.
///
/// The keys of its session tickets are its own: a ticket of another listener, or of a time when other authorities counted,
/// opens nothing here. They are renewed every six hours.
pub(crate) struct TlsServer {
    config: Arc<ServerConfig>,
    certificates: Arc<Certificates>,
    source: Source,
}

/// What a server was made from; if it is the same again, so is the server, and sessions can be resumed.
#[derive(Debug, PartialEq)]
struct Source {
    settings: ListenerTls,
    protocols: Protocols,
    digests: Vec<u128>,
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file holds no PEM of the right kind.
    #[error("`{}` holds no {what}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
        /// Why.
        #[source]
        source: pem::Error,
    },
    /// The key is not that of the certificate, or one of them is of a kind that is not supported.
    #[error("certificate `{}` and key `{}` cannot be used together", cert.display(), key.display())]
    Pair {
        /// File of the certificate.
        cert: PathBuf,
        /// File of the key.
        key: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// A certificate whose names cannot be read.
    #[error("the certificate in `{}` is broken", path.display())]
    Certificate {
        /// Which file.
        path: PathBuf,
    },
    /// Clients cannot be checked.
    #[error("certificates of clients cannot be checked")]
    ClientAuth(#[source] ClientAuthError),
    /// The library refuses its settings.
    #[error("TLS cannot be set up")]
    Config(#[source] rustls::Error),
}

impl TlsServer {
    /// Reads the files. Gives `before` back if nothing has changed.
    pub(crate) fn new(
        settings: &ListenerTls,
        protocols: Protocols,
        before: Option<&Arc<Self>>,
    ) -> Result<Arc<Self>, TlsError> {
        let files = Files::read(settings)?;
        let source = Source { settings: settings.clone(), protocols, digests: files.digests() };
        if let Some(before) = before.filter(|before| before.source == source) {
            return Ok(Arc::clone(before));
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let certificates = Arc::new(files.certificates(&provider)?);
        let verifier = match files.authorities(settings)? {
            Some(authorities) => authorities.verifier(&provider).map_err(TlsError::ClientAuth)?,
            None => Arc::new(NoClientAuth),
        };
        let versions: &[_] = match settings.min_version {
            TlsVersion::V1_2 => &[&TLS12, &TLS13],
            TlsVersion::V1_3 => &[&TLS13],
        };
        let resolver = Arc::clone(&certificates);
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(TlsError::Config)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(resolver);
        config.alpn_protocols = alpn(protocols);
        config.ticketer = Ticketer::new().map_err(TlsError::Config)?;
        certificates.warn_if_not_valid();
        Ok(Arc::new(Self { config: Arc::new(config), certificates, source }))
    }

    /// The handshake, in bounded time.
    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
        limit: Duration,
    ) -> io::Result<(TlsStream<TcpStream>, Session)> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.config));
        match timeout(limit, acceptor.accept(stream)).await {
            Ok(accepted) => {
                let stream = accepted?;
                let session = Session::of(&stream)?;
                Ok((stream, session))
            }
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Do clients show certificates?
    fn asks_clients(&self) -> bool {
        self.source.settings.client_auth.is_some()
    }

    /// What it shows.
    pub(crate) fn infos(&self, listener: &ListenerName) -> Vec<CertificateInfo> {
        self.certificates.infos(listener)
    }
}

fn alpn(protocols: Protocols) -> Vec<Vec<u8>> {
    let offered = [(protocols.h2, b"h2".as_slice()), (protocols.h1, b"http/1.1")];
    offered.into_iter().filter(|(is_spoken, _)| *is_spoken).map(|(_, name)| name.into()).collect()
}

impl std::fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsServer")
            .field("files", &self.source.settings.files)
            .finish_non_exhaustive()
    }
}

/// Whether the handshake chose HTTP/2.
pub(crate) fn chose_http2(stream: &TlsStream<TcpStream>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(b"h2")
}
