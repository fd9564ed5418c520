//! [`Cost`]: the time and the allocations of a step.

use std::ops::AddAssign;

use crate::allocator;
use crate::clock;

/// The sum over `count` sessions, or messages.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    pub count: usize,
    pub nanoseconds: u64,
    pub allocations: u64,
}

impl Cost {
    /// Measures a step that returns its count.
    pub fn of(step: impl FnOnce() -> usize) -> Self {
        let (start, before) = (clock::now(), allocator::allocations());
        let count = step();
        Self { count, nanoseconds: clock::now() - start, allocations: allocator::allocations() - before }
    }

    pub fn nanoseconds_each(&self) -> f64 {
        self.nanoseconds as f64 / self.count as f64
    }

    pub fn allocations_each(&self) -> f64 {
        self.allocations as f64 / self.count as f64
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.count += other.count;
        self.nanoseconds += other.nanoseconds;
        self.allocations += other.allocations;
    }
}
