//! Fast path: short messages in one frame, while nothing has to be checked. Leaves everything else to
//! [`write_message`](Sender::write_message).

use super::frames::keys;
use super::{Sender, SenderState};
use crate::frame::{FIN, ShortHeader};
use crate::lazy::Lazy;
use crate::mask::MaskKeys;
use crate::message::MessageKind;
use crate::output::Output;

/// Whether messages may be sent without a check: there is no limit on the output, no compression, and no fragmented
/// message in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FastPath {
    None,
    /// A server's, without a mask.
    Plain,
    /// A client's.
    Masked,
}

/// The longest payload of a header without an extended length: its header has always the same size.
pub(crate) const TINY: usize = 125;

impl Sender {
    /// How the next message may be sent, if the connection is open.
    pub(crate) fn fast_path(&self, state: &impl Lazy<SenderState>) -> FastPath {
        let is_in_message = state.get().is_some_and(|state| state.fragmented.is_some());
        if self.deflate.is_some() || self.max_output < u32::MAX || is_in_message {
            return FastPath::None;
        }
        let is_client = state.get().is_some_and(|state| state.keys.is_some());
        if is_client { FastPath::Masked } else { FastPath::Plain }
    }

    /// Fast path of a server: writes a message of at most [`TINY`] bytes, without any check, if the output has room for
    /// it. Returns whether it has.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "shorter than a call")]
    pub(crate) fn write_tiny_message(&mut self, kind: MessageKind, payload: &[u8], output: &mut Output) -> bool {
        self.write_with_room(kind, payload, None, output)
    }

    /// The same of a client, if the mask key is computed already.
    #[inline(never)]
    pub(crate) fn write_tiny_masked_message(
        &mut self,
        kind: MessageKind,
        payload: &[u8],
        state: &mut impl Lazy<SenderState>,
        output: &mut Output,
    ) -> bool {
        // The caller has looked at the length; here it makes the header's size a constant.
        if payload.len() > TINY || !output.has_room(payload.len()) {
            return false;
        }
        let key = keys(state).and_then(MaskKeys::computed_key);
        key.is_some_and(|key| self.write_with_room(kind, payload, Some(key), output))
    }

    /// Fast path: writes a message of at most 65,535 bytes, without any check, if the output has room for it. Returns
    /// whether it has.
    #[inline(never)]
    pub(crate) fn write_short_message(
        &mut self,
        kind: MessageKind,
        payload: &[u8],
        state: &mut impl Lazy<SenderState>,
        output: &mut Output,
    ) -> bool {
        if payload.len() > usize::from(u16::MAX) || !output.has_room(payload.len()) {
            return false;
        }
        let key = keys(state).map(MaskKeys::key);
        self.write_with_room(kind, payload, key, output)
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "each caller needs a part of it")]
    fn write_with_room(
        &mut self,
        kind: MessageKind,
        payload: &[u8],
        key: Option<[u8; 4]>,
        output: &mut Output,
    ) -> bool {
        let header = ShortHeader::new(FIN | kind.opcode() as u8, payload.len() as u16, key);
        let is_written = output.write_short_frame(header, key, payload);
        if is_written {
            self.count_wire(usize::from(header.len) + payload.len());
            self.count(payload.len(), true);
        }
        is_written
    }
}
