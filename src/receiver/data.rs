//! Data frames: a message is lent from the input if it lies there in one frame, and reassembled otherwise.

use alloc::borrow::Cow;

use super::assembler::{MessageAssembler, Payload};
use super::parser::{FrameParser, PayloadReader};
use super::receive::Step;
use super::{Received, Receiver, ReceiverState, invalid_utf8};
use crate::deflate::SharedCodecs;
use crate::error::Fault;
use crate::event::Event;
use crate::frame::{FIN, MASK, Opcode};
use crate::input::Input;
use crate::lazy::Lazy;
use crate::message::MessageKind;
use crate::utf8;

impl Receiver {
    /// Reads the available part of a data frame's payload.
    pub(super) fn receive_data<'i>(
        &mut self,
        frame: PayloadReader,
        state: &mut impl Lazy<ReceiverState>,
        input: &mut Input<'i>,
        shared: &mut SharedCodecs,
    ) -> Result<Step<'i>, Fault> {
        if frame.is_invalid_text {
            return Err(invalid_utf8(self.position.saturating_sub(frame.remaining), 0).into());
        }
        let message = state.get().and_then(|state| state.message.as_ref());
        let most = if self.part_size == 0 { u64::MAX } else { self.part_size.into() };
        let is_available = frame.remaining <= most.min(input.len() as u64);
        if is_available && frame.fin && !frame.is_compressed && message.is_none() {
            return self.lend_message(frame, state, input);
        }
        let is_compressed = frame.is_compressed || message.is_some_and(MessageAssembler::is_compressed);
        if self.part_size > 0 {
            self.receive_part(frame, is_compressed, state.get_or_make()?, input, shared)
        } else if is_compressed {
            self.receive_compressed(frame, state.get_or_make()?, input, shared)
        } else {
            self.reassemble(frame, state, input)
        }
    }

    /// A message in one frame that lies in the input: lent, not copied.
    fn lend_message<'i>(
        &mut self,
        mut frame: PayloadReader,
        state: &mut impl Lazy<ReceiverState>,
        input: &mut Input<'i>,
    ) -> Result<Step<'i>, Fault> {
        let start = self.position;
        let bytes = self.consume_payload(&mut frame, usize::MAX, input);
        self.parser = FrameParser::default();
        let payload = if frame.opcode == Opcode::Text {
            let (text, checked) = utf8::check_prefix(bytes);
            if let Err(error) = checked.map_err(|error| invalid_utf8(start, error.index)) {
                return self.receive_invalid_text(frame, text, error, state);
            }
            Payload::Text(Cow::Borrowed(text))
        } else {
            Payload::Binary(Cow::Borrowed(bytes))
        };
        self.count(payload.len(), true);
        let message = if self.part_size == 0 { payload.into_message() } else { payload.into_part(true, true) };
        Ok(Step::Received(Received::Message(message)))
    }

    /// An uncompressed message that is delivered whole, of which this read brings a part.
    #[inline(never)]
    fn reassemble<'i>(
        &mut self,
        frame: PayloadReader,
        state: &mut impl Lazy<ReceiverState>,
        input: &mut Input<'i>,
    ) -> Result<Step<'i>, Fault> {
        if frame.remaining > 0 && input.is_empty() {
            return Ok(Step::NeedsInput);
        }
        let made = state.get_or_make()?;
        if made.message.is_none() {
            let spare = core::mem::take(&mut made.spare);
            made.message = Some(MessageAssembler::new(MessageKind::of(frame.opcode), false, spare));
        }
        self.parser = FrameParser::Payload(frame);
        self.is_reassembling = true;
        if !self.continue_message(state, input)? {
            return Ok(Step::Next);
        }
        Ok(Step::Received(Received::Message(self.finish_message(state)?)))
    }

    /// Reads more of a message that is reassembled, and of its next fragments. Returns whether the message is complete:
    /// then [`finish_message`](Self::finish_message) returns it.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "large messages spend their time here")]
    pub(crate) fn continue_message(
        &mut self,
        state: &mut impl Lazy<ReceiverState>,
        input: &mut Input<'_>,
    ) -> Result<bool, Fault> {
        let FrameParser::Payload(mut frame) = self.parser else { return Ok(false) };
        loop {
            let Some(message) = state.get_mut().and_then(|state| state.message.as_mut()) else { return Ok(false) };
            self.append_payload(&mut frame, message, input)?;
            if frame.remaining > 0 {
                self.parser = FrameParser::Payload(frame);
                return Ok(false);
            }
            message.count_frame();
            if frame.fin {
                self.end_frame();
                return Ok(true);
            }
            let Some(next) = self.begin_fragment(state, input) else {
                self.end_frame();
                return Ok(false);
            };
            frame = next;
        }
    }

    /// Appends the available part of the payload to the message.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "part of `continue_message`")]
    fn append_payload(
        &mut self,
        frame: &mut PayloadReader,
        message: &mut MessageAssembler,
        input: &mut Input<'_>,
    ) -> Result<(), Fault> {
        let limit = self.message_limit();
        let (start, key) = (self.position, frame.key);
        let bytes = input.consume(frame.remaining_len());
        self.position = start.wrapping_add(bytes.len() as u64);
        frame.advance(bytes.len());
        let announced = |message: &MessageAssembler| {
            let room = limit.saturating_sub(message.len()).saturating_sub(bytes.len() as u64);
            if frame.fin { frame.remaining } else { room }
        };
        message.push(key, bytes, announced).map_err(|fault| fault.map(|error| invalid_utf8(start, error.index)))
    }

    /// The message whose last frame ends here.
    #[inline]
    pub(crate) fn finish_message(&mut self, state: &mut impl Lazy<ReceiverState>) -> Result<Event<'static>, Fault> {
        self.take_whole_message(state.get_or_make()?, self.position)
    }

    /// Begins the next fragment of the message, if its header is complete and nothing about it needs the full parser.
    #[inline(always)]
    pub(super) fn begin_fragment(
        &mut self,
        state: &impl Lazy<ReceiverState>,
        input: &mut Input<'_>,
    ) -> Option<PayloadReader> {
        const NEXT: u8 = Opcode::Continuation as u8;
        const LAST: u8 = FIN | NEXT;

        let [first @ (NEXT | LAST), second, ..] = *input.peek() else { return None };
        let (header, len) = self.fast_lengths(second, input.peek())?;
        if !self.fits_next(len, state) || input.len() < header {
            return None;
        }
        let header = input.consume(header);
        self.position = self.position.saturating_add(header.len() as u64);
        let key = if second & MASK != 0 { *header.last_chunk()? } else { [0; 4] };
        Some(PayloadReader {
            opcode: Opcode::Continuation,
            fin: first == LAST,
            is_compressed: false,
            is_invalid_text: false,
            key,
            remaining: len as u64,
        })
    }
}
