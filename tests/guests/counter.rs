//! Counts requests in a static variable, which it should not.

use edgewit_sdk::Response;
use std::sync::atomic::{AtomicU32, Ordering};

static REQUESTS: AtomicU32 = AtomicU32::new(0);

/// Counts.
#[derive(Default)]
pub struct Counter;

impl Counter {
    fn on_response(&self, response: &mut Response) {
        let count = REQUESTS.fetch_add(1, Ordering::Relaxed) + 1;
        response.set("x-count", count.to_string());
    }
}

edgewit_sdk::export!(Counter: response);
