//! Verification of RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017 8.2.2), which RS256 is.
//!
//! Verification raises to a small public power and compares; there is no secret here and nothing that takes a different
//! time because of one. The crate `rsa` is not used: its open advisory RUSTSEC-2023-0071 is about private keys, which
//! this never sees, but it would have to be excused in every audit.

use crypto_bigint::modular::runtime_mod::{DynResidue, DynResidueParams};
use crypto_bigint::{Limb, U2048, U3072, U4096, Uint};
use sha2::{Digest, Sha256};

/// A public key with what is worth computing once.
#[derive(Debug)]
pub(crate) struct PublicKey {
    modulus: Modulus,
    exponent: u32,
    /// Length of the modulus, and of every signature, in bytes.
    length: usize,
}

#[derive(Debug)]
enum Modulus {
    Up2048(Box<DynResidueParams<{ U2048::LIMBS }>>),
    Up3072(Box<DynResidueParams<{ U3072::LIMBS }>>),
    Up4096(Box<DynResidueParams<{ U4096::LIMBS }>>),
}

impl PublicKey {
    /// From big-endian numbers.
    pub(crate) fn new(modulus: &[u8], exponent: &[u8]) -> Result<Self, String> {
        let (modulus, exponent) = (trimmed(modulus), trimmed(exponent));
        let bits =
            modulus.len() * 8 - modulus.first().map_or(0, |first| first.leading_zeros() as usize);
        if !(2_048..=4_096).contains(&bits) {
            return Err(format!("the RSA key has {bits} bits; 2048 to 4096 are allowed"));
        }
        if modulus.last().is_none_or(|last| last & 1 == 0) {
            return Err("the RSA key's modulus is even".into());
        }
        let exponent = match exponent.len() {
            1..=4 => exponent.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)),
            _ => 0,
        };
        if exponent < 3 || exponent & 1 == 0 {
            return Err("the RSA key's exponent is not odd and from 3 to 2^32 - 1".into());
        }
        let length = modulus.len();
        let modulus = match length {
            ..=256 => Modulus::Up2048(params(modulus)),
            257..=384 => Modulus::Up3072(params(modulus)),
            _ => Modulus::Up4096(params(modulus)),
        };
        Ok(PublicKey { modulus, exponent, length })
    }

    /// Did the owner of this key sign the message?
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        if signature.len() != self.length {
            return false;
        }
        let raised = match &self.modulus {
            Modulus::Up2048(modulus) => raise(**modulus, signature, self.exponent),
            Modulus::Up3072(modulus) => raise(**modulus, signature, self.exponent),
            Modulus::Up4096(modulus) => raise(**modulus, signature, self.exponent),
        };
        raised.is_some_and(|raised| {
            let (above, encoded) = raised.split_at(raised.len() - self.length);
            above.iter().all(|byte| *byte == 0) && encoded == encoding(message, self.length)
        })
    }
}

/// EMSA-PKCS1-v1_5 (RFC 8017 9.2). It is built whole and compared whole: parsing what came out of a signature is how
/// forgeries got through.
fn encoding(message: &[u8], length: usize) -> Vec<u8> {
    /// DER of `DigestInfo` up to the digest.
    const SHA256: [u8; 19] = [
        0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01,
        0x05, 0x00, 0x04, 0x20,
    ];
    let digest = Sha256::digest(message);
    let mut encoded = vec![0xff; length - SHA256.len() - digest.len()];
    if let [zero, one, .., last] = encoded.as_mut_slice() {
        (*zero, *one, *last) = (0, 1, 0);
    }
    encoded.extend(SHA256);
    encoded.extend(digest);
    encoded
}

/// `signature ^ exponent`, as bytes as long as the number type; `None` if the signature is not below the modulus.
fn raise<const LIMBS: usize>(
    modulus: DynResidueParams<LIMBS>,
    signature: &[u8],
    exponent: u32,
) -> Option<Vec<u8>> {
    let signature = number(signature);
    if signature >= *modulus.modulus() {
        return None;
    }
    let base = DynResidue::new(&signature, modulus);
    let mut raised = base;
    for bit in (0..exponent.ilog2()).rev() {
        raised = raised.square();
        if exponent >> bit & 1 == 1 {
            raised = raised.mul(&base);
        }
    }
    Some(raised.retrieve().as_limbs().iter().rev().flat_map(|limb| limb.0.to_be_bytes()).collect())
}

fn params<const LIMBS: usize>(modulus: &[u8]) -> Box<DynResidueParams<LIMBS>> {
    Box::new(DynResidueParams::new(&number(modulus)))
}

/// The number that these big-endian bytes are; there are no more of them than fit.
fn number<const LIMBS: usize>(bytes: &[u8]) -> Uint<LIMBS> {
    let mut padded = vec![0; (LIMBS * Limb::BYTES).saturating_sub(bytes.len())];
    padded.extend_from_slice(bytes);
    Uint::from_be_slice(&padded)
}

fn trimmed(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}
