//! Control frames (RFC 6455 §5.5). A message that they interrupt is not touched.

use alloc::borrow::Cow;

use super::parser::{FrameParser, PayloadReader};
use super::receive::Step;
use super::{Received, Receiver, ReceiverState};
use crate::error::OutOfMemory;
use crate::frame::Opcode;
use crate::input::Input;
use crate::lazy::Lazy;

impl Receiver {
    /// Reads the payload of a control frame, or more of it.
    pub(super) fn receive_control<'i>(
        &mut self,
        mut frame: PayloadReader,
        state: &mut impl Lazy<ReceiverState>,
        input: &mut Input<'i>,
    ) -> Result<Step<'i>, OutOfMemory> {
        if frame.remaining > 0 && input.is_empty() {
            return Ok(Step::NeedsInput);
        }
        let bytes = self.consume_payload(&mut frame, usize::MAX, input);
        let is_cut = state.get().is_some_and(|state| !state.control.is_empty());
        let payload = if frame.remaining > 0 || is_cut {
            let buffer = &mut state.get_or_make()?.control;
            buffer.extend_from_slice(bytes);
            if frame.remaining > 0 {
                self.parser = FrameParser::Payload(frame);
                return Ok(Step::NeedsInput);
            }
            Cow::Owned(core::mem::take(buffer))
        } else {
            Cow::Borrowed(&*bytes)
        };
        self.parser = FrameParser::default();
        let received = match frame.opcode {
            Opcode::Close => Received::Close(payload),
            Opcode::Ping => {
                self.pings = self.pings.saturating_add(1);
                Received::Ping(payload)
            }
            _ => Received::Pong(payload),
        };
        Ok(Step::Received(received))
    }

    /// Consumes and unmasks the available part of the payload, up to `most` bytes.
    pub(super) fn consume_payload<'i>(
        &mut self,
        frame: &mut PayloadReader,
        most: usize,
        input: &mut Input<'i>,
    ) -> &'i mut [u8] {
        let bytes = input.consume(frame.remaining_len().min(most));
        self.position = self.position.saturating_add(bytes.len() as u64);
        frame.unmask(0, bytes);
        frame.advance(bytes.len());
        bytes
    }
}
