//! Frames: the header, and the mask of a client's payload. The control frames.

use super::{Sender, SenderState};
use crate::close_code::CloseCode;
use crate::frame::{EncodedHeader, FrameHeader, Opcode};
use crate::lazy::Lazy;
use crate::mask::MaskKeys;
use crate::output::Output;

/// The longest payload of a control frame. RFC 6455 §5.5: "All control frames MUST have a payload length of 125 bytes
/// or less".
pub(crate) const MAX_CONTROL_LEN: usize = 125;

impl Sender {
    pub(crate) fn write_ping(&mut self, payload: &[u8], state: &mut impl Lazy<SenderState>, output: &mut Output) {
        self.write_frame(true, Opcode::Ping, payload, state, output);
        self.pings = self.pings.saturating_add(1);
    }

    /// A pong that answers no ping (RFC 6455 §5.5.3).
    pub(crate) fn write_unsolicited_pong(
        &mut self,
        payload: &[u8],
        state: &mut impl Lazy<SenderState>,
        output: &mut Output,
    ) {
        self.write_frame(true, Opcode::Pong, payload, state, output);
    }

    /// Answers a ping. If more than `budget` bytes of pongs wait, the pong replaces the last one where it can.
    pub(crate) fn write_pong(
        &mut self,
        payload: &[u8],
        budget: usize,
        state: &mut impl Lazy<SenderState>,
        output: &mut Output,
    ) {
        let (header, key) = header(true, 0, Opcode::Pong, payload.len(), state);
        let replaced = output.write_pong(&header, key, payload, budget);
        let len = header.as_ref().len() + payload.len();
        self.wire_bytes = self.wire_bytes.wrapping_add(len as u64).wrapping_sub(replaced as u64);
    }

    /// A Close frame. RFC 6455 §5.5.1: "If there is a body, the first two bytes of the body MUST be a 2-byte unsigned
    /// integer (in network byte order) representing a status code". `reason`: at most 123 bytes, empty without a code.
    pub(crate) fn write_close(
        &mut self,
        code: Option<CloseCode>,
        reason: &str,
        state: &mut impl Lazy<SenderState>,
        output: &mut Output,
    ) {
        let mut payload = [0; MAX_CONTROL_LEN];
        let mut len = 0;
        let code = code.map(|code| code.get().to_be_bytes());
        for (place, byte) in payload.iter_mut().zip(code.iter().flatten().chain(reason.as_bytes())) {
            *place = *byte;
            len += 1;
        }
        self.write_frame(true, Opcode::Close, payload.get(..len).unwrap_or_default(), state, output);
    }

    /// RFC 6455 §5.1: "a client MUST mask all frames that it sends to the server"; "A server MUST NOT mask any frames
    /// that it sends to the client."
    #[inline]
    pub(super) fn write_frame(
        &mut self,
        fin: bool,
        opcode: Opcode,
        payload: &[u8],
        state: &mut impl Lazy<SenderState>,
        output: &mut Output,
    ) {
        let len = match keys(state) {
            None => {
                let header = FrameHeader { fin, rsv: 0, opcode, mask: None, payload_len: payload.len() as u64 };
                output.write_frame(&header.encode(), None, payload)
            }
            Some(keys) => write_masked_frame(fin, opcode, payload, keys, output),
        };
        self.count_wire(len);
    }

    #[inline]
    pub(super) fn count_wire(&mut self, bytes: usize) {
        self.wire_bytes = self.wire_bytes.wrapping_add(bytes as u64);
    }
}

/// Apart, so that a server's way is short enough to become part of its caller. Returns the frame's length.
#[inline(never)]
fn write_masked_frame(fin: bool, opcode: Opcode, payload: &[u8], keys: &mut MaskKeys, output: &mut Output) -> usize {
    let key = keys.key();
    let header = FrameHeader { fin, rsv: 0, opcode, mask: Some(key), payload_len: payload.len() as u64 };
    output.write_frame(&header.encode(), Some(key), payload)
}

/// The header of the next frame, and its mask key.
#[inline]
pub(super) fn header(
    fin: bool,
    rsv: u8,
    opcode: Opcode,
    len: usize,
    state: &mut impl Lazy<SenderState>,
) -> (EncodedHeader, Option<[u8; 4]>) {
    let mask = keys(state).map(MaskKeys::key);
    (FrameHeader { fin, rsv, opcode, mask, payload_len: len as u64 }.encode(), mask)
}

/// The mask keys of a client. `None` for a server.
#[inline]
pub(super) fn keys<S: Lazy<SenderState>>(state: &mut S) -> Option<&mut MaskKeys> {
    state.get_mut()?.keys.as_mut()
}
