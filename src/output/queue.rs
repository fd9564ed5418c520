//! [`Queue`]: an output's own bytes, in one buffer that grows and shrinks with them.

use alloc::collections::TryReserveError;
use alloc::vec::Vec;

use bytes::{Buf, Bytes};

use super::KEPT_CAPACITY;

/// Bytes that are appended at the end and removed from the front.
///
/// # Memory
/// A buffer of more than [`KEPT_CAPACITY`] has room for at most twice the bytes that wait. While bytes move to another
/// buffer, the old and the new one together have room for at most 2¾ times the most bytes that have waited.
///
/// # Work
/// Each byte moves a constant number of times on average. *n* waiting bytes move to the front of their buffer only if
/// at least *n*/4 bytes were removed since the last move; to a larger buffer only if it is larger by at least *n*/4; to
/// a smaller buffer only if they fill less than half of the old one.
#[derive(Debug, Default)]
pub(super) struct Queue {
    bytes: Vec<u8>,
    /// The number of removed bytes at the start of `bytes`.
    removed: usize,
    /// A position in `bytes`, set by the output. When the bytes move, it moves with them.
    mark: usize,
}

impl Queue {
    pub(super) const fn new() -> Self {
        Self { bytes: Vec::new(), removed: 0, mark: 0 }
    }

    /// The waiting bytes.
    #[inline]
    pub(super) fn waiting(&self) -> &[u8] {
        self.bytes.get(self.removed..).unwrap_or_default()
    }

    /// The buffer to append to, with whatever room it has.
    #[inline]
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// The number of bytes that can be appended without a larger buffer.
    #[inline]
    pub(super) fn spare(&self) -> usize {
        self.bytes.capacity() - self.bytes.len()
    }

    /// The buffer to append to, with room for `additional` bytes.
    #[inline]
    pub(super) fn with_room(&mut self, additional: usize) -> &mut Vec<u8> {
        if self.spare() < additional {
            self.make_room(additional);
        }
        &mut self.bytes
    }

    /// Like [`with_room`](Self::with_room), but returns an error if there is no memory.
    pub(super) fn try_with_room(&mut self, additional: usize) -> Result<&mut Vec<u8>, TryReserveError> {
        if self.spare() < additional {
            self.try_make_room(additional)?;
        }
        Ok(&mut self.bytes)
    }

    #[cold]
    fn make_room(&mut self, additional: usize) {
        if self.try_make_room(additional).is_err() {
            // There is no memory: `reserve` fails as the standard collections do.
            self.bytes.reserve(additional);
        }
    }

    fn try_make_room(&mut self, additional: usize) -> Result<(), TryReserveError> {
        let waiting = self.waiting().len();
        let needed = waiting.saturating_add(additional);
        if needed <= self.bytes.capacity() && waiting <= self.removed.saturating_mul(4) {
            self.mark = self.len_before_mark();
            self.bytes.drain(..self.removed);
            self.removed = 0;
            Ok(())
        } else {
            self.relocate(needed.saturating_add(waiting / 2))
        }
    }

    /// Moves the waiting bytes to a buffer of `capacity` bytes; returns an error if there is no memory.
    fn relocate(&mut self, capacity: usize) -> Result<(), TryReserveError> {
        if self.removed == 0 && capacity >= self.bytes.capacity() {
            // The allocator may be able to extend the buffer in place.
            self.bytes.try_reserve_exact(capacity.saturating_sub(self.bytes.len()))
        } else {
            let mut bytes = Vec::new();
            bytes.try_reserve_exact(capacity)?;
            bytes.extend_from_slice(self.waiting());
            *self = Self { bytes, removed: 0, mark: self.len_before_mark() };
            Ok(())
        }
    }

    /// Removes the first `count` waiting bytes. `count` must not exceed their number.
    #[inline]
    pub(super) fn advance(&mut self, count: usize) {
        self.removed = self.removed.saturating_add(count);
        self.shrink();
    }

    /// Moves the waiting bytes to a smaller buffer if this one is too large for them.
    #[inline]
    pub(super) fn shrink(&mut self) {
        let (waiting, capacity) = (self.waiting().len(), self.bytes.capacity());
        if capacity > KEPT_CAPACITY && capacity > waiting.saturating_mul(2) {
            // Without memory for the smaller buffer, the larger one stays.
            let _ = self.relocate(waiting.saturating_add(waiting / 2));
        }
    }

    /// Moves the waiting bytes to a smaller buffer if this one has more than `small` bytes and is less than half full.
    pub(super) fn trim(&mut self, small: usize) {
        if self.bytes.capacity() > small && !self.is_well_filled() {
            // Without memory for the smaller buffer, the larger one stays.
            let _ = self.relocate(self.waiting().len());
        }
    }

    /// Removes all bytes, and returns their buffer.
    pub(super) fn take(&mut self) -> Bytes {
        let Self { bytes, removed, .. } = core::mem::take(self);
        let mut bytes = Bytes::from(bytes);
        bytes.advance(removed.min(bytes.len()));
        bytes
    }

    /// Removes all bytes.
    pub(super) fn clear(&mut self) {
        if self.bytes.capacity() > KEPT_CAPACITY {
            self.bytes = Vec::new();
        }
        self.bytes.clear();
        (self.removed, self.mark) = (0, 0);
    }

    /// Removes the last `count` waiting bytes. `count` must not exceed their number, and the mark must not be after the
    /// new end.
    pub(super) fn remove_last(&mut self, count: usize) {
        self.bytes.truncate(self.bytes.len().saturating_sub(count));
    }

    /// Whether waiting bytes fill at least half of the buffer.
    pub(super) fn is_well_filled(&self) -> bool {
        self.bytes.capacity() <= self.waiting().len().saturating_mul(2)
    }
}

impl Queue {
    /// Moves the mark to `position`, counted from the first waiting byte.
    pub(super) fn set_mark(&mut self, position: usize) {
        self.mark = self.removed.saturating_add(position);
    }

    /// The number of waiting bytes before the mark.
    pub(super) fn len_before_mark(&self) -> usize {
        self.mark.saturating_sub(self.removed)
    }
}

#[cfg(all(test, feature = "std"))]
impl Queue {
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// The address of the buffer.
    pub(super) fn start(&self) -> *const u8 {
        self.bytes.as_ptr()
    }
}
