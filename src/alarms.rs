//! [`Alarms`]: when to give which of many sessions its next turn.

use alloc::collections::{BTreeMap, BinaryHeap};
use core::cmp::Reverse;

/// The deadlines of many sessions in one event loop. At most one alarm is kept for a key.
///
/// An alarm that is later than necessary must be moved; one that is earlier does no harm: its session finds nothing due
/// and gets a new alarm. So [`set`](Self::set) leaves an earlier alarm where it is, and a message that postpones its
/// session's deadline costs one look-up.
///
/// # Examples
/// After each turn of a session, and in the event loop:
/// ```
/// use websocket_proto::Alarms;
///
/// let mut alarms = Alarms::new();
/// alarms.set("one", Some(30));
/// alarms.set("two", Some(10));
/// alarms.set("two", Some(40));
/// assert_eq!(alarms.next(), Some(10));
///
/// // Wait until then at the latest. At 20:
/// assert_eq!(alarms.pop(20), Some("two"));
/// assert_eq!(alarms.pop(20), None);
/// alarms.set("two", Some(40));
///
/// // A session is over.
/// alarms.remove(&"one");
/// assert_eq!(alarms.next(), Some(40));
/// ```
#[derive(Clone, Debug)]
pub struct Alarms<K, I> {
    /// The alarm of each key.
    by_key: BTreeMap<K, I>,
    /// The alarms by time, and some that were removed or replaced: but not as the first.
    by_time: BinaryHeap<Reverse<(I, K)>>,
}

impl<K: Copy + Ord, I: Copy + Ord> Alarms<K, I> {
    /// No alarms. Allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { by_key: BTreeMap::new(), by_time: BinaryHeap::new() }
    }

    /// Makes sure that the key has an alarm at the deadline or earlier. `None` is no deadline.
    pub fn set(&mut self, key: K, deadline: Option<I>) {
        let Some(deadline) = deadline else { return };
        if self.by_key.get(&key).is_none_or(|alarm| deadline < *alarm) {
            self.by_key.insert(key, deadline);
            self.by_time.push(Reverse((deadline, key)));
            self.sweep();
        }
    }

    /// Removes the alarm of a key.
    pub fn remove(&mut self, key: &K) {
        self.by_key.remove(key);
        self.sweep();
    }

    /// The time of the first alarm.
    #[must_use]
    pub fn next(&self) -> Option<I> {
        self.by_time.peek().map(|Reverse((alarm, _))| *alarm)
    }

    /// Removes the first alarm if it is due, and returns its key. Call it until it returns `None`.
    pub fn pop(&mut self, now: I) -> Option<K> {
        let Reverse((alarm, key)) = *self.by_time.peek()?;
        if alarm > now {
            return None;
        }
        self.remove(&key);
        Some(key)
    }

    /// Forgets alarms that were removed or replaced: the first ones, and all if they are as many as the others.
    fn sweep(&mut self) {
        let Self { by_key, by_time } = self;
        let is_set = |Reverse((alarm, key)): &Reverse<(I, K)>| by_key.get(key) == Some(alarm);
        while by_time.peek().is_some_and(|first| !is_set(first)) {
            by_time.pop();
        }
        if by_time.len() > 2 * by_key.len() + 64 {
            by_time.retain(is_set);
            by_time.shrink_to(2 * by_time.len());
        }
    }
}

impl<K: Copy + Ord, I: Copy + Ord> Default for Alarms<K, I> {
    fn default() -> Self {
        Self::new()
    }
}
