//! [`FrameParser`]: the position within a frame. [`PayloadReader`]: the rest of a payload, and its mask.

use crate::frame::{HeaderParser, Opcode};
use crate::mask::{apply_mask, rotate_key};

/// The position of the next byte within a frame.
#[derive(Clone, Copy, Debug)]
pub(super) enum FrameParser {
    Header(HeaderParser),
    Payload(PayloadReader),
}

impl Default for FrameParser {
    fn default() -> Self {
        Self::Header(HeaderParser::default())
    }
}

/// A frame whose header is complete.
#[derive(Clone, Copy, Debug)]
pub(super) struct PayloadReader {
    pub(super) opcode: Opcode,
    pub(super) fin: bool,
    pub(super) kind: PayloadKind,
    pub(super) is_masked: bool,
    /// The mask key for the next byte; zeros if the frame is not masked.
    pub(super) key: [u8; 4],
    /// Bytes of the payload still to come; for [`PayloadKind::InvalidText`], from the first invalid byte on.
    pub(super) remaining: u64,
}

/// How a payload is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PayloadKind {
    /// RSV1 is not set; nothing is read yet, or parts of it are delivered.
    Plain,
    /// RSV1 is set: this is the first frame of a compressed message.
    Compressed,
    /// The bytes go, as they are, into a message that is delivered whole.
    Reassembled,
    /// Text in which the fast path found a fault. The full parser reports it.
    InvalidText,
}

impl PayloadReader {
    /// Applies the mask to `bytes`, which start `ahead` bytes after the current position.
    pub(super) fn unmask(&self, ahead: usize, bytes: &mut [u8]) {
        if self.is_masked {
            apply_mask(rotate_key(self.key, ahead), bytes);
        }
    }

    pub(super) fn is_compressed(&self) -> bool {
        self.kind == PayloadKind::Compressed
    }

    /// Moves the position by `count` bytes, at most [`remaining`](Self::remaining).
    #[inline]
    pub(super) fn advance(&mut self, count: usize) {
        self.remaining = self.remaining.wrapping_sub(count as u64);
        self.key = rotate_key(self.key, count);
    }

    /// `remaining` as a length in memory.
    pub(super) fn remaining_len(&self) -> usize {
        usize::try_from(self.remaining).unwrap_or(usize::MAX)
    }

    /// Whether the message ends here: this is its last frame, and its payload has been read.
    pub(super) fn ends_message(&self) -> bool {
        self.fin && self.remaining == 0
    }
}
