//! The capability `random`: random values from the operating system's generator.

use crate::host::random as host;

/// 64 random bits.
pub fn number() -> u64 {
    host::number()
}

/// A random number from 0 to `bound - 1`; 0 if `bound` is 0. The error of the distribution is below 2^-32.
pub fn below(bound: u32) -> u32 {
    ((u128::from(number()) * u128::from(bound)) >> 64) as u32
}

/// This many random bytes, at most 65,536; more ends the call with a trap.
pub fn bytes(length: u32) -> Vec<u8> {
    host::bytes(length)
}
