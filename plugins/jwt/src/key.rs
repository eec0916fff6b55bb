//! The keys that tokens may be signed with, each with its one algorithm.
//!
//! A key's type decides its algorithm: a secret is for HS256, an RSA key for RS256, a key on P-256 for ES256. What a token
//! calls its algorithm is compared with that and never chooses how a key is used (RFC 8725 3.1).

use crate::token::decoded;
use hmac::{Hmac, Mac};
use p256::ecdsa;
use rsa::pkcs1::der::{Decode, Document};
use rsa::pkcs8::SubjectPublicKeyInfoRef;
use rsa::signature::Verifier;
use rsa::{BigUint, RsaPublicKey, pkcs1, pkcs1v15};
use serde::Deserialize;
use sha2::Sha256;

/// The keys, with at most one that fits a token.
#[derive(Debug)]
pub(crate) struct Keys(Vec<Key>);

/// A key with its algorithm.
#[derive(Debug)]
pub(crate) struct Key {
    id: Option<String>,
    material: Material,
}

#[derive(Debug)]
enum Material {
    Hs256(Hmac<Sha256>),
    Rs256(Box<pkcs1v15::VerifyingKey<Sha256>>),
    Es256(Box<ecdsa::VerifyingKey>),
}

/// A key as the operator writes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawKey {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    algorithm: Option<String>,
    #[serde(default)]
    pem: Option<String>,
    #[serde(default)]
    jwk: Option<serde_json::Value>,
    #[serde(default)]
    secret: Option<String>,
}

impl Keys {
    pub(crate) fn check(
        raw: Vec<RawKey>,
        jwks: Option<serde_json::Value>,
        algorithms: Option<Vec<String>>,
    ) -> Result<Self, String> {
        let mut keys = Vec::new();
        for (position, key) in raw.into_iter().enumerate() {
            let key = key.check().map_err(|problem| format!("`keys[{position}]`: {problem}"))?;
            keys.push(key);
        }
        if let Some(jwks) = jwks {
            keys.extend(key_set(&jwks).map_err(|problem| format!("`jwks`: {problem}"))?);
        }
        if keys.is_empty() {
            return Err("no keys, so nobody could come in; give `keys` or `jwks`".into());
        }
        for (position, key) in keys.iter().enumerate() {
            let same = |other: &Key| other.id == key.id && other.algorithm() == key.algorithm();
            if keys.iter().take(position).any(same) {
                return Err(format!(
                    "two keys for {} have {}; a token must fit one key only",
                    key.algorithm(),
                    key.id.as_ref().map_or("no id".to_owned(), |id| format!("the id `{id}`"))
                ));
            }
        }
        if let Some(allowed) = algorithms {
            check_algorithms(&keys, &allowed)?;
        }
        Ok(Keys(keys))
    }

    /// The one key for a token. With a `kid` that is the key of that id, else the one without id. Without a `kid` it is
    /// the only key of the algorithm: trying several would let anybody buy as much of our time.
    pub(crate) fn find(&self, algorithm: &str, id: Option<&str>) -> Option<&Key> {
        let mut fitting = self.0.iter().filter(|key| key.algorithm() == algorithm);
        match id {
            Some(id) => {
                let fitting: Vec<_> = fitting.collect();
                let named = fitting.iter().find(|key| key.id.as_deref() == Some(id));
                named.or(fitting.iter().find(|key| key.id.is_none())).copied()
            }
            None => fitting.next().filter(|_| fitting.next().is_none()),
        }
    }
}

impl Key {
    fn algorithm(&self) -> &'static str {
        match self.material {
            Material::Hs256(_) => "HS256",
            Material::Rs256(_) => "RS256",
            Material::Es256(_) => "ES256",
        }
    }

    /// Did this key sign the message?
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            // Compares in constant time.
            Material::Hs256(mac) => {
                mac.clone().chain_update(message).verify_slice(signature).is_ok()
            }
            // As long as the modulus and below it (RFC 8017 8.2.2). The advisory RUSTSEC-2023-0071 against `rsa` is about
            // the timing of private keys; here are public ones only, and no secret that time could tell.
            Material::Rs256(key) => pkcs1v15::Signature::try_from(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            // Two numbers of 32 bytes (RFC 7518 3.4), neither zero; DER is something else.
            Material::Es256(key) => ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
        }
    }
}

impl RawKey {
    fn check(self) -> Result<Key, String> {
        let (id, material) = match (self.pem, self.jwk, self.secret) {
            (Some(pem), None, None) => (self.id, from_pem(&pem)?),
            (None, None, Some(secret)) => (self.id, from_secret(secret.as_bytes())?),
            (None, Some(jwk), None) => {
                let key = from_jwk(&jwk)?;
                (self.id.or(key.id), key.material)
            }
            _ => return Err("exactly one of `pem`, `jwk` and `secret` is expected".into()),
        };
        let key = Key { id, material };
        match self.algorithm {
            Some(algorithm) if algorithm != key.algorithm() => Err(format!(
                "`algorithm` is `{algorithm}`, but this key is for {}",
                key.algorithm()
            )),
            _ => Ok(key),
        }
    }
}

