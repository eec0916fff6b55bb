//! The capability `rate`: token buckets kept by the host and shared by all instances of this plugin. It needs the grant
//! `rate`.

use crate::host::rate as host;

pub use crate::bindings::capabilities::edgewit::filter::rate::{Decision, Limit};

/// Takes `cost` tokens from the bucket named `key` (1 to 512 bytes) if they are all there.
pub fn take(key: &str, limit: Limit, cost: u32) -> Result<Decision, String> {
    host::take(key, limit, cost)
}
