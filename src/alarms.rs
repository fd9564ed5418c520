//! [`Alarms`]: when to give which of many sessions its next turn.

use alloc::collections::{BTreeMap, BTreeSet};

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
    by_time: BTreeSet<(I, K)>,
    by_key: BTreeMap<K, I>,
}

impl<K: Copy + Ord, I: Copy + Ord> Alarms<K, I> {
    /// No alarms. Allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { by_time: BTreeSet::new(), by_key: BTreeMap::new() }
    }

    /// Makes sure that the key has an alarm at the deadline or earlier. `None` is no deadline.
    pub fn set(&mut self, key: K, deadline: Option<I>) {
        let Some(deadline) = deadline else { return };
        let alarm = self.by_key.entry(key).or_insert(deadline);
        if deadline < *alarm {
            self.by_time.remove(&(*alarm, key));
            *alarm = deadline;
        }
        if deadline == *alarm {
            self.by_time.insert((deadline, key));
        }
    }

    /// Removes the alarm of a key.
    pub fn remove(&mut self, key: &K) {
        if let Some(alarm) = self.by_key.remove(key) {
            self.by_time.remove(&(alarm, *key));
        }
    }

    /// The time of the first alarm.
    #[must_use]
    pub fn next(&self) -> Option<I> {
        self.by_time.first().map(|(alarm, _)| *alarm)
    }

    /// Removes the first alarm if it is due, and returns its key. Call it until it returns `None`.
    pub fn pop(&mut self, now: I) -> Option<K> {
        let (alarm, key) = *self.by_time.first()?;
        if alarm > now {
            return None;
        }
        self.by_time.pop_first();
        self.by_key.remove(&key);
        Some(key)
    }
}

impl<K: Copy + Ord, I: Copy + Ord> Default for Alarms<K, I> {
    fn default() -> Self {
        Self::new()
    }
}
