//! The rules for a header at this point of the connection: `check_sequence` and `check_limits` for the full parser,
//! `fast_lengths` and `fits_next` for the fast path. The rules for every header are in `frame/`.

use super::assembler::MessageAssembler;
use super::{Receiver, ReceiverState};
use crate::error::ProtocolErrorKind;
use crate::frame::{HeaderChecks, MASK, Opcode, RSV, RSV1, header_len};
use crate::lazy::Lazy;

/// The rules for the next header.
pub(super) struct Checks<'r> {
    pub(super) receiver: &'r Receiver,
    /// The message in progress.
    pub(super) message: Option<&'r MessageAssembler>,
}

impl HeaderChecks for Checks<'_> {
    fn check_sequence(&self, first: u8, second: u8) -> Result<(), ProtocolErrorKind> {
        // RFC 6455 §5.2: "If a nonzero value is received and none of the negotiated extensions defines the meaning of
        // such a nonzero value, the receiving endpoint MUST _Fail the WebSocket Connection_."
        let opcode = Opcode::new(first & 0xf);
        // RFC 7692 §6: RSV1 marks a compressed message on its first frame, and nothing else.
        let marks_compression =
            self.receiver.inflate.is_some() && matches!(opcode, Some(Opcode::Text | Opcode::Binary));
        let defined = if marks_compression { RSV1 } else { 0 };
        if first & RSV & !defined != 0 {
            return Err(ProtocolErrorKind::ReservedBits);
        }
        // RFC 6455 §5.1: "The server MUST close the connection upon receiving a frame that is not masked." "A client
        // MUST close a connection if it detects a masked frame."
        match (self.receiver.expects_mask, second & MASK != 0) {
            (true, false) => return Err(ProtocolErrorKind::NotMasked),
            (false, true) => return Err(ProtocolErrorKind::Masked),
            _ => {}
        }
        // RFC 6455 §5.4: a message is a first frame and continuations, and messages are not interleaved.
        match (opcode, self.message) {
            (Some(Opcode::Continuation), None) => Err(ProtocolErrorKind::UnexpectedContinuation),
            (Some(Opcode::Text | Opcode::Binary), Some(_)) => Err(ProtocolErrorKind::MissingContinuation),
            (Some(Opcode::Continuation), Some(message)) if message.frames() >= self.receiver.max_fragments => {
                Err(ProtocolErrorKind::TooManyFragments)
            }
            _ => Ok(()),
        }
    }

    /// RFC 6455 §10.4: limits on the frame and on the message, which the header alone shows to be exceeded.
    fn check_limits(&self, first: u8, len: u64) -> Result<(), ProtocolErrorKind> {
        if Opcode::new(first & 0xf).is_some_and(Opcode::is_control) {
            return Ok(());
        }
        let limit = self.receiver.message_limit();
        let (received, limit) = if first & RSV1 != 0 || self.message.is_some_and(MessageAssembler::is_compressed) {
            // The length of a compressed message shows when it is decompressed. Honest DEFLATE is hardly longer than
            // that, except that it flushes each fragment; blocks without content could go on for ever.
            let flushes = self.message.map_or(0, |message| u64::from(message.frames()) * 16);
            let most = limit.saturating_add(limit / 8).saturating_add(1 << 10).saturating_add(flushes);
            (self.message.map_or(0, MessageAssembler::compressed_len), most)
        } else {
            (self.message.map_or(0, MessageAssembler::len), limit)
        };
        if len > limit.saturating_sub(received) {
            Err(ProtocolErrorKind::MessageTooBig)
        } else if self.receiver.max_frame_size < u32::MAX && len > self.receiver.max_frame_size.into() {
            Err(ProtocolErrorKind::FrameTooBig)
        } else {
            Ok(())
        }
    }
}

/// The same rules for the fast path, which takes no frame with a reserved bit.
impl Receiver {
    /// The lengths of the header and of the payload, if they are at most 65,535, minimal, masked as they have to be and
    /// within the limits. The message may still be too long with the frames before this one.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "part of `Connection::receive`")]
    pub(super) fn fast_lengths(&self, second: u8, bytes: &[u8]) -> Option<(usize, usize)> {
        if (second & MASK != 0) != self.expects_mask {
            return None;
        }
        let header = header_len(second);
        let len = match second & 0x7f {
            len @ 0..=125 => usize::from(len),
            126 => usize::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?)),
            _ => return None,
        };
        let minimal = len > 125 || second & 0x7f < 126;
        if !minimal || len > self.max_message_size || len > self.max_frame_size as usize {
            return None;
        }
        Some((header, len))
    }

    /// Whether the message in progress may have another frame, with `len` bytes.
    #[inline]
    pub(super) fn fits_next(&self, len: usize, state: &impl Lazy<ReceiverState>) -> bool {
        state.get().and_then(|state| state.message.as_ref()).is_some_and(|message| {
            let room = (self.max_message_size as u64).saturating_sub(message.len());
            message.frames() < self.max_fragments && len as u64 <= room
        })
    }
}
