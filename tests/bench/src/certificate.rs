//! The certificate of a run, and the two ends that use it.

use std::{fs, path::Path, sync::Arc};

use anyhow::Result;
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    version::TLS13,
};

use crate::ask::HOST;

/// The files in a folder: certificate, key, and both in one as HAProxy wants them.
pub(crate) const CERT: &str = "cert.pem";
pub(crate) const KEY: &str = "key.pem";
pub(crate) const BOTH: &str = "both.pem";

const H2: &[u8] = b"h2";

/// Makes a certificate that signs itself, with an ECDSA key.
pub(crate) fn make(folder: &Path) -> Result<()> {
    let key = KeyPair::generate()?;
    let cert = CertificateParams::new(vec![HOST.to_owned()])?.self_signed(&key)?;
    fs::write(folder.join(CERT), cert.pem())?;
    fs::write(folder.join(KEY), key.serialize_pem())?;
    fs::write(folder.join(BOTH), cert.pem() + &key.serialize_pem())?;
    Ok(())
}

/// A server of TLS 1.3 and HTTP/2.
pub(crate) fn server(folder: &Path) -> Result<Arc<ServerConfig>> {
    let cert = CertificateDer::from_pem_file(folder.join(CERT))?;
    let key = PrivateKeyDer::from_pem_file(folder.join(KEY))?;
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_protocol_versions(&[&TLS13])?.with_no_client_auth();
    let mut config = builder.with_single_cert(vec![cert], key)?;
    config.alpn_protocols = vec![H2.to_vec()];
    Ok(Arc::new(config))
}

/// A client that believes this certificate only.
pub(crate) fn client(folder: &Path) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.join(CERT))?)?;
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_protocol_versions(&[&TLS13])?.with_root_certificates(roots);
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = vec![H2.to_vec()];
    Ok(Arc::new(config))
}