fn check_algorithms(keys: &[Key], allowed: &[String]) -> Result<(), String> {
    if let Some(unknown) = allowed.iter().find(|name| !ALGORITHMS.contains(&name.as_str())) {
        return Err(format!(
            "`algorithms`: `{unknown}` is not known; {} are",
            ALGORITHMS.join(", ")
        ));
    }
    match keys.iter().find(|key| !allowed.iter().any(|name| name == key.algorithm())) {
        Some(key) => Err(format!(
            "`algorithms` does not list {}, but there is a key for it",
            key.algorithm()
        )),
        None => Ok(()),
    }
}

const ALGORITHMS: [&str; 3] = ["HS256", "RS256", "ES256"];

/// A public key in the form `-----BEGIN PUBLIC KEY-----`.
fn from_pem(pem: &str) -> Result<Material, String> {
    let (label, document) = Document::from_pem(pem.trim())
        .map_err(|_| "`pem` is no PEM text in the form `-----BEGIN PUBLIC KEY-----`")?;
    if label != "PUBLIC KEY" {
        return Err(format!("`pem` is a `{label}`; a `PUBLIC KEY` is expected"));
    }
    let info: SubjectPublicKeyInfoRef<'_> =
        document.decode_msg().map_err(|_| "`pem` holds no public key")?;
    if info.algorithm.oid == pkcs1::ALGORITHM_OID {
        let der = info.subject_public_key.as_bytes();
        let key = der.and_then(|der| pkcs1::RsaPublicKey::from_der(der).ok());
        let key = key.ok_or("`pem` holds a damaged RSA key")?;
        return from_rsa(key.modulus.as_bytes(), key.public_exponent.as_bytes());
    }
    let key = ecdsa::VerifyingKey::try_from(info)
        .map_err(|_| "`pem` holds a key that is neither RSA nor on the curve P-256")?;
    Ok(Material::Es256(Box::new(key)))
}

fn from_secret(secret: &[u8]) -> Result<Material, String> {
    if secret.len() < 32 {
        return Err(
            "the secret is shorter than 32 bytes, the least for HS256 (RFC 7518 3.2)".into()
        );
    }
    if secret.starts_with(b"-----BEGIN") {
        return Err("the secret is a PEM text; a public key is no secret, give it as `pem`".into());
    }
    let mac = Hmac::new_from_slice(secret).map_err(|error| error.to_string())?;
    Ok(Material::Hs256(mac))
}

/// From big-endian numbers.
fn from_rsa(modulus: &[u8], exponent: &[u8]) -> Result<Material, String> {
    let (modulus, exponent) = (BigUint::from_bytes_be(modulus), BigUint::from_bytes_be(exponent));
    let bits = modulus.bits();
    // RFC 7518 3.3 sets the least; the most is that of `RsaPublicKey::new`.
    if !(2_048..=RsaPublicKey::MAX_SIZE).contains(&bits) {
        return Err(format!("the RSA key has {bits} bits; 2048 to 4096 are allowed"));
    }
    // Up to here every exponent costs the same fuel.
    if exponent.bits() > 32 {
        return Err("the RSA key's exponent is not below 2^32".into());
    }
    let key = RsaPublicKey::new(modulus, exponent)
        .map_err(|error| format!("the RSA key cannot be used: {error}"))?;
    Ok(Material::Rs256(Box::new(pkcs1v15::VerifyingKey::new(key))))
}

/// The keys of a set that are for signatures and that can be used here (RFC 7517 5 wants the others ignored).
fn key_set(set: &serde_json::Value) -> Result<Vec<Key>, String> {
    let keys = set.get("keys").and_then(|keys| keys.as_array());
    let keys = keys.ok_or("a JWK Set is expected, an object with the list `keys`")?;
    let mut usable = Vec::new();
    let mut first_problem = None;
    for key in keys {
        match from_jwk(key) {
            Ok(key) => usable.push(key),
            Err(problem) => first_problem = first_problem.or(Some(problem)),
        }
    }
    match first_problem {
        Some(problem) if usable.is_empty() => Err(format!("no usable key; the first: {problem}")),
        _ => Ok(usable),
    }
}

/// RFC 7517 and RFC 7518 6.
fn from_jwk(jwk: &serde_json::Value) -> Result<Key, String> {
    let text = |name: &str| jwk.get(name).and_then(|value| value.as_str());
    let number = |name: &str| {
        text(name).and_then(decoded).ok_or_else(|| format!("the JWK's `{name}` is no base64url"))
    };
    if text("kty") != Some("oct") && jwk.get("d").is_some() {
        return Err("the JWK is a private key; give its public members only".into());
    }
    if text("use").is_some_and(|purpose| purpose != "sig") {
        return Err("the JWK's `use` is not `sig`".into());
    }
    let material = match (text("kty"), text("crv")) {
        (Some("oct"), _) => from_secret(&number("k")?)?,
        (Some("RSA"), _) => from_rsa(&number("n")?, &number("e")?)?,
        (Some("EC"), Some("P-256")) => {
            let point = [vec![4], number("x")?, number("y")?].concat();
            let key = ecdsa::VerifyingKey::from_sec1_bytes(&point)
                .map_err(|_| "the JWK's `x` and `y` are no point of P-256")?;
            Material::Es256(Box::new(key))
        }
        _ => return Err("the JWK's `kty` is not RSA, oct, or EC with `crv` P-256".into()),
    };
    let key = Key { id: text("kid").map(str::to_owned), material };
    match jwk.get("alg") {
        Some(algorithm) if algorithm != key.algorithm() => Err(format!(
            "the JWK's `alg` is {algorithm}, but only {} can be done with it",
            key.algorithm()
        )),
        _ => Ok(key),
    }
}
