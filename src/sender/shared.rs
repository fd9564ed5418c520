//! Payloads by reference: the caller's `Bytes`, and prepared frames. A server sends both as they are; a client masks
//! what it sends, so it copies.

use bytes::Bytes;

use super::frames::{header, keys};
use super::{PreparedMessage, Sender, SenderState};
use crate::error::SendError;
use crate::lazy::Lazy;
use crate::message::MessageKind;
use crate::output::{Output, REFERENCE_MIN};

/// Frames up to this length are copied: a reference would take as much memory.
const MAX_COPIED: usize = 64;

impl Sender {
    /// Writes an uncompressed message: by reference if it is long and not masked.
    pub(crate) fn write_bytes(
        &mut self,
        kind: MessageKind,
        payload: Bytes,
        state: &mut impl Lazy<SenderState>,
        output: &mut Output,
    ) {
        if keys(state).is_some() || payload.len() < REFERENCE_MIN {
            return self.write_message(kind, &payload, state, output);
        }
        let (header, _) = header(true, 0, kind.opcode(), payload.len(), state);
        let len = payload.len();
        output.write_shared_frame(header.as_ref(), payload);
        self.count_wire(header.as_ref().len() + len);
        self.count(len, true);
    }

    /// Writes a prepared message.
    pub(crate) fn write_prepared(
        &mut self,
        message: &PreparedMessage,
        compress: bool,
        state: &mut impl Lazy<SenderState>,
        output: &mut Output,
    ) -> Result<(), SendError> {
        if keys(state).is_some() {
            let (kind, payload) = (message.kind(), message.payload());
            if compress {
                return self.write_compressed_message(kind, payload, state, output);
            }
            self.write_message(kind, payload, state, output);
            return Ok(());
        }
        let frame = match self.deflate.filter(|_| compress) {
            None => message.frame(),
            Some(agreed) => {
                let frame = message.compressed_frame(agreed)?;
                // RFC 7692 §7.2.3.2: with context takeover a message may refer to "the LZ77 sliding window" of earlier
                // ones. This message moves the peer's window, but not that of the compressor.
                Self::reset_compressor(state);
                frame
            }
        };
        self.count_wire(frame.len());
        if frame.len() > MAX_COPIED {
            output.write_shared_frame(&[], frame);
        } else {
            output.write(&frame);
        }
        self.count(message.payload().len(), true);
        Ok(())
    }
}
