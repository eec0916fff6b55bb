//! The allocator, and how it is told to give memory back.

#![expect(unsafe_code, reason = "an allocator is unsafe by its nature")]

use std::alloc::{GlobalAlloc, Layout};

use mimalloc::MiMalloc;

/// Filters and HTTP make many small, short-lived allocations; musl's own allocator is slow at them.
#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

/// mimalloc, by its short way where that is enough.
struct Allocator;

/// Every block of mimalloc of at least this size is aligned to it (`MI_MAX_ALIGN_SIZE`).
const ALIGNED: usize = 16;

unsafe extern "C" {
    /// Of mimalloc, which is linked as the allocator. A block for `size` bytes, or null.
    safe fn mi_malloc(size: usize) -> *mut u8;
    /// The same, all zeros.
    safe fn mi_zalloc(size: usize) -> *mut u8;
    /// Gives memory back to the system.
    safe fn mi_collect(force: bool);
}

/// Whether a block of this size has this alignment in any case. The way for aligned blocks, which the crate always takes, is a
/// detour of some 60 instructions for those above 1 KiB.
fn is_usual(layout: Layout) -> bool {
    layout.align() <= ALIGNED && layout.size() >= layout.align()
}

// SAFETY: all blocks are mimalloc's, whichever of its ways they came, and go back through the crate. A usual block is aligned
// as its layout wants: mimalloc aligns blocks of 16 bytes and more to 16, smaller ones to their size rounded up to 8.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_usual(layout) {
            return mi_malloc(layout.size());
        }
        // SAFETY: the caller's promises are passed on.
        unsafe { MiMalloc.alloc(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_usual(layout) {
            return mi_zalloc(layout.size());
        }
        // SAFETY: the caller's promises are passed on.
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { MiMalloc.dealloc(block, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promises are passed on.
        unsafe { MiMalloc.realloc(block, layout, size) }
    }
}

/// Gives back to the system what this thread has freed, and what any thread has freed for good. The allocator does so by
/// itself only while it is used: after a quiet swap each thread that had made one would keep some megabytes for ever.
pub(crate) fn give_back() {
    mi_collect(true);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_has_its_alignment() {
        for align in [1, 2, 4, 8, 16, 32, 64, 4_096] {
            for size in (1..=64).chain([100, 1_024, 1_025, 5_000, 70_000, 3 << 20]) {
                let layout = Layout::from_size_align(size, align).unwrap();
                // SAFETY: sizes are not zero, and each block goes back with its layout.
                unsafe {
                    let blocks: Vec<_> = (0..5).map(|_| Allocator.alloc(layout)).collect();
                    for block in blocks {
                        assert!(!block.is_null() && block.addr() % align == 0, "{layout:?}");
                        block.write_bytes(0xa5, size);
                        Allocator.dealloc(block, layout);
                    }
                    let zeros = Allocator.alloc_zeroed(layout);
                    assert_eq!(zeros.addr() % align, 0, "{layout:?}");
                    assert!((0..size).all(|at| *zeros.add(at) == 0), "{layout:?}");
                    Allocator.dealloc(zeros, layout);
                }
            }
        }
    }
}
