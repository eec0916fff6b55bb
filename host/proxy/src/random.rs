//! Random numbers for identifiers, weights and jitter.

use std::cell::RefCell;

/// Bytes that are drawn from the system at once, so that a request does not cost a system call.
const DRAW: usize = 1_024;

struct Pool {
    bytes: [u8; DRAW],
    used: usize,
}

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { bytes: [0; DRAW], used: DRAW }) };
}

/// Random bytes of the system's generator; none is given twice.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut out = [0; N];
    POOL.with_borrow_mut(|pool| {
        if pool.used + N > DRAW {
            if getrandom::fill(&mut pool.bytes).is_err() {
                return; // a system without a generator: zeros, which nothing here must keep secret
            }
            pool.used = 0;
        }
        if let Some(fresh) = pool.bytes.get_mut(pool.used..pool.used + N) {
            out.copy_from_slice(fresh);
            fresh.fill(0);
            pool.used += N;
        }
    });
    out
}

/// A random number.
pub(crate) fn number() -> u64 {
    u64::from_le_bytes(bytes())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_number_comes_twice() {
        let numbers: HashSet<u64> = (0..10_000).map(|_| number()).collect();
        assert_eq!(numbers.len(), 10_000);
    }
}
