//! Components with flipped bits: refused, or run within limits; never a panic.

use std::time::{Duration, Instant};

use edgewit_chain::{Filter, Phase};

use crate::{
    bench::{Bench, call, plugin},
    guest::{When, of_every_phase},
};

/// Mutants of one run, with a fixed seed.
const MUTANTS: u32 = 400;
/// A busy machine may end earlier.
const ENOUGH: Duration = Duration::from_secs(10);

#[test]
fn a_component_with_flipped_bits_is_refused_or_runs_within_its_limits() {
    let bench = Bench::new(4);
    let whole = of_every_phase("(func $act (drop (call $now)))", When::Asked);
    let mut plugin = plugin("mutant");
    plugin.limits.fuel = 100_000;
    plugin.limits.configure_time = Duration::from_millis(100);
    let mut random = 0x1234_5678_9abc_def1_u64;
    let mut below = |bound: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random >> 33).unwrap_or(0) % bound
    };
    let (begun, mut tried, mut loaded) = (Instant::now(), 0, 0);
    while tried < MUTANTS && begun.elapsed() < ENOUGH {
        let mut bytes = whole.clone();
        for _ in 0..=below(3) {
            let at = 8 + below(bytes.len() - 8);
            bytes[at] ^= 1 << below(8);
        }
        tried += 1;
        let Ok(filter) = bench.load(&bytes, &plugin) else { continue };
        loaded += 1;
        for phase in Phase::ALL {
            let Ok(mut instance) = filter.start() else { continue };
            let _ = call(&filter, &mut *instance, phase, b"!"); // however it ends, it ends
        }
    }
    assert!(tried > 20 && loaded < tried, "{loaded} of {tried}");
    bench.assert_alive(0);
    bench.load(&whole, &plugin).expect("the host is as before");
}
