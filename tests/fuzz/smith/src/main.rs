//! Writes modules that nobody wrote: `edgewit-smith FOLDER FIRST COUNT`, one for each seed from FIRST on.
//!
//! Each has the imports and exports of a filter with all phases, so that it becomes a component that is loaded and called, and
//! not only refused. None has `lifecycle`: what nobody wrote takes no configuration. The same seed is the same module.

use std::{env, fs, path::Path};

use arbitrary::Unstructured;
use wasm_smith::{Config, Module};

/// Random bytes of one module: some hundreds of instructions.
const SEED_BYTES: usize = 2 << 10;
/// Larger ones teach nothing more and fill the repository.
const LARGEST: usize = 4 << 10;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [folder, first, count] = arguments.as_slice() else {
        panic!("usage: edgewit-smith FOLDER FIRST COUNT")
    };
    let (first, count): (u64, u64) = (first.parse().unwrap(), count.parse().unwrap());
    fs::create_dir_all(folder).unwrap();
    let mut written = 0;
    for seed in first.. {
        if written == count {
            break;
        }
        if let Some(module) = module(seed).filter(|bytes| bytes.len() <= LARGEST) {
            fs::write(Path::new(folder).join(format!("smith-{seed}.wasm")), module).unwrap();
            written += 1;
        }
    }
}

/// `None`: nothing came of this seed.
fn module(seed: u64) -> Option<Vec<u8>> {
    let bytes = random(seed);
    let module = Module::new(config(), &mut Unstructured::new(&bytes)).ok()?;
    Some(module.to_bytes())
}

/// What the engine takes, and ends that come by themselves as well as by fuel.
fn config() -> Config {
    Config {
        module_shape: Some(wat::parse_str(SHAPE).unwrap()),
        max_instructions: 100,
        max_funcs: 20,
        max_memories: 1,
        max_tables: 1,
        max_data_segments: 4,
        max_element_segments: 2,
        max_globals: 8,
        allow_start_export: true,
        generate_custom_sections: false,
        bulk_memory_enabled: true,
        reference_types_enabled: false,
        simd_enabled: true,
        multi_value_enabled: true,
        saturating_float_to_int_enabled: true,
        sign_extension_ops_enabled: true,
        relaxed_simd_enabled: false,
        exceptions_enabled: false,
        gc_enabled: false,
        memory64_enabled: false,
        threads_enabled: false,
        shared_everything_threads_enabled: false,
        tail_call_enabled: false,
        custom_page_sizes_enabled: false,
        wide_arithmetic_enabled: false,
        extended_const_enabled: false,
        ..Config::default()
    }
}

/// splitmix64, by Steele, Lea and Flood.
fn random(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    };
    std::iter::repeat_with(next).flat_map(u64::to_le_bytes).take(SEED_BYTES).collect()
}

/// The core module behind such a filter.
const SHAPE: &str = r#"(module
    (import "edgewit:filter/clock@0.1.0" "monotonic-ms" (func (result i64)))
    (import "edgewit:filter/clock@0.1.0" "wall-ms" (func (result i64)))
    (import "edgewit:filter/log@0.1.0" "write" (func (param i32 i32 i32)))
    (import "edgewit:filter/random@0.1.0" "bytes" (func (param i32 i32)))
    (import "edgewit:filter/exchange@0.1.0" "request-field" (func (param i32 i32 i32)))
    (import "edgewit:filter/metrics@0.1.0" "add" (func (param i32 i32 i32 i32 i64)))
    (import "edgewit:filter/kv@0.1.0" "set" (func (param i32 i32 i32 i32 i32 i64 i32)))
    (import "edgewit:filter/kv@0.1.0" "get" (func (param i32 i32 i32)))
    (import "edgewit:filter/rate@0.1.0" "take" (func (param i32 i32 i32 i32 i32 i32 i32)))
    (memory (export "memory") 2)
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
    (func (export "edgewit:filter/auth@0.1.0#authenticate") (param i32 i32 i32 i32 i32 i32) (result i32) unreachable)
    (func (export "edgewit:filter/routing@0.1.0#route") (param i32 i32 i32 i32 i32 i32) (result i32) unreachable)
    (func (export "edgewit:filter/request@0.1.0#on-request") (param i32 i32 i32 i32 i32 i32) (result i32) unreachable)
    (func (export "edgewit:filter/request-body@0.1.0#on-request-body") (param i32 i32 i32 i32 i32) (result i32)
        unreachable)
    (func (export "edgewit:filter/retry@0.1.0#judge")
        (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) unreachable)
    (func (export "edgewit:filter/response@0.1.0#on-response")
        (param i32 i32 i32 i32 i32 i32 i32) (result i32) unreachable)
    (func (export "edgewit:filter/response-body@0.1.0#on-response-body") (param i32 i32 i32 i32 i32) (result i32)
        unreachable)
    (func (export "edgewit:filter/telemetry@0.1.0#record")
        (param i32 i32 i64 i32 i64 i64 i32 i32 i32 i32 i32 i32) (result i32) unreachable)
)"#;
