//! TLS towards upstreams.

pub(super) mod renew;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use edgewit_model as model;
use rustls::{
    ClientConfig, RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject};
use rustls_platform_verifier::Verifier;

/// Protocols that are offered, in this order (RFC 7301).
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file of certificates cannot be read or is no PEM.
    #[error("cannot read certificates from `{path}`")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: pem::Error,
    },
    /// The file holds no certificate.
    #[error("`{path}` holds no certificate")]
    Empty {
        /// Which file.
        path: PathBuf,
    },
    /// A certificate is no usable authority.
    #[error("`{path}` holds a certificate that is no usable authority")]
    Authority {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// Our own private key cannot be read or is no PEM.
    #[error("cannot read a private key from `{path}`")]
    Key {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: pem::Error,
    },
    /// Our own certificate and key do not go together.
    #[error("`{cert}` cannot be used with its key")]
    Identity {
        /// Which certificate.
        cert: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// The system has no usable store of authorities, or the library refuses the set-up.
    #[error("the system's certificate authorities cannot be used; name a file with `tls.ca`")]
    System(#[source] rustls::Error),
}

/// The set-up if an endpoint may need it.
pub(super) fn needed(config: &model::Upstream) -> Result<Option<Arc<ClientConfig>>, TlsError> {
    let found = match &config.discovery {
        None => config.endpoints.iter().any(|e| e.tls),
        Some(model::Discovery::Dns(dns)) => dns.tls,
        Some(model::Discovery::File(_)) => {
            let is_wanted = config.tls.ca.is_some() || config.tls.identity.is_some();
            // The file may name `https` one day, but a system without authorities is fine as long as it does not.
            return match client_config(&config.tls) {
                Err(TlsError::System(_)) if !is_wanted => Ok(None),
                made => made.map(Some),
            };
        }
    };
    found.then(|| client_config(&config.tls)).transpose()
}

/// The set-up for all endpoints of an upstream: its sessions are resumed across them and across workers.
pub(super) fn client_config(config: &model::UpstreamTls) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = match &config.ca {
        Some(path) => verifier_of_file(path, provider.clone())?,
        None => verifier_of_system(provider.clone())?,
    };
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions() // 1.2 and 1.3
        .map_err(TlsError::System)?
        .dangerous() // the name of rustls for any verifier that is passed in; ours verify
        .with_custom_certificate_verifier(verifier);
    let mut tls = match &config.identity {
        None => tls.with_no_client_auth(),
        Some(identity) => {
            let (chain, key) = own(identity)?;
            tls.with_client_auth_cert(chain, key)
                .map_err(|source| TlsError::Identity { cert: identity.cert.clone(), source })?
        }
    };
    tls.alpn_protocols = ALPN.map(<[u8]>::to_vec).into();
    Ok(Arc::new(tls))
}

/// Our own certificates and the key to the first.
fn own(
    identity: &model::TlsIdentity,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    let model::TlsIdentity { cert, key } = identity;
    let read = |source| TlsError::Read { path: cert.clone(), source };
    let chain = CertificateDer::pem_file_iter(cert).map_err(read)?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(read)?;
    if chain.is_empty() {
        return Err(TlsError::Empty { path: cert.clone() });
    }
    let read = |source| TlsError::Key { path: key.clone(), source };
    Ok((chain, PrivateKeyDer::from_pem_file(key).map_err(read)?))
}

/// The system's store is read once in the life of the process: reading takes tens of milliseconds.
fn verifier_of_system(
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    static SYSTEM: OnceLock<Arc<Verifier>> = OnceLock::new();
    if let Some(known) = SYSTEM.get() {
        return Ok(known.clone());
    }
    let read = Arc::new(Verifier::new(provider).map_err(TlsError::System)?);
    Ok(SYSTEM.get_or_init(|| read).clone())
}

fn verifier_of_file(
    path: &Path,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    let read = |source| TlsError::Read { path: path.to_owned(), source };
    let authority = |source| TlsError::Authority { path: path.to_owned(), source };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(read)? {
        roots.add(certificate.map_err(read)?).map_err(authority)?;
    }
    if roots.is_empty() {
        return Err(TlsError::Empty { path: path.to_owned() });
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|e| authority(rustls::Error::General(e.to_string())))?;
    Ok(verifier)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_authorities_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let check = |name: &str, content: Option<&str>| {
            let path = dir.path().join(name);
            if let Some(content) = content {
                std::fs::write(&path, content).unwrap();
            }
            client_config(&model::UpstreamTls { ca: Some(path), ..Default::default() }).unwrap_err()
        };
        assert!(matches!(check("missing.pem", None), TlsError::Read { .. }));
        assert!(matches!(check("empty.pem", Some("")), TlsError::Empty { .. }));
        let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(check("junk.pem", Some(junk)), TlsError::Authority { .. }));
    }
}
