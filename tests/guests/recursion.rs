//! Calls itself until the stack is used up.

use edgewit_sdk::Request;

/// Recurses.
#[derive(Default)]
pub struct Recursion;

impl Recursion {
    fn on_request(&self, request: &mut Request) {
        request.set("x-depth", deeper(1).to_string());
    }
}

#[expect(unconditional_recursion, reason = "that is the point")]
fn deeper(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 64]);
    deeper(frame[7] + 1) + frame[9]
}

edgewit_sdk::export!(Recursion: request);
