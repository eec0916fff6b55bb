//! Certificates that are good for one test.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    ClientConfig, ConfigBuilder, RootCertStore, ServerConfig,
    client::WantsClientCert,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer},
};

/// An authority and a certificate of `localhost` that it signed.
pub struct Certs {
    /// The authority's certificate, as PEM.
    pub ca: String,
    /// The certificate of [`NAME`](Self::NAME), as PEM.
    pub cert: String,
    /// Its key, as PEM.
    pub key: String,
    authority: CertificateDer<'static>,
    leaf: CertificateDer<'static>,
    secret: PrivateKeyDer<'static>,
}

impl Certs {
    /// The only name of the certificate.
    pub const NAME: &str = "localhost";

    /// Makes an authority and a certificate.
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no name is a valid list");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_key = KeyPair::generate().expect("a key can be made");
        let ca = params.self_signed(&ca_key).expect("an authority signs itself");
        let issuer = Issuer::from_params(&params, &ca_key);
        let key = KeyPair::generate().expect("a key can be made");
        let params = CertificateParams::new(vec![Self::NAME.to_owned()]).expect("it is a name");
        let cert = params.signed_by(&key, &issuer).expect("an authority signs");
        Self {
            ca: ca.pem(),
            cert: cert.pem(),
            key: key.serialize_pem(),
            authority: ca.der().clone(),
            leaf: cert.der().clone(),
            secret: PrivateKeyDer::try_from(key.serialize_der()).expect("it is a key"),
        }
    }

    pub(crate) fn client(&self) -> ClientConfig {
        self.client_builder().with_no_client_auth()
    }

    /// Believes this authority and shows the certificate of `own`.
    pub(crate) fn client_as(&self, own: &Certs) -> ClientConfig {
        let chain = vec![own.leaf.clone()];
        let builder = self.client_builder();
        builder.with_client_auth_cert(chain, own.secret.clone_key()).expect("they fit")
    }

    fn client_builder(&self) -> ConfigBuilder<ClientConfig, WantsClientCert> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.clone()).expect("it is an authority");
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().expect("there are versions");
        builder.with_root_certificates(roots)
    }

    pub(crate) fn server(&self) -> ServerConfig {
        let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().expect("there are versions");
        let chain = vec![self.leaf.clone()];
        builder
            .with_no_client_auth()
            .with_single_cert(chain, self.secret.clone_key())
            .expect("they fit")
    }
}

impl Default for Certs {
    fn default() -> Self {
        Self::new()
    }
}
