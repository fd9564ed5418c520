//! [`SharedChunks`]: the payloads that an output holds by reference, and their positions between its own bytes.

use bytes::{Buf, Bytes};

use super::list::List;

/// Payloads held by reference, none of them empty, in the order of the wire. Each has its distance from the previous
/// one, so removing bytes from the front changes only the first, and moving bytes in memory changes none.
#[derive(Debug, Default)]
pub(super) struct SharedChunks {
    queue: List<SharedChunk>,
    /// Bytes of all payloads. May exceed the memory of the machine, because one payload may be held many times.
    len: u64,
    /// The sum of all distances: the number of the output's own waiting bytes before the last payload.
    distance: usize,
}

#[derive(Debug)]
struct SharedChunk {
    /// The number of the output's own waiting bytes between the previous payload, or the front, and this one.
    distance: usize,
    payload: Bytes,
}

impl SharedChunks {
    pub(super) const fn new() -> Self {
        Self { queue: List::new(), len: 0, distance: 0 }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of all payloads, at most `usize::MAX`.
    #[inline]
    pub(super) fn len(&self) -> usize {
        usize::try_from(self.len).unwrap_or(usize::MAX)
    }

    /// Adds a payload after the output's `own_len` own waiting bytes.
    pub(super) fn push(&mut self, own_len: usize, payload: Bytes) {
        if payload.is_empty() {
            return;
        }
        self.len = self.len.saturating_add(payload.len() as u64);
        self.queue.push_back(SharedChunk { distance: own_len.saturating_sub(self.distance), payload });
        self.distance = own_len;
    }

    /// Moves all payloads of `other` to the end. The own bytes of its output follow this output's `own_len` own bytes.
    pub(super) fn append(&mut self, own_len: usize, other: &mut Self) {
        if let Some(first) = other.queue.front_mut() {
            first.distance = first.distance.saturating_add(own_len.saturating_sub(self.distance));
            self.distance = own_len.saturating_add(other.distance);
            self.len = self.len.saturating_add(other.len);
            self.queue.append(&mut other.queue);
            (other.len, other.distance) = (0, 0);
        }
    }

    /// The first segment: the output's `own` bytes up to the first payload, or that payload.
    pub(super) fn first<'o>(&'o self, own: &'o [u8]) -> &'o [u8] {
        match self.queue.front() {
            None => own,
            Some(SharedChunk { distance: 0, payload }) => payload,
            Some(SharedChunk { distance, .. }) => own.get(..*distance).unwrap_or_default(),
        }
    }

    /// Fills `slices` with the waiting segments, in order, and returns the number of slices filled. Skips empty
    /// segments. A segment of more than 4 GiB, the limit of Windows, is cut and ends the list.
    #[cfg(feature = "std")]
    pub(super) fn fill<'o>(&'o self, own: &'o [u8], slices: &mut [std::io::IoSlice<'o>]) -> usize {
        let room = slices.len();
        let mut places = slices.iter_mut();
        // Returns whether the next segment may follow.
        let mut put = |segment: &'o [u8]| {
            let (segment, rest) = segment.split_at(segment.len().min(u32::MAX as usize));
            if segment.is_empty() {
                return true;
            }
            let place = places.next().map(|place| *place = std::io::IoSlice::new(segment));
            place.is_some() && rest.is_empty()
        };
        let mut rest = own;
        let mut goes_on = true;
        for chunk in self.queue.iter() {
            let (before, after) = rest.split_at(chunk.distance.min(rest.len()));
            rest = after;
            goes_on = put(before) && put(&chunk.payload);
            if !goes_on {
                break;
            }
        }
        if goes_on {
            put(rest);
        }
        room - places.len()
    }

    /// Removes the first `count` bytes; drops each payload with its last byte. Returns how many of the removed bytes
    /// are the output's own.
    pub(super) fn advance(&mut self, count: usize) -> usize {
        let (mut left, mut own) = (count, 0_usize);
        while let Some(first) = self.queue.front_mut() {
            let before = left.min(first.distance);
            first.distance = first.distance.saturating_sub(before);
            self.distance = self.distance.saturating_sub(before);
            own = own.saturating_add(before);
            left = left.saturating_sub(before);

            let taken = if first.distance == 0 { left.min(first.payload.len()) } else { 0 };
            first.payload.advance(taken);
            self.len = self.len.saturating_sub(taken as u64);
            left = left.saturating_sub(taken);
            if !first.payload.is_empty() {
                return own;
            }
            self.queue.pop_front();
        }
        own.saturating_add(left)
    }

    /// The first `count` waiting bytes, by reference, if they are in one payload.
    pub(super) fn share(&self, count: usize) -> Option<Bytes> {
        let first = self.queue.front()?;
        (first.distance == 0 && count <= first.payload.len()).then(|| first.payload.slice(..count))
    }

    /// Makes payloads of the output's `own` bytes, all of which are removed from its queue, and takes the first.
    pub(super) fn freeze(&mut self, mut own: Bytes) -> Bytes {
        let Some(front) = self.queue.front_mut() else { return own };
        let first = own.split_to(front.distance.min(own.len()));
        front.distance = 0;
        for mut chunk in self.queue.split_off(1) {
            let before = own.split_to(chunk.distance.min(own.len()));
            self.len = self.len.saturating_add(before.len() as u64);
            self.push_frozen(before);
            chunk.distance = 0;
            self.queue.push_back(chunk);
        }
        self.len = self.len.saturating_add(own.len() as u64);
        self.push_frozen(own);
        self.distance = 0;
        first
    }

    fn push_frozen(&mut self, payload: Bytes) {
        if !payload.is_empty() {
            self.queue.push_back(SharedChunk { distance: 0, payload });
        }
    }

    /// Drops all payloads.
    pub(super) fn clear(&mut self) {
        self.queue.clear();
        (self.len, self.distance) = (0, 0);
    }

    #[cfg(all(test, feature = "std"))]
    pub(super) fn capacity(&self) -> usize {
        self.queue.capacity()
    }
}
