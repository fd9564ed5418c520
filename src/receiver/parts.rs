//! Messages in parts (`Config::part_size`): uncompressed parts are lent from the input, compressed ones are owned.

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

/// The delivery of a message in parts.
#[derive(Debug, Default)]
pub(super) struct PartStream {
    /// The fault after the part that was delivered last.
    fault: Option<Fault>,
}

impl PartStream {
    /// The event for the next part; `None` if it is empty and not the last. A fault after it is reported next.
    fn deliver<'i>(
        &mut self,
        payload: Payload<'i>,
        first: bool,
        last: bool,
        read: Result<(), Fault>,
    ) -> Result<Option<Event<'i>>, Fault> {
        if payload.len() == 0 && !last {
            return read.map(|()| None);
        }
        self.fault = read.err();
        Ok(Some(payload.into_part(first, last)))
    }
}

impl ReceiverState {
    /// Whether more can be decompressed before anything else is read.
    fn has_more(&self) -> bool {
        self.decompressor.as_ref().is_some_and(|decompressor| decompressor.is_full())
    }
}

impl Receiver {
    /// Reads a part of a message, at most as long as a part may be.
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
        if frame.remaining > 0 && input.is_empty() && !state.has_more() {
            return Ok(Step::NeedsInput);
        }
        let message = state.message.get_or_insert_with(|| {
            MessageAssembler::new(MessageKind::of(frame.opcode), frame.is_compressed(), Vec::new())
        });
        let first = !message.has_delivered();
        let (payload, mut read) = if is_compressed {
            let inflated = self.inflate_frame(&mut frame, state, input, shared);
            (None, inflated.map(drop))
        } else {
            let (payload, read) = self.lend_part(&mut frame, message, input)?;
            (Some(payload), read)
        };
        let has_more = state.has_more();
        let Some(message) = &mut state.message else { return Ok(Step::NeedsInput) };
        let ends_frame = read.is_ok() && frame.remaining == 0 && !has_more;
        if ends_frame && frame.fin && !message.is_complete() {
            let offset = if is_compressed { message.frame_start(self.position) } else { self.position };
            read = Err(invalid_utf8(offset, 0).into());
        }
        let is_read = ends_frame && read.is_ok();
        self.parser = if is_read { FrameParser::default() } else { FrameParser::Payload(frame) };
        let last = is_read && frame.fin;
        let payload = match payload {
            Some(payload) => payload,
            None => message.take()?,
        };
        if ends_frame {
            message.count_frame();
        }
        self.count(payload.len(), last);
        let part = state.parts.deliver(payload, first, last, read)?;
        if last {
            (state.message, state.parts) = (None, PartStream::default());
        }
        Ok(part.map_or(Step::Next, |part| Step::Received(Received::Message(part))))
    }

    /// Takes the available part of the payload where it lies, as far as it is text.
    fn lend_part<'i>(
        &mut self,
        frame: &mut PayloadReader,
        message: &mut MessageAssembler,
        input: &mut Input<'i>,
    ) -> Result<(Payload<'i>, Result<(), Fault>), OutOfMemory> {
        let start = self.position;
        // A character that was begun is a part of its own, so that the text after it can be lent.
        let lacking = message.lacking();
        let most = if lacking > 0 { lacking } else { self.part_size as usize };
        let bytes = self.consume_payload(frame, most, input);
        let (payload, checked) = if lacking > 0 {
            let checked = message.push([0; 4], bytes, |_| 0);
            (message.take()?, checked)
        } else {
            message.lend(bytes)
        };
        Ok((payload, checked.map_err(|fault| fault.map(|error| invalid_utf8(start, error.index)))))
    }

    /// Text in one frame with a fault: in parts, the text before the fault is delivered.
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
