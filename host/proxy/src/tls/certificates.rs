//! The certificates of a listener, and which of them a client sees.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use edgewit_model::ListenerName;
use rustls::{
    SignatureAlgorithm,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

use super::names::{Name, Names, parent};

/// A certificate that a listener shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateInfo {
    /// The listener.
    pub listener: ListenerName,
    /// The first of its names; empty if it has none.
    pub name: String,
    /// All its names.
    pub names: Vec<String>,
    /// From when on it is valid.
    pub not_before: SystemTime,
    /// Until when it is valid.
    pub not_after: SystemTime,
    /// Where it came from.
    pub file: PathBuf,
}

/// A certificate with its key, ready for handshakes.
#[derive(Debug)]
pub(super) struct Certificate {
    key: Arc<CertifiedKey>,
    names: Names,
    not_before: SystemTime,
    not_after: SystemTime,
    file: PathBuf,
}

/// All of a listener; at least one.
#[derive(Debug)]
pub(super) struct Certificates {
    all: Vec<Certificate>,
    /// Positions by name; wildcards by what follows their star. The first one of each kind of key, ECDSA and its like before
    /// RSA: ten times cheaper for us.
    by_name: HashMap<Box<str>, Vec<usize>>,
    /// Positions for clients that name no host or an unknown one.
    default: Vec<usize>,
}

/// The bytes are no certificate.
#[derive(Debug)]
pub(super) struct NoCertificate;

impl Certificate {
    pub(super) fn new(key: CertifiedKey, file: PathBuf) -> Result<Self, NoCertificate> {
        let leaf = key.cert.first().ok_or(NoCertificate)?;
        let (_, leaf) = X509Certificate::from_der(leaf).map_err(|_| NoCertificate)?;
        let validity = leaf.validity();
        Ok(Self {
            names: Names::of(&leaf),
            not_before: time(validity.not_before),
            not_after: time(validity.not_after),
            key: Arc::new(key),
            file,
        })
    }

    fn kind(&self) -> SignatureAlgorithm {
        self.key.key.algorithm()
    }

    /// Expired certificates are shown all the same: a client that does not care is served, one that does has a better
    /// message than that of a port that is closed.
    fn warn_if_not_valid(&self, now: SystemTime) {
        let state = match (now < self.not_before, now > self.not_after) {
            (true, _) => "is not valid yet",
            (_, true) => "has expired",
            _ => return,
        };
        tracing::warn!(file = %self.file.display(), "a certificate {state}");
    }
}

/// Times before 1970 are 1970.
pub(super) fn time(time: ASN1Time) -> SystemTime {
    let seconds = u64::try_from(time.timestamp()).unwrap_or(0);
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(UNIX_EPOCH)
}

impl Certificates {
    pub(super) fn new(all: Vec<Certificate>) -> Self {
        let mut by_name: HashMap<Box<str>, Vec<usize>> = HashMap::new();
        let mut order: Vec<usize> = (0..all.len()).collect();
        order.sort_by_key(|index| {
            all.get(*index).is_some_and(|certificate| certificate.kind() == SignatureAlgorithm::RSA)
        }); // stable
        for (index, certificate) in
            order.iter().filter_map(|index| Some((*index, all.get(*index)?)))
        {
            for name in certificate.names.iter() {
                let (Name::Exact(key) | Name::Wildcard(key)) = name else { continue };
                let positions = by_name.entry(key.clone()).or_default();
                let is_there =
                    |n: &usize| all.get(*n).is_some_and(|o| o.kind() == certificate.kind());
                if !positions.iter().any(is_there) {
                    positions.push(index);
                }
            }
        }
        let same = |certificate: &Certificate| {
            certificate.names.iter().find_map(|name| match name {
                Name::Exact(key) | Name::Wildcard(key) => by_name.get(key).cloned(),
                Name::Address(_) => None,
            })
        };
        let default = all.first().and_then(same).unwrap_or_else(|| vec![0]);
        Self { all, by_name, default }
    }

    /// Those that a client may see, the best first: one for each kind of key.
    fn shown(&self, host: Option<&str>) -> impl Iterator<Item = &Certificate> {
        let found = host.and_then(|host| {
            let wildcard = || self.by_name.get(parent(host)?);
            self.by_name.get(host).or_else(wildcard)
        });
        found.unwrap_or(&self.default).iter().filter_map(|index| self.all.get(*index))
    }

    /// Does whatever certificate this name brings speak for a host, too?
    pub(super) fn cover(&self, name: &str, host: &str) -> bool {
        self.shown(Some(name)).all(|certificate| certificate.names.cover(host))
    }

    pub(super) fn warn_if_not_valid(&self) {
        let now = SystemTime::now();
        self.all.iter().for_each(|certificate| certificate.warn_if_not_valid(now));
    }

    pub(super) fn infos(&self, listener: &ListenerName) -> Vec<CertificateInfo> {
        let info = |certificate: &Certificate| {
            let names: Vec<String> = certificate.names.iter().map(ToString::to_string).collect();
            CertificateInfo {
                listener: listener.clone(),
                name: names.first().cloned().unwrap_or_default(),
                names,
                not_before: certificate.not_before,
                not_after: certificate.not_after,
                file: certificate.file.clone(),
            }
        };
        self.all.iter().map(info).collect()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let host = hello.server_name();
        let schemes = hello.signature_schemes();
        let fits =
            |certificate: &&Certificate| certificate.key.key.choose_scheme(schemes).is_some();
        let found = self.shown(host).find(fits).or_else(|| self.shown(host).next());
        found.map(|certificate| Arc::clone(&certificate.key))
    }
}
