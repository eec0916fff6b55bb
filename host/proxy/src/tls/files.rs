//! The files of a listener's TLS, as they were at one moment.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use edgewit_model::{ClientAuth, ListenerTls};
use rustls::{
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
    sign::CertifiedKey,
};
use xxhash_rust::xxh3::xxh3_128;

use super::{
    TlsError,
    certificates::{Certificate, Certificates},
    client_auth::Authorities,
};

/// Bytes of one file; a chain of a hundred certificates is smaller.
const LARGEST: u64 = 1 << 20;

/// The files of a listener's TLS, as they were at one moment. What they mean is found out later, from the same bytes.
pub(super) struct Files {
    /// Each certificate before its key.
    pairs: Vec<(Content, Content)>,
    clients: Option<(Content, Option<Content>)>,
}

struct Content {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Files {
    pub(super) fn read(settings: &ListenerTls) -> Result<Self, TlsError> {
        let mut pairs = Vec::with_capacity(settings.files.len());
        for files in &settings.files {
            pairs.push((Content::read(&files.cert)?, Content::read(&files.key)?));
        }
        let clients = match &settings.client_auth {
            Some(ClientAuth { ca, crl, .. }) => {
                let crl = crl.as_deref().map(Content::read).transpose()?;
                Some((Content::read(ca)?, crl))
            }
            None => None,
        };
        Ok(Self { pairs, clients })
    }

    /// Equal for equal contents; nobody but the operator chooses them, so that the hash need not be a cryptographic one.
    pub(super) fn digests(&self) -> Vec<u128> {
        let clients = self.clients.iter().flat_map(|(ca, crl)| [Some(ca), crl.as_ref()]);
        let pairs = self.pairs.iter().flat_map(|(cert, key)| [Some(cert), Some(key)]);
        pairs.chain(clients).map(|content| content.map_or(0, |c| xxh3_128(&c.bytes))).collect()
    }

    pub(super) fn certificates(&self, provider: &CryptoProvider) -> Result<Certificates, TlsError> {
        let mut all = Vec::with_capacity(self.pairs.len());
        for (cert, key) in &self.pairs {
            let pair =
                |source| TlsError::Pair { cert: cert.path.clone(), key: key.path.clone(), source };
            let chain = cert.list::<CertificateDer<'static>>("certificate")?;
            let private = PrivateKeyDer::from_pem_slice(&key.bytes)
                .map_err(|source| key.lacks("private key", source))?;
            let certified = CertifiedKey::from_der(chain, private, provider).map_err(pair)?;
            let certificate = Certificate::new(certified, cert.path.clone());
            all.push(certificate.map_err(|_| TlsError::Certificate { path: cert.path.clone() })?);
        }
        Ok(Certificates::new(all))
    }

    pub(super) fn authorities(
        &self,
        settings: &ListenerTls,
    ) -> Result<Option<Authorities>, TlsError> {
        let (Some((ca, crl)), Some(auth)) = (&self.clients, &settings.client_auth) else {
            return Ok(None);
        };
        let revoked = crl.as_ref().map(|crl| crl.list("revocation list")).transpose()?;
        Ok(Some(Authorities { mode: auth.mode, roots: ca.list("certificate")?, revoked }))
    }
}

impl Content {
    fn read(path: &Path) -> Result<Self, TlsError> {
        let read = || {
            let mut bytes = Vec::new();
            File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
            if bytes.len() as u64 > LARGEST {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            Ok(bytes)
        };
        match read() {
            Ok(bytes) => Ok(Self { path: path.to_owned(), bytes }),
            Err(source) => Err(TlsError::Read { path: path.to_owned(), source }),
        }
    }

    /// At least one of a kind.
    fn list<T: PemObject>(&self, what: &'static str) -> Result<Vec<T>, TlsError> {
        let found: Result<Vec<T>, _> = T::pem_slice_iter(&self.bytes).collect();
        match found {
            Ok(found) if found.is_empty() => Err(self.lacks(what, pem::Error::NoItemsFound)),
            Ok(found) => Ok(found),
            Err(source) => Err(self.lacks(what, source)),
        }
    }

    fn lacks(&self, what: &'static str, source: pem::Error) -> TlsError {
        TlsError::File { path: self.path.clone(), what, source }
    }
}
