//! Takes more and more memory and writes to all of it.

use edgewit_sdk::Request;

/// Grows.
#[derive(Default)]
pub struct MemoryBomb;

impl MemoryBomb {
    fn on_request(&self, request: &mut Request) {
        let mut all: Vec<Vec<u8>> = Vec::new();
        for _ in 0..1_024 {
            all.push(std::hint::black_box(vec![1; 256 << 10]));
        }
        request.set("x-taken", all.len().to_string());
    }
}

edgewit_sdk::export!(MemoryBomb: request);
