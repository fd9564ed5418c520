//! [`SharedChunks`]: the payloads that an output holds by reference, between the bytes that it holds itself, which are not
//! touched here.

use bytes::{Buf, Bytes};

use super::list::List;

/// Payloads held by reference, none of them empty, in the order of the wire. Where each stands is a distance from the
/// one before it, so that neither taking bytes off the front nor moving them in memory touches any but the first.
#[derive(Debug, Default)]
pub(super) struct SharedChunks {
    queue: List<SharedChunk>,
    /// Bytes of all payloads: more than there is memory, perhaps, because one may be held many times.
    len: u64,
    /// The sum of all distances: how many of the output's own bytes wait before the last payload.
    distance: usize,
}

#[derive(Debug)]
struct SharedChunk {
    /// How many of the output's own bytes wait between the payload before, or the front, and this one.
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

    /// Bytes of all payloads, as far as a `usize` can tell.
    #[inline]
    pub(super) fn len(&self) -> usize {
        usize::try_from(self.len).unwrap_or(usize::MAX)
    }

    /// Puts a payload behind all of the output's own bytes, of which `own` wait.
    pub(super) fn push(&mut self, own: usize, payload: Bytes) {
        if payload.is_empty() {
            return;
        }
        self.len = self.len.saturating_add(payload.len() as u64);
        self.queue.push_back(SharedChunk { distance: own.saturating_sub(self.distance), payload });
        self.distance = own;
    }

    /// Moves all payloads of another output, whose own bytes follow, behind all of this output's, of which `own` wait.
    pub(super) fn append(&mut self, own: usize, other: &mut Self) {
        if let Some(first) = other.queue.front_mut() {
            first.distance = first.distance.saturating_add(own.saturating_sub(self.distance));
            self.distance = own.saturating_add(other.distance);
            self.len = self.len.saturating_add(other.len);
            self.queue.append(&mut other.queue);
            (other.len, other.distance) = (0, 0);
        }
    }

    /// What waits first: a piece of the output's `own` bytes, or a payload.
    pub(super) fn first<'o>(&'o self, own: &'o [u8]) -> &'o [u8] {
        match self.queue.front() {
            None => own,
            Some(SharedChunk { distance: 0, payload }) => payload,
            Some(SharedChunk { distance, .. }) => own.get(..*distance).unwrap_or_default(),
        }
    }

    /// As many slices of all that waits as there is room for; returns how many. An empty segment gives none, and one
    /// that is longer than Windows can take is cut: what follows it comes in the next call.
    #[cfg(feature = "std")]
    pub(super) fn fill<'o>(&'o self, own: &'o [u8], slices: &mut [std::io::IoSlice<'o>]) -> usize {
        let room = slices.len();
        let mut places = slices.iter_mut();
        // Whether the next segment comes behind this one.
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
            let (before, behind) = rest.split_at(chunk.distance.min(rest.len()));
            rest = behind;
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

    /// Takes `count` bytes off the front, and lets go of each payload with its last byte. Returns how many of the
    /// `count` were the output's own.
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

    /// The first `count` bytes that wait, by reference, if they lie in one payload.
    pub(super) fn share(&self, count: usize) -> Option<Bytes> {
        let first = self.queue.front()?;
        (first.distance == 0 && count <= first.payload.len()).then(|| first.payload.slice(..count))
    }

    /// Lets go of all payloads.
    pub(super) fn clear(&mut self) {
        self.queue.clear();
        (self.len, self.distance) = (0, 0);
    }

    #[cfg(all(test, feature = "std"))]
    pub(super) fn capacity(&self) -> usize {
        self.queue.capacity()
    }
}
