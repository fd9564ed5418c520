//! Where in a frame the connection is; what is in it is for others to know.

use crate::frame::{HeaderParser, Opcode};
use crate::mask::{apply_mask, rotate_key};

/// Where in a frame the next byte lies.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reading {
    /// In the header, of which this much is known.
    Header(HeaderParser),
    /// In the payload.
    Payload(Frame),
}

impl Default for Reading {
    fn default() -> Self {
        Self::Header(HeaderParser::default())
    }
}

/// A frame whose payload is under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) opcode: Opcode,
    pub(super) fin: bool,
    /// RSV1, on the first frame of a compressed message.
    pub(super) compressed: bool,
    /// Whether it goes, uncompressed, into the message that is gathered whole.
    pub(super) is_gathered: bool,
    /// The key for the next byte; zeros if the frame is not masked.
    pub(super) key: [u8; 4],
    pub(super) remaining: u64,
}

impl Frame {
    /// Unmasks, or masks again, what lies so many bytes behind the next one.
    pub(super) fn unmask(&self, ahead: usize, bytes: &mut [u8]) {
        if self.key != [0; 4] {
            apply_mask(rotate_key(self.key, ahead), bytes);
        }
    }

    /// Goes on behind so many bytes, which are no more than remain.
    #[inline]
    pub(super) fn advance(&mut self, count: usize) {
        self.remaining = self.remaining.wrapping_sub(count as u64);
        self.key = rotate_key(self.key, count);
    }

    /// Whether nothing of its message is to come behind what was read of it.
    pub(super) fn ends_message(&self) -> bool {
        self.fin && self.remaining == 0
    }
}
