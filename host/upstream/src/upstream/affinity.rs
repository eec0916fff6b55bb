//! The word by which a client finds its endpoint again.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    sync::OnceLock,
};

use edgewit_model as model;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::discover::Key;

/// Makes tags: a keyed hash of what makes an endpoint the same. A client can neither read an address from it nor, without
/// the secret, try out which address it is.
pub(super) struct Tags(Hmac<Sha256>);

impl Tags {
    /// For one upstream: the same endpoint has another tag in another upstream.
    pub(super) fn new(upstream: &model::UpstreamName, config: &model::Affinity) -> Self {
        let drawn = drawn();
        let secret = config.secret.as_ref().map_or(&drawn[..], |secret| secret.0.as_bytes());
        let mut mac = Hmac::new_from_slice(secret).expect("HMAC takes keys of any length");
        mac.update(upstream.as_str().as_bytes());
        mac.update(&[0]);
        Self(mac)
    }

    /// The tag of an endpoint. 64 bits of 256: a thousand endpoints collide once in 10^13 sets.
    pub(super) fn tag(&self, key: &Key) -> u64 {
        let mut mac = self.0.clone();
        mac.update(key.text().as_bytes());
        let digest = mac.finalize().into_bytes();
        digest.iter().take(8).fold(0, |tag, byte| tag << 8 | u64::from(*byte))
    }
}

/// A secret for this process, so that a change of the configuration does not move every session.
fn drawn() -> [u8; 16] {
    static SECRET: OnceLock<[u8; 16]> = OnceLock::new();
    *SECRET.get_or_init(|| {
        let number = || u128::from(RandomState::new().build_hasher().finish());
        (number() << 64 | number()).to_le_bytes()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(upstream: &str, secret: Option<&str>, port: u16) -> u64 {
        let name = model::UpstreamName::new(upstream).unwrap();
        let secret = secret.map(|secret| model::Secret(secret.to_owned()));
        let config = model::Affinity { cookie: "a".to_owned(), ttl: None, secret };
        let key = Key { tls: false, host: "10.0.0.1".to_owned(), port, name: None };
        Tags::new(&name, &config).tag(&key)
    }

    #[test]
    fn a_tag_depends_on_secret_upstream_and_endpoint() {
        assert_eq!(tag("a", None, 1), tag("a", None, 1));
        assert_eq!(tag("a", Some("s"), 1), tag("a", Some("s"), 1));
        assert_ne!(tag("a", Some("s"), 1), tag("a", Some("t"), 1));
        assert_ne!(tag("a", Some("s"), 1), tag("a", None, 1));
        assert_ne!(tag("a", None, 1), tag("b", None, 1));
        assert_ne!(tag("a", None, 1), tag("a", None, 2));
    }
}
