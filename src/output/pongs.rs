//! Counts the bytes of the pongs that wait in an output, and replaces the last pong.

use super::Output;
use super::list::{KEPT_ENTRIES, List};
use crate::config::clamp_to_u32;

/// The last group of pongs. A group is a run of pongs without other bytes of the queue between them; the last group
/// ends at the queue's mark.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LastGroup {
    /// The group's length when its last pong was appended. Part of the group may have been written since.
    len: u32,
    /// The length of its last pong; 0 if a payload by reference follows it.
    last_pong: u32,
}

impl LastGroup {
    pub(super) const fn new() -> Self {
        Self { len: 0, last_pong: 0 }
    }
}

impl Output {
    /// Removes the last pong if it is complete and nothing follows it. Returns its length, or 0.
    pub(super) fn remove_last_pong(&mut self) -> usize {
        let removed = self.replaceable_pong();
        let (group_len, end) = (self.last_group_len() - removed, self.queue.len_before_mark() - removed);
        self.queue.remove_last(removed);
        self.queue.set_mark(end);
        self.last_group = LastGroup { len: clamp_to_u32(group_len), last_pong: 0 };
        removed
    }

    /// Counts the last `len` bytes of the queue, which are one frame, as a pong.
    pub(super) fn count_pong(&mut self, len: usize) {
        let (group_len, group_end, end) =
            (self.last_group_len(), self.queue.len_before_mark(), self.queue.waiting().len());
        let continues_group = group_end + len == end;
        if !continues_group {
            self.push_group(group_end, group_len);
        }
        let group_len = if continues_group { group_len + len } else { len };
        self.last_group = LastGroup { len: clamp_to_u32(group_len), last_pong: clamp_to_u32(len) };
        self.queue.set_mark(end);
    }

    /// Notes that a payload by reference follows the last pong, which therefore cannot be replaced.
    pub(super) fn keep_last_pong(&mut self) {
        self.last_group.last_pong = 0;
    }

    /// Adds the pongs of `other`, whose bytes are about to be appended to the `own_len` waiting bytes of the queue.
    pub(super) fn append_pongs(&mut self, own_len: usize, other: &mut Self) {
        let (end, len, last_pong) = (other.queue.len_before_mark(), other.last_group_len(), other.replaceable_pong());
        self.keep_last_pong();
        if len == 0 && other.extras.as_ref().is_none_or(|extras| extras.pongs.is_empty()) {
            return;
        }
        self.push_group(self.queue.len_before_mark(), self.last_group_len());
        if let Some(extras) = other.extras.as_mut().filter(|extras| !extras.pongs.is_empty()) {
            self.extras.get_or_insert_default().pongs.append(own_len, &mut extras.pongs);
        }
        self.last_group = LastGroup { len: clamp_to_u32(len), last_pong: clamp_to_u32(last_pong) };
        self.queue.set_mark(own_len + end);
    }

    /// Counts no waiting byte as a pong any more.
    pub(super) fn forget_pongs(&mut self) {
        self.last_group = LastGroup::new();
        if let Some(extras) = &mut self.extras {
            extras.pongs.clear();
        }
    }

    /// The number of waiting bytes that are pongs.
    pub(super) fn waiting_pong_bytes(&self) -> usize {
        self.last_group_len() + self.extras.as_ref().map_or(0, |extras| extras.pongs.len())
    }

    /// The number of waiting bytes in the last group.
    fn last_group_len(&self) -> usize {
        self.queue.len_before_mark().min(self.last_group.len as usize)
    }

    /// The length of the last pong if it is complete and nothing follows it; otherwise 0.
    fn replaceable_pong(&self) -> usize {
        let last_pong = self.last_group.last_pong as usize;
        let is_last = self.queue.len_before_mark() == self.queue.waiting().len();
        if is_last && last_pong <= self.last_group_len() { last_pong } else { 0 }
    }

