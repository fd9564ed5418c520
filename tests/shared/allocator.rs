//! A global allocator that counts the allocations of each thread, and makes chosen ones fail.
#![expect(unsafe_code, reason = "`GlobalAlloc` is an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Counts and fails per thread, because tests run in parallel. A target that uses it declares it with
/// `#[global_allocator]`.
pub struct Allocator;

#[derive(Clone, Copy)]
struct Heap {
    allocations: usize,
    live: isize,
    peak: isize,
}

/// Which of the next allocations fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failing {
    /// The one with this index, counted from 0.
    Once(usize),
    /// The one with this index, and all later ones.
    From(usize),
    /// Those of at least this size in bytes.
    Large(usize),
}

#[derive(Clone, Copy)]
struct Plan {
    failing: Option<Failing>,
    is_active: bool,
    counted: usize,
    failed: usize,
}

const NONE: Plan = Plan { failing: None, is_active: false, counted: 0, failed: 0 };

thread_local! {
    static HEAP: Cell<Heap> = const { Cell::new(Heap { allocations: 0, live: 0, peak: 0 }) };
    static PLAN: Cell<Plan> = const { Cell::new(NONE) };
}

fn count(grown: isize) {
    // A thread that is ending has lost its counters.
    let _ = HEAP.try_with(|heap| {
        let mut now = heap.get();
        now.allocations += usize::from(grown > 0);
        now.live += grown;
        now.peak = now.peak.max(now.live);
        heap.set(now);
    });
}

fn fails(size: usize) -> bool {
    let failed = PLAN.try_with(|cell| {
        let mut plan = cell.get();
        if !plan.is_active {
            return false;
        }
        let index = plan.counted;
        plan.counted += 1;
        let fails = match plan.failing {
            Some(Failing::Once(failing)) => index == failing,
            Some(Failing::From(failing)) => index >= failing,
            Some(Failing::Large(failing)) => size >= failing,
            None => false,
        };
        plan.failed += usize::from(fails);
        cell.set(plan);
        fails
    });
    failed.unwrap_or(false)
}

// SAFETY: every call goes to the system's allocator unchanged, or returns null; counting allocates nothing. A
// reallocation is `GlobalAlloc`'s own: one allocation, a copy, and one deallocation.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if fails(layout.size()) {
            return std::ptr::null_mut();
        }
        count(layout.size().cast_signed());
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(place, layout) }
    }
}

/// Runs `work`; returns its result, the number of allocations, the bytes still allocated, and their peak.
pub fn measure<T>(work: impl FnOnce() -> T) -> (T, usize, isize, isize) {
    let before = HEAP.get();
    HEAP.set(Heap { peak: before.live, ..before });
    let result = work();
    let after = HEAP.get();
    (result, after.allocations - before.allocations, after.live - before.live, after.peak - before.live)
}

/// From now on, the allocations inside [`under`] are counted from 0, and these fail.
pub fn plan(failing: Failing) {
    PLAN.set(Plan { failing: Some(failing), ..NONE });
}

/// Runs `act` under the plan.
pub fn under<T>(act: impl FnOnce() -> T) -> T {
    let active = |is_active| PLAN.set(Plan { is_active, ..PLAN.get() });
    active(true);
    let result = act();
    active(false);
    result
}

/// Whether an allocation has failed under the plan, which ends here.
pub fn has_failed() -> bool {
    PLAN.replace(NONE).failed > 0
}
