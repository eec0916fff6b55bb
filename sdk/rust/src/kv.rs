//! The capability `kv`: a small store shared by all instances of this plugin, and by no other plugin.
//!
//! It is kept by the host in memory, outlives requests and versions of the plugin, not the process. Keys are 1 to 512
//! bytes, values at most 64 KiB, a plugin may have 10,000 keys. It needs the grant `kv`.

use crate::host::kv as host;

pub use crate::bindings::capabilities::edgewit::filter::kv::Problem;

/// The value, if it is there and has not expired.
pub fn get(key: &str) -> Result<Option<Vec<u8>>, Problem> {
    host::get(key)
}

/// Writes a value. It expires after `ttl_ms` milliseconds; `None`: never.
pub fn set(key: &str, value: &[u8], ttl_ms: Option<u64>) -> Result<(), Problem> {
    host::set(key, value, ttl_ms)
}

/// Removes a key. It is no error if it is not there.
pub fn delete(key: &str) -> Result<(), Problem> {
    host::delete(key)
}

/// Adds to a number at once for all instances, and answers the sum. `ttl_ms` counts only when this call makes the key.
pub fn add(key: &str, amount: i64, ttl_ms: Option<u64>) -> Result<i64, Problem> {
    host::add(key, amount, ttl_ms)
}

/// Writes `value` only if the present value is `expected` (`None`: absent), and answers whether it did.
pub fn compare_and_set(
    key: &str,
    expected: Option<&[u8]>,
    value: &[u8],
    ttl_ms: Option<u64>,
) -> Result<bool, Problem> {
    host::compare_and_set(key, expected, value, ttl_ms)
}