    /// Adds a group, no longer the last one, to the list. Its `len` bytes end after `end` bytes of the queue.
    fn push_group(&mut self, end: usize, len: usize) {
        if len > 0 {
            self.extras.get_or_insert_default().pongs.push(end.saturating_sub(len), len);
        }
    }
}

/// The groups of pongs before the last one, in the order of the wire.
///
/// Keeps at most [`KEPT_ENTRIES`] groups. Before one more is added, the two neighbours with the fewest bytes are
/// merged: the pongs of the second then count as following those of the first directly. So while bytes are written, the
/// count may be too low, by at most the length of the partly written group, but never too high. Of n groups, the two
/// shortest neighbours have at most 2/(n - 1) of all bytes.
#[derive(Debug, Default)]
pub(super) struct PongGroups {
    groups: List<Group>,
    /// The number of bytes in all of these groups.
    len: usize,
    /// The sum of all distances and lengths: the waiting bytes of the queue up to the end of the last of these groups.
    end: usize,
}

#[derive(Debug)]
struct Group {
    /// The number of waiting bytes between the previous group, or the front of the queue, and this group.
    distance: usize,
    len: usize,
}

impl PongGroups {
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn len(&self) -> usize {
        self.len
    }

    /// Adds a group of `len` bytes after `start` bytes of the queue.
    fn push(&mut self, start: usize, len: usize) {
        if start > self.end && self.groups.len() >= KEPT_ENTRIES {
            self.merge_shortest();
        }
        let distance = start.saturating_sub(self.end);
        self.end = self.end.saturating_add(distance).saturating_add(len);
        self.len = self.len.saturating_add(len);
        match self.groups.back_mut() {
            Some(last) if distance == 0 => last.len = last.len.saturating_add(len),
            _ => self.groups.push_back(Group { distance, len }),
        }
    }

    /// Moves all groups of `other` to the end. Their bytes follow the `own_len` waiting bytes of this queue.
    fn append(&mut self, own_len: usize, other: &mut Self) {
        let mut end = own_len;
        for Group { distance, len } in other.groups.drain(..) {
            let start = end.saturating_add(distance);
            self.push(start, len);
            end = start.saturating_add(len);
        }
        other.clear();
    }

    /// Merges the two neighbours with the fewest bytes.
    fn merge_shortest(&mut self) {
        let pairs = self.groups.iter().zip(self.groups.iter().skip(1));
        let shortest = pairs.enumerate().min_by_key(|(_, (one, next))| one.len.saturating_add(next.len));
        let Some(index) = shortest.map(|(index, _)| index) else { return };
        let Some(merged) = self.groups.remove(index + 1) else { return };
        if let Some(one) = self.groups.get_mut(index) {
            one.len = one.len.saturating_add(merged.len);
        }
        match self.groups.get_mut(index + 1) {
            Some(next) => next.distance = next.distance.saturating_add(merged.distance),
            None => self.end = self.end.saturating_sub(merged.distance),
        }
    }

    /// Updates the groups when the first `count` bytes of the queue are removed.
    pub(super) fn advance(&mut self, count: usize) {
        let mut remaining = count;
        while let Some(first) = self.groups.front_mut() {
            let before = remaining.min(first.distance);
            let removed = (remaining - before).min(first.len);
            first.distance = first.distance.saturating_sub(before);
            first.len = first.len.saturating_sub(removed);
            self.len = self.len.saturating_sub(removed);
            self.end = self.end.saturating_sub(before + removed);
            remaining -= before + removed;
            if first.len > 0 {
                return;
            }
            self.groups.pop_front();
        }
    }

    pub(super) fn clear(&mut self) {
        self.groups.clear();
        (self.len, self.end) = (0, 0);
    }
}

#[cfg(all(test, feature = "std"))]
impl PongGroups {
    pub(super) fn count(&self) -> usize {
        self.groups.len()
    }
}
