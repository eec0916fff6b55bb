//! Modules that nobody wrote, as components of our world: refused, or run within limits; never a panic.

use std::{fs, path::Path};

use edgewit_wasm::fuzz;

/// Of so many mutations of each module, with fixed seeds, a few are modules still.
const MUTATIONS: u64 = 20;

fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus/module");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<_> = files
        .map(|path| {
            (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap())
        })
        .collect();
    all.sort();
    all
}

#[test]
fn generated_components_end_within_their_limits_and_give_everything_back() {
    let corpus = corpus();
    assert!(corpus.len() >= 40, "{} modules", corpus.len());
    let loaded = corpus.iter().filter(|(_, module)| fuzz::module(module)).count();
    // Some are stopped while they start, as they may.
    assert!(loaded >= corpus.len() / 2, "only {loaded} of {} could be called", corpus.len());
}

#[test]
fn mutations_of_generated_modules_do_so_too() {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut below = |bound: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random >> 33).unwrap_or(0) % bound
    };
    for (_, module) in corpus().iter().take(20) {
        for _ in 0..MUTATIONS {
            let mut bytes = module.clone();
            for _ in 0..=below(2) {
                let at = 8 + below(bytes.len() - 8);
                bytes[at] ^= 1 << below(8);
            }
            fuzz::module(&bytes);
        }
    }
}
