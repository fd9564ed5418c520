//! Messages in one frame, and in fragments (RFC 6455 §5.4).

use super::{Sender, SenderState};
use crate::error::SendError;
use crate::frame::Opcode;
use crate::lazy::Lazy;
use crate::message::MessageKind;
use crate::output::Output;
use crate::utf8::Utf8Stream;

/// A fragmented message whose last fragment is not sent yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct FragmentedMessage {
    kind: MessageKind,
    text: Utf8Stream,
    is_compressed: bool,
}

impl Sender {
    /// Writes an uncompressed message in one frame.
    #[inline]
    pub(crate) fn write_message(
        &mut self,
        kind: MessageKind,
        payload: &[u8],
        state: &mut impl Lazy<SenderState>,
        output: &mut Output,
    ) {
        self.write_frame(true, kind.opcode(), payload, state, output);
        self.count(payload.len(), true);
    }

    /// Writes a compressed message in one frame.
    pub(crate) fn write_compressed_message(
        &mut self,
        kind: MessageKind,
        payload: &[u8],
        state: &mut impl Lazy<SenderState>,
        output: &mut Output,
    ) -> Result<(), SendError> {
        self.write_compressed_frame(true, kind.opcode(), payload, state, output)?;
        self.count(payload.len(), true);
        Ok(())
    }

    /// Writes the first or next fragment of a message. Returns whether the message is compressed. `compress`, for a
    /// first fragment: whether to compress the message if compression was negotiated.
    pub(crate) fn write_fragment(
        &mut self,
        kind: MessageKind,
        payload: &[u8],
        fin: bool,
        compress: bool,
        state: &mut impl Lazy<SenderState>,
        output: &mut Output,
    ) -> Result<bool, SendError> {
        let in_progress = state.get().and_then(|state| state.fragmented);
        let mut message = in_progress.unwrap_or_else(|| FragmentedMessage {
            kind,
            text: Utf8Stream::default(),
            // If the first fragment is the last, the threshold for messages in one frame applies.
            is_compressed: compress && if fin { self.compresses(payload.len()) } else { self.deflate.is_some() },
        });
        // RFC 6455 §5.4: "The fragments of one message MUST NOT be interleaved between the fragments of another
        // message".
        if message.kind != kind {
            return Err(SendError::MessageInProgress);
        }
        if kind == MessageKind::Text {
            message.text.push(payload).map_err(|_| SendError::InvalidUtf8)?;
            if fin && !message.text.is_complete() {
                return Err(SendError::InvalidUtf8);
            }
        }
        if !fin {
            // Allocates the state before anything is written: there may be no memory for it.
            state.get_or_make()?;
        }
        let opcode = if in_progress.is_some() { Opcode::Continuation } else { kind.opcode() };
        if message.is_compressed {
            self.write_compressed_frame(fin, opcode, payload, state, output)?;
        } else {
            self.write_frame(fin, opcode, payload, state, output);
        }
        self.count(payload.len(), fin);
        if let Some(state) = state.get_mut() {
            state.fragmented = (!fin).then_some(message);
        }
        Ok(message.is_compressed)
    }
}
