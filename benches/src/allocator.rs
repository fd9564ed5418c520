//! The system's allocator, with counters.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

#[global_allocator]
static COUNTING: Counting = Counting { allocations: AtomicU64::new(0), live: AtomicU64::new(0) };

/// Allocations and reallocations so far.
pub fn allocations() -> u64 {
    COUNTING.allocations.load(Relaxed)
}

/// Bytes allocated now.
pub fn live() -> u64 {
    COUNTING.live.load(Relaxed)
}

/// There is one thread, so plain additions suffice: they cost contenders that allocate a nanosecond each.
struct Counting {
    allocations: AtomicU64,
    live: AtomicU64,
}

impl Counting {
    fn count(&self, taken: usize, given_back: usize) {
        self.allocations.store(self.allocations.load(Relaxed) + u64::from(taken > 0), Relaxed);
        self.live.store((self.live.load(Relaxed) + taken as u64).wrapping_sub(given_back as u64), Relaxed);
    }
}

// SAFETY: every call is passed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.count(layout.size(), 0);
        // SAFETY: the caller's promises are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        self.count(0, layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.count(layout.size(), 0);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.count(size, layout.size());
        // SAFETY: as above.
        unsafe { System.realloc(place, layout, size) }
    }
}
