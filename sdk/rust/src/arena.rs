//! The allocator of components.
//!
//! A filter's instance often lives for one request: it allocates a few small things and is thrown away, so what counts is
//! how few pages of memory it touches first. This one hands out blocks from a small static arena, keeps freed blocks in
//! lists by size (powers of two, so that an instance which lives long reuses them), and asks for more memory only when
//! the arena is used up. It never gives memory back.

// An allocator deals in raw memory; this is the only hand-written unsafe code of the SDK.
#![allow(unsafe_code)]
#![cfg_attr(not(target_arch = "wasm32"), allow(dead_code))]

use std::ops::Range;

/// Which addresses are free.
struct Heap {
    /// Never handed out yet: these addresses.
    fresh: Range<usize>,
    /// Head of the list of freed blocks of 2^n bytes; 0: none. A freed block holds the address of the next.
    freed: [usize; usize::BITS as usize],
}

/// Size and alignment of the smallest block: two pointers of the largest target this is tested on.
const SMALLEST: usize = 16;

impl Heap {
    const fn new() -> Self {
        Heap { fresh: 0..0, freed: [0; usize::BITS as usize] }
    }

    /// The address of a block, 0 if there is no memory. `more` gets at least so many bytes of further memory.
    ///
    /// # Safety
    ///
    /// The memory that `more` answers must be valid, and used by nobody else.
    unsafe fn take(
        &mut self,
        size: usize,
        align: usize,
        more: impl FnOnce(usize) -> Option<Range<usize>>,
    ) -> usize {
        let class = class_of(size);
        let reusable = self.freed[class];
        if reusable != 0 && reusable.is_multiple_of(align) {
            // SAFETY: addresses in `freed` are of blocks that were given back and hold the next address.
            self.freed[class] = unsafe { *(reusable as *const usize) };
            return reusable;
        }
        self.cut(1 << class, align.max(SMALLEST), more)
    }

    /// A block that was never used.
    fn cut(
        &mut self,
        bytes: usize,
        align: usize,
        more: impl FnOnce(usize) -> Option<Range<usize>>,
    ) -> usize {
        let mut start = self.fresh.start.next_multiple_of(align);
        if self.fresh.end.saturating_sub(start) < bytes {
            let Some(memory) = more(bytes + align) else { return 0 };
            if memory.start == self.fresh.end {
                self.fresh.end = memory.end;
            } else {
                self.fresh = memory;
            }
            start = self.fresh.start.next_multiple_of(align);
        }
        self.fresh.start = start + bytes;
        start
    }

    /// Takes a block back.
    ///
    /// # Safety
    ///
    /// The address must come from `take` with a size of the same class, and not be used any more.
    unsafe fn put(&mut self, address: usize, size: usize) {
        let class = class_of(size);
        // SAFETY: the block is ours again, at least `SMALLEST` bytes long and aligned to it.
        unsafe { *(address as *mut usize) = self.freed[class] };
        self.freed[class] = address;
    }
}

fn class_of(size: usize) -> usize {
    size.max(SMALLEST).next_power_of_two().trailing_zeros() as usize
}

#[cfg(target_arch = "wasm32")]
mod global {
    use super::*;
    use std::alloc::{GlobalAlloc, Layout};
    use std::cell::UnsafeCell;

    /// What most requests need; it lies in the zeroed part of the memory and costs nothing until it is touched.
    const ARENA: usize = 64 * 1024;
    const PAGE: usize = 64 * 1024;

    #[repr(align(16))]
    struct Arena(UnsafeCell<[u8; ARENA]>);

    struct Allocator(UnsafeCell<(Heap, bool)>);

    // SAFETY: components have no threads.
    unsafe impl Sync for Arena {}
    // SAFETY: as above.
    unsafe impl Sync for Allocator {}

    static FIRST: Arena = Arena(UnsafeCell::new([0; ARENA]));

    #[global_allocator]
    static ALLOCATOR: Allocator = Allocator(UnsafeCell::new((Heap::new(), false)));

    // SAFETY: blocks are disjoint, large enough and aligned, as the tests of `Heap` show.
    unsafe impl GlobalAlloc for Allocator {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            // SAFETY: there is one thread, and `Heap` does not allocate.
            let (heap, arena_used) = unsafe { &mut *self.0.get() };
            let more = |bytes| {
                let first = !std::mem::replace(arena_used, true);
                if first && bytes <= ARENA { Some(arena()) } else { grow(bytes) }
            };
            // SAFETY: the arena is handed out once, and so is each page that the memory grows by.
            unsafe { heap.take(layout.size(), layout.align(), more) as *mut u8 }
        }

        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            // SAFETY: as in `alloc`; the caller gives back what it took with this layout.
            unsafe { (*self.0.get()).0.put(block as usize, layout.size()) }
        }

        unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            if class_of(size) == class_of(layout.size()) {
                return block;
            }
            // SAFETY: the caller keeps to the contract of `realloc`, which is that of these three.
            unsafe {
                let moved = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
                if !moved.is_null() {
                    block.copy_to_nonoverlapping(moved, size.min(layout.size()));
                    self.dealloc(block, layout);
                }
                moved
            }
        }
    }

    fn arena() -> Range<usize> {
        let start = FIRST.0.get() as usize;
        start..start + ARENA
    }

    fn grow(bytes: usize) -> Option<Range<usize>> {
        let pages = bytes.div_ceil(PAGE);
        let before = std::arch::wasm32::memory_grow(0, pages);
        (before != usize::MAX).then(|| before * PAGE..(before + pages) * PAGE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Memory that is handed to a heap piece by piece.
    struct Memory {
        bytes: Vec<u128>,
        used: usize,
    }

    impl Memory {
        fn new() -> Self {
            Memory { bytes: vec![0; 1 << 16], used: 0 }
        }

        fn more(&mut self, bytes: usize) -> Option<Range<usize>> {
            let bytes = bytes.next_multiple_of(1024);
            let start = self.bytes.as_mut_ptr() as usize + self.used;
            self.used += bytes;
            (self.used <= self.bytes.len() * 16).then(|| start..start + bytes)
        }
    }

    #[test]
    fn blocks_in_use_are_aligned_and_never_overlap() {
        let (mut memory, mut heap) = (Memory::new(), Heap::new());
        let mut live: Vec<(usize, usize)> = Vec::new();
        let mut seed = 7_u32;
        for _ in 0..20_000 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if live.len() > 100 {
                let (address, size) = live.swap_remove(seed as usize % live.len());
                unsafe { heap.put(address, size) };
            }
            let size = 1 + (seed >> 8) as usize % 2_000;
            let align = 1 << (seed >> 4 & 5);
            let address = unsafe { heap.take(size, align, |bytes| memory.more(bytes)) };
            assert_ne!(address, 0, "freed blocks are reused, so the memory must suffice");
            assert_eq!(address % align, 0);
            assert!(
                live.iter().all(|&(other, length)| {
                    address + size <= other || other + length <= address
                })
            );
            live.push((address, size));
            // Whoever owns a block writes all of it.
            unsafe { (address as *mut u8).write_bytes(0xff, size) };
        }
    }

    #[test]
    fn without_memory_there_is_no_block() {
        assert_eq!(unsafe { Heap::new().take(1, 1, |_| None) }, 0);
    }
}
