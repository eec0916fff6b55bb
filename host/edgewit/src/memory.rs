//! The allocator, and how it is told to give memory back.

/// Filters and HTTP make many small, short-lived allocations; musl's own allocator is slow at them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Gives back to the system what this thread has freed, and what any thread has freed for good. The allocator does so by
/// itself only while it is used: after a quiet swap each thread that had made one would keep some megabytes for ever.
#[expect(unsafe_code, reason = "the crate of the allocator does not offer it")]
pub(crate) fn give_back() {
    unsafe extern "C" {
        /// Of mimalloc, which is linked as the allocator.
        safe fn mi_collect(force: bool);
    }
    mi_collect(true);
}
