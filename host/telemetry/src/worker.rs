//! Which worker thread is this?

use std::cell::Cell;

thread_local! {
    /// 0: no worker.
    static SHARD: Cell<usize> = const { Cell::new(0) };
}

/// Says that the calling thread is the worker with this index from now on, so that it counts into cells of its own.
///
/// Correctness does not depend on it: threads that share an index only share cache lines.
pub fn enter_worker(index: usize) {
    SHARD.set(index.saturating_add(1));
}

/// The shard of the calling thread: 0 for all that are no worker.
pub(crate) fn shard() -> usize {
    SHARD.get()
}
