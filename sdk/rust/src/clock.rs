//! The capability `clock`: time in whole milliseconds.

use crate::host::clock as host;

/// Milliseconds since an arbitrary moment; never goes back.
pub fn monotonic_ms() -> u64 {
    host::monotonic_ms()
}

/// Milliseconds since 1970-01-01T00:00:00Z.
pub fn wall_ms() -> u64 {
    host::wall_ms()
}
