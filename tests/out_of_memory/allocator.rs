//! An allocator that fails when it is told to, on one thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Which of the allocations to come fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failing {
    /// This one, counted from 0.
    Once(usize),
    /// This one and all after it.
    From(usize),
    /// All of this many bytes or more.
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
    static PLAN: Cell<Plan> = const { Cell::new(NONE) };
}

struct Fallible;

#[global_allocator]
static ALLOCATOR: Fallible = Fallible;

fn fails(size: usize) -> bool {
    let mut plan = PLAN.get();
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
    PLAN.set(plan);
    fails
}

// SAFETY: the system's allocator, or null.
unsafe impl GlobalAlloc for Fallible {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if fails(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if fails(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if fails(size) {
            return std::ptr::null_mut();
        }
        // SAFETY: passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: passed on.
        unsafe { System.dealloc(pointer, layout) };
    }
}

/// From now on, the allocations inside [`under`] are counted from 0, and these fail.
pub(crate) fn plan(failing: Failing) {
    PLAN.set(Plan { failing: Some(failing), ..NONE });
}

/// Runs `act` under the plan.
pub(crate) fn under<T>(act: impl FnOnce() -> T) -> T {
    let active = |is_active| PLAN.set(Plan { is_active, ..PLAN.get() });
    active(true);
    let result = act();
    active(false);
    result
}

/// Whether an allocation has failed. None fails any more.
pub(crate) fn has_failed() -> bool {
    PLAN.replace(NONE).failed > 0
}
