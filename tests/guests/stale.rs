//! Looks for what others left in its memory, then leaves something there itself.

use edgewit_sdk::Response;

/// Searches fresh memory.
#[derive(Default)]
pub struct Stale;

impl Stale {
    fn on_response(&self, response: &mut Response) {
        response.set("x-stale", search(16).to_string());
    }
}

/// Words that are not zero in as many new pages, each of which is dirty afterwards.
#[cfg(target_arch = "wasm32")]
#[allow(unsafe_code)]
fn search(pages: usize) -> usize {
    let first = core::arch::wasm32::memory_grow(0, pages) * 65_536;
    let mut found = 0;
    for address in (first..first + pages * 65_536).step_by(8) {
        let word = std::ptr::with_exposed_provenance_mut::<u64>(address);
        // SAFETY: the pages are new, nobody else knows of them, and every address is aligned.
        unsafe {
            found += usize::from(word.read_volatile() != 0);
            word.write_volatile(0xdead_beef_dead_beef);
        }
    }
    found
}

#[cfg(not(target_arch = "wasm32"))]
fn search(_: usize) -> usize {
    0
}

edgewit_sdk::export!(Stale: response);
