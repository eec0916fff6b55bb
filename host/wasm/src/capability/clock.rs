//! `clock`: time in whole milliseconds.

use std::{
    sync::LazyLock,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use crate::{bindings::edgewit::filter::clock::Host, state::State};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Milliseconds since the process first asked.
pub(crate) fn monotonic_ms() -> u64 {
    u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Microseconds since the process first asked.
pub(crate) fn monotonic_us() -> u64 {
    u64::try_from(START.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// Milliseconds since 1970; 0 if the machine's clock is before that.
pub(crate) fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Host for State {
    fn monotonic_ms(&mut self) -> wasmtime::Result<u64> {
        self.charge()?;
        Ok(monotonic_ms())
    }

    fn wall_ms(&mut self) -> wasmtime::Result<u64> {
        self.charge()?;
        Ok(wall_ms())
    }
}
