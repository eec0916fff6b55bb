//! TLS towards clients.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use edgewit_model::{ListenerTls, Protocols, TlsVersion};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
    version::{TLS12, TLS13},
};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// Certificate, versions and protocols of a listener, ready for handshakes.
pub(crate) struct TlsServer {
    config: Arc<ServerConfig>,
    source: Source,
}

/// What a server was made from; if it is the same again, so is the server, and sessions can be resumed.
#[derive(PartialEq)]
struct Source {
    settings: ListenerTls,
    protocols: Protocols,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or holds no PEM of the right kind.
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
    #[error("certificate and key cannot be used together")]
    Pair(#[source] rustls::Error),
}

impl TlsServer {
    /// Reads the files. Gives `before` back if nothing has changed.
    pub(crate) fn new(
        settings: &ListenerTls,
        protocols: Protocols,
        before: Option<&Arc<Self>>,
    ) -> Result<Arc<Self>, TlsError> {
        let source = Source::read(settings, protocols)?;
        if let Some(before) = before.filter(|before| before.source == source) {
            return Ok(Arc::clone(before));
        }
        let config = Arc::new(source.config().map_err(TlsError::Pair)?);
        Ok(Arc::new(Self { config, source }))
    }

    /// The handshake, in bounded time.
    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
        limit: Duration,
    ) -> io::Result<TlsStream<TcpStream>> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.config));
        match timeout(limit, acceptor.accept(stream)).await {
            Ok(accepted) => accepted,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

impl std::fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsServer")
            .field("cert", &self.source.settings.cert)
            .finish_non_exhaustive()
    }
}

impl Source {
    fn read(settings: &ListenerTls, protocols: Protocols) -> Result<Self, TlsError> {
        let wrong = |path: &PathBuf, what| {
            let path = path.clone();
            move |source| TlsError::File { path, what, source }
        };
        let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(&settings.cert)
            .and_then(Iterator::collect)
            .and_then(|chain: Vec<_>| match chain.is_empty() {
                true => Err(pem::Error::NoItemsFound),
                false => Ok(chain),
            });
        let chain = chain.map_err(wrong(&settings.cert, "certificate"))?;
        let key = PrivateKeyDer::from_pem_file(&settings.key);
        let key = key.map_err(wrong(&settings.key, "private key"))?;
        Ok(Self { settings: settings.clone(), protocols, chain, key })
    }

    fn config(&self) -> Result<ServerConfig, rustls::Error> {
        let versions: &[_] = match self.settings.min_version {
            TlsVersion::V1_2 => &[&TLS12, &TLS13],
            TlsVersion::V1_3 => &[&TLS13],
        };
        let mut config = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_protocol_versions(versions)?
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), self.key.clone_key())?;
        if self.protocols.h2 {
            config.alpn_protocols.push(b"h2".to_vec());
        }
        if self.protocols.h1 {
            config.alpn_protocols.push(b"http/1.1".to_vec());
        }
        Ok(config)
    }
}

/// Whether the handshake chose HTTP/2.
pub(crate) fn chose_http2(stream: &TlsStream<TcpStream>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(b"h2")
}
