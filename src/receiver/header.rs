//! Frame headers, checked against this point of the connection.

use super::checks::Checks;
use super::parser::{FrameParser, PayloadKind, PayloadReader};
use super::receive::Step;
use super::{Receiver, ReceiverState};
use crate::error::{Fault, ProtocolError};
use crate::frame::{FrameHeader, HeaderParser};
use crate::input::Input;
use crate::lazy::Lazy;

impl Receiver {
    /// Reads a header, or more of one.
    pub(super) fn receive_header<'i>(
        &mut self,
        mut header: HeaderParser,
        state: &impl Lazy<ReceiverState>,
        input: &mut Input<'i>,
    ) -> Result<Step<'i>, Fault> {
        let (offset, before) = (self.position.saturating_sub(header.buffered() as u64), input.len());
        let message = state.get().and_then(|state| state.message.as_ref());
        let parsed = header.parse(input, &Checks { receiver: self, message });
        self.position = self.position.saturating_add((before - input.len()) as u64);
        match parsed {
            Ok(Some(parsed)) => {
                self.start_frame(parsed);
                Ok(Step::Next)
            }
            Ok(None) => {
                self.parser = FrameParser::Header(header);
                Ok(Step::NeedsInput)
            }
            Err(kind) => Err(ProtocolError { kind, offset }.into()),
        }
    }

    #[inline]
    fn start_frame(&mut self, header: FrameHeader) {
        let FrameHeader { fin, rsv, opcode, mask, payload_len: remaining } = header;
        let key = mask.unwrap_or_default();
        self.parser = FrameParser::Payload(PayloadReader {
            opcode,
            fin,
            kind: if rsv == 0 { PayloadKind::Plain } else { PayloadKind::Compressed },
            is_masked: self.expects_mask,
            key,
            remaining,
        });
    }
}
