//! The seeds of the fuzz targets, and mutations of them that are the same in each run (THREATS J1 to J3).

use std::{
    path::Path,
    time::{Duration, Instant},
};

/// For each target at most; a fuzzer runs for longer.
const TIME: Duration = Duration::from_secs(4);
/// Mutations of all seeds at most.
const MUTATIONS: u64 = 200_000;

/// Runs a target on all of its seeds and on mutations of them.
fn run(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus").join(target);
    let mut paths: Vec<_> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let seeds: Vec<Vec<u8>> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
    assert!(seeds.len() >= 10, "{}", folder.display());
    seeds.iter().for_each(|seed| check(seed));
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let begun = Instant::now();
    for _ in 0..MUTATIONS {
        if begun.elapsed() > TIME {
            break;
        }
        check(&random.mutation(&seeds));
    }
}

/// Xorshift (Marsaglia 2003).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }

    /// A seed with a few bytes changed, put in, taken out, doubled, or with the begin of another.
    fn mutation(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        const ODD: &[u8] = b"\r\n\t \0:;,/.%\\?#@[]0123456789abcdefxX-+\x7f\x80\xff";
        let mut out = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(4) {
            let at = self.below(out.len());
            let odd = ODD[self.below(ODD.len())];
            match self.below(6) {
                0 if !out.is_empty() => out[at] = odd,
                1 if !out.is_empty() => drop(out.remove(at)),
                2 => {
                    let part: Vec<u8> = out[at..].iter().take(self.below(12)).copied().collect();
                    out.splice(at..at, part);
                }
                3 => {
                    let other = &seeds[self.below(seeds.len())];
                    let from = self.below(other.len());
                    out.truncate(at);
                    out.extend_from_slice(&other[from..]);
                }
                _ => out.insert(at, odd),
            }
        }
        out
    }
}

/// THREATS J1
#[test]
fn framing_agrees_with_other_readers() {
    run("framing", edgewit_proxy::fuzz::framing);
}

/// THREATS J2
#[test]
fn paths_have_one_form() {
    run("normalized-path", edgewit_model::fuzz::normalized_path);
}

/// THREATS J3
#[test]
fn authorities_have_one_form() {
    run("authority", edgewit_model::fuzz::authority);
}
