//! Certificates and keys: readable, and in PEM form?

use std::path::PathBuf;

use rustls_pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer, pem::PemObject,
};

use crate::{Diagnostic, Place, Report, code, load};

/// A chain of a hundred certificates is smaller.
const LARGEST: usize = 1 << 20;

/// A file that a listener or upstream needs.
pub(crate) struct Pem {
    pub(crate) kind: Kind,
    pub(crate) path: PathBuf,
    pub(crate) place: Place,
}

/// What must be in it.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Certificates,
    PrivateKey,
    RevocationLists,
}

/// Reads each file and reports those that cannot be used. Whether a key fits its certificate is found out when TLS is set
/// up with them.
pub(crate) fn check(pems: &[Pem], report: &mut Report) {
    for pem in pems {
        if let Err(diagnostic) = pem.check() {
            report.push(diagnostic.at(pem.place.clone(), ""));
        }
    }
}

impl Pem {
    fn check(&self) -> Result<(), Diagnostic> {
        let name = self.path.display().to_string();
        let code = match self.kind {
            Kind::Certificates | Kind::RevocationLists => code::CERTIFICATE,
            Kind::PrivateKey => code::PRIVATE_KEY,
        };
        let text = load::read(&self.path, LARGEST).map_err(|e| e.about(code, &name))?;
        let lacks = match self.kind {
            Kind::Certificates => lacks::<CertificateDer<'_>>(&text).then_some("certificate"),
            Kind::RevocationLists => {
                lacks::<CertificateRevocationListDer<'_>>(&text).then_some("revocation list")
            }
            Kind::PrivateKey => {
                PrivateKeyDer::from_pem_slice(text.as_bytes()).is_err().then_some("private key")
            }
        };
        match lacks {
            Some(what) => {
                Err(Diagnostic::new(code, format!("`{name}` holds no {what} in PEM form")))
            }
            None => Ok(()),
        }
    }
}

/// Is there none of a kind, or something that cannot be read?
fn lacks<T: PemObject>(text: &str) -> bool {
    let mut found = T::pem_slice_iter(text.as_bytes());
    !(matches!(found.next(), Some(Ok(_))) && found.all(|next| next.is_ok()))
}
