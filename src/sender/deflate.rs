//! Compressed messages (RFC 7692 §6.1, §7.2.1): compressed by the connection's compressor, or by one that connections
//! share in their output.

use alloc::boxed::Box;

use super::frames::header;
use super::{Sender, SenderState};
use crate::deflate::{AgreedParameters, Codecs, Compressor, try_box};
use crate::error::{OutOfMemory, SendError};
use crate::frame::{Opcode, RSV1};
use crate::lazy::Lazy;
use crate::output::Output;

impl Sender {
    /// RFC 7692 §6.1: compress, then frame; RSV1 on the first frame alone.
    ///
    /// # Errors
    /// Without memory. Nothing is written then; the next fragment or message refers to no earlier one.
    #[inline(never)]
    pub(super) fn write_compressed_frame(
        &mut self,
        fin: bool,
        opcode: Opcode,
        payload: &[u8],
        state: &mut impl Lazy<SenderState>,
        output: &mut Output,
    ) -> Result<(), SendError> {
        let agreed = self.deflate.ok_or(OutOfMemory)?;
        let mut compressor = Self::take_compressor(agreed, state, output)?;
        let written = write_frame_with(&mut compressor, fin, opcode, payload, state, output);
        // After a failure, too: no message may refer to one that the peer does not get, or to another connection's.
        if written.is_err() || fin && !agreed.own_takeover() {
            compressor.reset();
        }
        if agreed.is_shared() && (fin || written.is_err()) {
            if let Ok(shared) = Codecs::shared(output.codecs()) {
                shared.compressor = Some(compressor);
            }
        } else if let Some(state) = state.get_mut() {
            state.compressor = Some(compressor);
        }
        self.count_wire(written?);
        Ok(())
    }

    /// The connection's compressor, or the shared one; made now if there is none for the agreed parameters.
    fn take_compressor(
        agreed: AgreedParameters,
        state: &mut impl Lazy<SenderState>,
        output: &mut Output,
    ) -> Result<Box<Compressor>, OutOfMemory> {
        let mut kept = state.get_or_make()?.compressor.take();
        if agreed.is_shared() && kept.is_none() {
            kept = Codecs::shared(output.codecs())?.compressor.take();
        }
        match kept.filter(|compressor| compressor.serves(agreed)) {
            Some(compressor) => Ok(compressor),
            None => try_box(Compressor::new(agreed)?),
        }
    }

    /// Makes the next compressed message refer to no earlier one.
    pub(super) fn reset_compressor(state: &mut impl Lazy<SenderState>) {
        if let Some(compressor) = state.get_mut().and_then(|state| state.compressor.as_mut()) {
            compressor.reset();
        }
    }
}

/// Writes a frame with a compressed payload. Returns its length.
fn write_frame_with(
    compressor: &mut Compressor,
    fin: bool,
    opcode: Opcode,
    payload: &[u8],
    state: &mut impl Lazy<SenderState>,
    output: &mut Output,
) -> Result<usize, OutOfMemory> {
    let rsv = if opcode == Opcode::Continuation { 0 } else { RSV1 >> 4 };
    output.write_frame_with(
        Compressor::most(payload.len()),
        |out| compressor.compress(payload, fin, out),
        |len| header(fin, rsv, opcode, len, state),
    )
}
