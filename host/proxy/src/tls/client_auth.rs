//! Certificates of clients: who vouches for them, and whom they name.

use std::sync::Arc;

use edgewit_model::ClientAuthMode;
use rustls::{
    RootCertStore,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, CertificateRevocationListDer},
    server::{VerifierBuilderError, WebPkiClientVerifier, danger::ClientCertVerifier},
};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName};

/// What clients are checked against.
pub(super) struct Authorities {
    pub(super) mode: ClientAuthMode,
    pub(super) roots: Vec<CertificateDer<'static>>,
    pub(super) revoked: Option<Vec<CertificateRevocationListDer<'static>>>,
}

/// Why clients cannot be checked.
#[derive(Debug, thiserror::Error)]
pub enum ClientAuthError {
    /// A certificate cannot be that of an authority.
    #[error("a certificate of an authority cannot be used")]
    Authority(#[source] rustls::Error),
    /// A revocation list, or everything together.
    #[error("authorities and revocation lists cannot be used")]
    Verifier(#[source] VerifierBuilderError),
}

impl Authorities {
    /// With revocation lists it is strict, as nginx is: a certificate whose authority has no list, or one that is out of
    /// date, is refused. Else whoever can keep the file from being renewed could keep a stolen certificate alive.
    pub(super) fn verifier(
        self,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ClientCertVerifier>, ClientAuthError> {
        let mut roots = RootCertStore::empty();
        for root in self.roots {
            roots.add(root).map_err(ClientAuthError::Authority)?;
        }
        let builder =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
        let builder = match self.revoked {
            Some(lists) => builder.with_crls(lists).enforce_revocation_expiration(),
            None => builder,
        };
        let builder = match self.mode {
            ClientAuthMode::Require => builder,
            ClientAuthMode::Request => builder.allow_unauthenticated(),
        };
        builder.build().map_err(ClientAuthError::Verifier)
    }
}

/// Bytes of a SPIFFE id (SPIFFE-ID 2.3); everything else that names somebody is shorter.
const LONGEST: usize = 2_048;

/// Whom a certificate names: its SPIFFE id, else its first DNS name, else its common name.
///
/// A certificate with a SPIFFE id has exactly one URI (X509-SVID 2); with more it has none. A common name that looks like a
/// URI names nobody, or whoever may choose common names could take the name of a workload.
pub(super) fn identity(certificate: &X509Certificate<'_>) -> Option<Arc<str>> {
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    let names = alternatives.map_or(&[][..], |names| &names.value.general_names);
    let mut uris = names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    let spiffe = match (uris.next(), uris.next()) {
        (Some(uri), None) => Some(uri).filter(|uri| uri.starts_with("spiffe://")),
        _ => None,
    };
    let dns = || {
        names.iter().find_map(|name| match name {
            GeneralName::DNSName(name) => Some(*name).filter(|name| is_plain(name)),
            _ => None,
        })
    };
    let common = || {
        let mut names = certificate.subject().iter_common_name();
        names.find_map(|name| name.as_str().ok().filter(|name| is_plain(name)))
    };
    let found = spiffe.or_else(dns).or_else(common)?;
    let is_safe = !found.is_empty()
        && found.len() <= LONGEST
        && !found.chars().any(|c| c.is_control() || c == '\u{fffd}');
    is_safe.then(|| found.into())
}

fn is_plain(name: &str) -> bool {
    !name.contains("://")
}
