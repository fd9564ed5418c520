//! Data frames: a message is lent from the input if it lies there in one frame, and reassembled otherwise.

use alloc::borrow::Cow;

use super::assembler::{MessageAssembler, Payload};
use super::parser::{FrameParser, PayloadKind, PayloadReader};
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
        if frame.kind == PayloadKind::InvalidText {
            return Err(invalid_utf8(self.position.saturating_sub(frame.remaining), 0).into());
        }
        let message = state.get().and_then(|state| state.message.as_ref());
        let most = if self.part_size == 0 { u64::MAX } else { self.part_size.into() };
        let is_available = frame.remaining <= most.min(input.len() as u64);
        if is_available && frame.fin && !frame.is_compressed() && message.is_none() {
            return self.lend_message(frame, state, input);
        }
        let is_compressed = frame.is_compressed() || message.is_some_and(MessageAssembler::is_compressed);
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
        self.parser = FrameParser::Payload(PayloadReader { kind: PayloadKind::Reassembled, ..frame });
        let message = self.continue_message(state, input)?;
        Ok(message.map_or(Step::Next, |message| Step::Received(Received::Message(message))))
    }

    /// Reads more of a message that is reassembled, and of its next fragments. Returns the message once it is complete.
    pub(crate) fn continue_message<'i>(
        &mut self,
        state: &mut impl Lazy<ReceiverState>,
        input: &mut Input<'i>,
    ) -> Result<Option<Event<'i>>, Fault> {
        loop {
            let message = self.append_payload(state, input)?;
            if message.is_some() || !self.begin_fragment(state, input) {
                return Ok(message);
            }
        }
    }

    /// Appends the available part of the payload to the message.
    #[inline]
    fn append_payload<'i>(
        &mut self,
        state: &mut impl Lazy<ReceiverState>,
        input: &mut Input<'i>,
    ) -> Result<Option<Event<'i>>, Fault> {
        let limit = self.message_limit();
        let FrameParser::Payload(frame) = &mut self.parser else { return Ok(None) };
        let Some(state) = state.get_mut() else { return Ok(None) };
        let Some(message) = &mut state.message else { return Ok(None) };
        let (start, key) = (self.position, frame.key);
        let bytes = input.consume(frame.remaining_len());
        self.position = start.wrapping_add(bytes.len() as u64);
        frame.advance(bytes.len());
        let announced = |message: &MessageAssembler| {
            let room = limit.saturating_sub(message.len()).saturating_sub(bytes.len() as u64);
            if frame.fin { frame.remaining } else { room }
        };
        message.push(key, bytes, announced).map_err(|fault| fault.map(|error| invalid_utf8(start, error.index)))?;
        if frame.remaining > 0 {
            return Ok(None);
        }
        let ends_message = frame.fin;
        self.parser = FrameParser::default();
        message.count_frame();
        if !ends_message {
            return Ok(None);
        }
        if !message.is_complete() {
            return Err(invalid_utf8(self.position, 0).into());
        }
        let payload = message.take()?;
        state.message = None;
        self.count(payload.len(), true);
        Ok(Some(payload.into_message()))
    }

    /// Begins the next fragment of the message, if its header is complete and nothing about it needs the full parser.
    #[inline]
    pub(super) fn begin_fragment(&mut self, state: &impl Lazy<ReceiverState>, input: &mut Input<'_>) -> bool {
        const NEXT: u8 = Opcode::Continuation as u8;
        const LAST: u8 = FIN | NEXT;

        let (FrameParser::Header(_), [first @ (NEXT | LAST), second, ..]) = (&self.parser, input.peek()) else {
            return false;
        };
        let (fin, second) = (*first == LAST, *second);
        let Some((header, len)) = self.fast_lengths(second, input.peek()) else { return false };
        if !self.fits_next(len, state) || input.len() < header {
            return false;
        }
        let header = input.consume(header);
        self.position = self.position.saturating_add(header.len() as u64);
        let key = if second & MASK != 0 { header.last_chunk().copied().unwrap_or_default() } else { [0; 4] };
        self.parser = FrameParser::Payload(PayloadReader {
            opcode: Opcode::Continuation,
            fin,
            kind: PayloadKind::Reassembled,
            is_masked: self.expects_mask,
            key,
            remaining: len as u64,
        });
        true
    }
}
