//! Delivers messages in parts (`Config::part_size`). Uncompressed parts borrow from the input; compressed ones are
//! owned.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use super::assembler::{MessageAssembler, Payload};
use super::parser::{FrameParser, PayloadReader};
use super::receive::Step;
use super::{Received, Receiver, ReceiverState, invalid_utf8};
use crate::deflate::SharedCodecs;
use crate::error::{Fault, OutOfMemory, ProtocolError};
use crate::event::Event;
use crate::input::Input;
use crate::lazy::Lazy;
use crate::message::MessageKind;

/// The state of a message that is delivered in parts.
#[derive(Debug, Default)]
pub(super) struct PartStream {
    /// The fault that follows the last delivered part.
    fault: Option<Fault>,
}

impl PartStream {
    /// Returns the event for a part, or `None` if the part is empty and not the last. If `checked` is a fault after the
    /// part, keeps it: the next call of [`receive_part`](Receiver::receive_part) reports it.
    fn deliver<'i>(
        &mut self,
        payload: Payload<'i>,
        first: bool,
        last: bool,
        checked: Result<(), Fault>,
    ) -> Result<Option<Event<'i>>, Fault> {
        if payload.len() == 0 && !last {
            return checked.map(|()| None);
        }
        self.fault = checked.err();
        Ok(Some(payload.into_part(first, last)))
    }
}

impl ReceiverState {
    /// Whether the decompressor may have more output before it needs more input.
    fn has_more_output(&self) -> bool {
        self.decompressor.as_ref().is_some_and(|decompressor| decompressor.is_full())
    }
}

impl Receiver {
    /// Reads the next part of a message: the available payload of one frame, at most `Config::part_size` bytes.
    pub(super) fn receive_part<'i>(
        &mut self,
        mut frame: PayloadReader,
        is_compressed: bool,
        state: &mut ReceiverState,
        input: &mut Input<'i>,
        shared: &mut SharedCodecs,
    ) -> Result<Step<'i>, Fault> {
        if let Some(fault) = state.parts.fault {
            return Err(fault);
        }
        if frame.remaining > 0 && input.is_empty() && !state.has_more_output() {
            return Ok(Step::NeedsInput);
        }
        let message = state.message.get_or_insert_with(|| {
            MessageAssembler::new(MessageKind::of(frame.opcode), frame.is_compressed, Vec::new())
        });
        let first = !message.has_delivered();
        let (payload, mut checked) = if is_compressed {
            (None, self.inflate_frame(&mut frame, state, input, shared))
        } else {
            let (payload, checked) = self.lend_part(&mut frame, message, input)?;
            (Some(payload), checked)
        };
        let has_more_output = state.has_more_output();
        let Some(message) = &mut state.message else { return Ok(Step::NeedsInput) };
        let ends_frame = checked.is_ok() && frame.remaining == 0 && !has_more_output;
        if ends_frame && frame.fin && !message.is_complete() {
            let offset = if is_compressed { message.frame_start(self.position) } else { self.position };
            checked = Err(invalid_utf8(offset, 0).into());
        }
        let is_valid = ends_frame && checked.is_ok();
        self.parser = if is_valid { FrameParser::default() } else { FrameParser::Payload(frame) };
        let last = is_valid && frame.fin;
        let payload = match payload {
            Some(payload) => payload,
            None => message.take()?,
        };
        if ends_frame {
            message.count_frame();
        }
        self.count(payload.len(), last);
        let part = state.parts.deliver(payload, first, last, checked)?;
        if last {
            (state.message, state.parts) = (None, PartStream::default());
        }
        Ok(part.map_or(Step::Next, |part| Step::Received(Received::Message(part))))
    }

    /// Consumes the next part of a payload and lends it from the input. Text is lent up to the first fault.
    fn lend_part<'i>(
        &mut self,
        frame: &mut PayloadReader,
        message: &mut MessageAssembler,
        input: &mut Input<'i>,
    ) -> Result<(Payload<'i>, Result<(), Fault>), OutOfMemory> {
        let start = self.position;
        // An incomplete character becomes a part of its own, so that the text after it can be lent.
        let lacking = message.lacking();
        let max_len = if lacking > 0 { lacking } else { self.part_size as usize };
        let bytes = self.consume_payload(frame, max_len, input);
        let (payload, checked) = if lacking > 0 {
            let checked = message.push([0; 4], bytes, |_| 0);
            (message.take()?, checked)
        } else {
            message.lend(bytes)
        };
        Ok((payload, checked.map_err(|fault| fault.map(|error| invalid_utf8(start, error.index)))))
    }

    /// Reports a text message in one frame that is not UTF-8. If messages are delivered in parts, first delivers the
    /// text before the fault.
    #[cold]
    pub(super) fn receive_invalid_text<'i>(
        &mut self,
        frame: PayloadReader,
        text: &'i str,
        error: ProtocolError,
        state: &mut impl Lazy<ReceiverState>,
    ) -> Result<Step<'i>, Fault> {
        if self.part_size == 0 {
            return Err(error.into());
        }
        let state = state.get_or_make()?;
        let part = state.parts.deliver(Payload::Text(Cow::Borrowed(text)), true, false, Err(error.into()))?;
        self.count(text.len(), false);
        state.message = Some(MessageAssembler::new(MessageKind::Text, false, Vec::new()));
        self.parser = FrameParser::Payload(frame);
        Ok(part.map_or(Step::Next, |part| Step::Received(Received::Message(part))))
    }
}
