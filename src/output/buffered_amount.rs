//! [`BufferedAmount`]: counts the bytes of messages that wait in an output, the WebSocket API's `bufferedAmount`.

use super::list::List;

/// The frames in an output that carry bytes of messages, in the order of the wire. Each has the distance from the end
/// of the previous one to its own end, so removing bytes from the front changes only the frames that they belong to.
#[derive(Debug, Default)]
pub(super) struct BufferedAmount {
    frames: List<Frame>,
    /// Bytes of messages in all frames.
    amount: u64,
    /// The sum of all distances: the waiting bytes up to the end of the last frame.
    distance: usize,
}

#[derive(Debug)]
struct Frame {
    /// The waiting bytes between the end of the previous frame, or the front, and the end of this one.
    distance: usize,
    /// The waiting bytes of its message, before compression.
    carries: usize,
    compressed: bool,
}

impl BufferedAmount {
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(super) fn amount(&self) -> u64 {
        self.amount
    }

    /// Counts `carries` bytes of a message for the frame at the end of the output's `waiting` bytes.
    pub(super) fn push(&mut self, waiting: usize, carries: usize, compressed: bool) {
        let distance = waiting.saturating_sub(self.distance);
        self.frames.push_back(Frame { distance, carries, compressed });
        self.amount = self.amount.saturating_add(carries as u64);
        self.distance = waiting;
    }

    /// Moves all frames of `other` here, as its bytes are appended to the `waiting` bytes of this output.
    pub(super) fn append(&mut self, waiting: usize, other: &mut Self) {
        if let Some(first) = other.frames.front_mut() {
            first.distance = first.distance.saturating_add(waiting.saturating_sub(self.distance));
            self.distance = waiting.saturating_add(other.distance);
            self.amount = self.amount.saturating_add(other.amount);
            self.frames.append(&mut other.frames);
            (other.amount, other.distance) = (0, 0);
        }
    }

    /// Updates the count when the first `count` bytes are removed.
    pub(super) fn advance(&mut self, count: usize) {
        let mut left = count;
        while let Some(first) = self.frames.front_mut() {
            let taken = left.min(first.distance);
            first.distance = first.distance.saturating_sub(taken);
            self.distance = self.distance.saturating_sub(taken);
            left = left.saturating_sub(taken);
            // The payload is at the frame's end. A compressed payload counts in full until its last byte is removed.
            let counts_whole = first.compressed && first.distance > 0;
            let waiting = if counts_whole { first.carries } else { first.carries.min(first.distance) };
            self.amount = self.amount.saturating_sub(first.carries.saturating_sub(waiting) as u64);
            first.carries = waiting;
            if first.distance > 0 {
                return;
            }
            self.frames.pop_front();
        }
    }

    pub(super) fn clear(&mut self) {
        self.frames.clear();
        (self.amount, self.distance) = (0, 0);
    }

    #[cfg(all(test, feature = "std"))]
    pub(super) fn capacity(&self) -> usize {
        self.frames.capacity()
    }
}
