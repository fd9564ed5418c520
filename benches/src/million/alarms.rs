//! [`CountedAlarms`]: the alarms of all sessions, and the memory that they hold.

use std::time::Instant;

use websocket_proto::Alarms;

use crate::allocator;

/// [`Alarms`] by the key of a slot.
#[derive(Default)]
pub struct CountedAlarms {
    alarms: Alarms<usize, Instant>,
    bytes: u64,
}

impl CountedAlarms {
    pub fn set(&mut self, key: usize, deadline: Option<Instant>) {
        self.counted(|alarms| alarms.set(key, deadline));
    }

    pub fn next(&self) -> Option<Instant> {
        self.alarms.next()
    }

    pub fn pop(&mut self, now: Instant) -> Option<usize> {
        self.counted(|alarms| alarms.pop(now))
    }

    /// Bytes on the heap.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The size of an alarm's key and time, in a map and in a queue, without the spare room of these.
    pub const ENTRIES: usize = 2 * size_of::<(Instant, usize)>();

    fn counted<T>(&mut self, call: impl FnOnce(&mut Alarms<usize, Instant>) -> T) -> T {
        let before = allocator::live();
        let result = call(&mut self.alarms);
        self.bytes = (self.bytes + allocator::live()).wrapping_sub(before);
        result
    }
}
