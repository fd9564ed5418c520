//! [`List`]: a first-in, first-out queue whose memory grows and shrinks with its entries.

use alloc::collections::VecDeque;
use core::ops::{Deref, DerefMut};

/// A drained list keeps room for this many entries.
pub(super) const KEPT_ENTRIES: usize = 64;

/// A queue that grows by half, and shrinks when less than half of its capacity is used. Its capacity is at most
/// [`KEPT_ENTRIES`] or twice the number of its entries, whichever is larger.
#[derive(Debug)]
pub(super) struct List<T>(VecDeque<T>);

impl<T> List<T> {
    pub(super) const fn new() -> Self {
        Self(VecDeque::new())
    }

    pub(super) fn push_back(&mut self, entry: T) {
        self.make_room(1);
        self.0.push_back(entry);
    }

    /// Moves all entries of `other` to the end of this list.
    pub(super) fn append(&mut self, other: &mut Self) {
        self.make_room(other.len());
        self.0.append(&mut other.0);
    }

    fn make_room(&mut self, additional: usize) {
        if self.capacity() - self.len() < additional {
            self.0.reserve_exact(additional.saturating_add(self.len() / 2));
        }
    }

    pub(super) fn pop_front(&mut self) {
        self.0.pop_front();
        let len = self.len();
        if self.capacity() > KEPT_ENTRIES.max(2 * len) {
            self.0.shrink_to(KEPT_ENTRIES.max(len + len / 2));
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
        if self.capacity() > KEPT_ENTRIES {
            self.0.shrink_to(KEPT_ENTRIES);
        }
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Deref for List<T> {
    type Target = VecDeque<T>;

    fn deref(&self) -> &VecDeque<T> {
        &self.0
    }
}

impl<T> DerefMut for List<T> {
    fn deref_mut(&mut self) -> &mut VecDeque<T> {
        &mut self.0
    }
}
