//! Fast path: complete, unfragmented, uncompressed messages, and more bytes of one being reassembled. Leaves everything
//! else unread for the full parser.

use alloc::borrow::Cow;

use super::assembler::MessageAssembler;
use super::parser::{FrameParser, PayloadReader};
use super::{Receiver, ReceiverState};
use crate::event::Event;
use crate::frame::{FIN, MASK, Opcode};
use crate::input::Input;
use crate::lazy::Lazy;
use crate::mask::apply_mask;
use crate::message::MessageKind;
use crate::utf8;

/// Reads from this length on are not short: appending them byte by byte would cost more.
const SHORT_READ: usize = 16;

impl Receiver {
    /// Receives an unfragmented message of at most 65,535 bytes that starts in the input: lent if it is complete,
    /// otherwise reassembled. Leaves everything else, wrong headers too, unread; leaves invalid text for the full
    /// parser to report.
    ///
    /// Only while [`is_at_message_start`](Self::is_at_message_start).
    #[inline(always)]
    pub(crate) fn take_message<'i>(
        &mut self,
        state: &mut impl Lazy<ReceiverState>,
        input: &mut Input<'i>,
    ) -> Option<Event<'i>> {
        const TEXT: u8 = FIN | Opcode::Text as u8;
        const BINARY: u8 = FIN | Opcode::Binary as u8;

        let bytes = input.peek();
        let [first @ (TEXT | BINARY), second, ..] = *bytes else { return None };
        let (header, len) = self.fast_lengths(second, bytes)?;
        if bytes.len() < header + len {
            self.begin_message(first == TEXT, header, len, state, input);
            return None;
        }
        let (header, payload) = input.consume(header + len).split_at_mut(header);
        let key = if second & MASK != 0 { *header.last_chunk()? } else { [0; 4] };
        self.position = self.position.wrapping_add((header.len() + len) as u64);
        if first == BINARY {
            if second & MASK != 0 {
                apply_mask(key, payload);
            }
            self.count(len, true);
            return Some(Event::Binary(Cow::Borrowed(payload)));
        }
        match utf8::unmask(key, payload) {
            Ok(text) => {
                self.count(len, true);
                Some(Event::Text(Cow::Borrowed(text)))
            }
            Err(error) => {
                self.parser = FrameParser::Payload(PayloadReader {
                    opcode: Opcode::Text,
                    fin: true,
                    is_compressed: false,
                    is_invalid_text: true,
                    key,
                    remaining: (len - error.index) as u64,
                });
                None
            }
        }
    }

    /// Begins a message of which the header and at least a byte of the payload are there, but not all.
    #[inline(never)]
    fn begin_message(
        &mut self,
        is_text: bool,
        header: usize,
        len: usize,
        state: &mut impl Lazy<ReceiverState>,
        input: &mut Input<'_>,
    ) {
        if input.len() <= header {
            return;
        }
        // Without memory, the full parser reports that there is none.
        let Ok(state) = state.get_or_make() else { return };
        let opcode = if is_text { Opcode::Text } else { Opcode::Binary };
        state.message = Some(MessageAssembler::new(MessageKind::of(opcode), false, core::mem::take(&mut state.spare)));
        let header = input.consume(header);
        self.position = self.position.saturating_add(header.len() as u64);
        let key = if self.expects_mask { header.last_chunk().copied().unwrap_or_default() } else { [0; 4] };
        self.parser = FrameParser::Payload(PayloadReader {
            opcode,
            fin: true,
            is_compressed: false,
            is_invalid_text: false,
            key,
            remaining: len as u64,
        });
        self.is_reassembling = true;
    }

    /// Whether the next byte is in the payload of a message that is reassembled.
    #[inline]
    pub(crate) fn is_reassembling(&self) -> bool {
        self.is_reassembling
    }

    /// Appends a read of one byte from within the payload of a message that is reassembled, if it is binary, or ASCII
    /// between characters. Otherwise leaves it unread and returns false.
    #[inline]
    pub(crate) fn append_plain_byte(&mut self, state: &mut impl Lazy<ReceiverState>, input: &mut Input<'_>) -> bool {
        self.append_byte_by(MessageAssembler::push_plain_byte, state, input)
    }

    /// Appends a read of one byte from within the payload of a message that is reassembled, if it is no fault.
    /// Otherwise leaves it unread and returns false.
    #[inline]
    pub(crate) fn append_byte(&mut self, state: &mut impl Lazy<ReceiverState>, input: &mut Input<'_>) -> bool {
        self.append_byte_by(MessageAssembler::push_byte, state, input)
    }

    #[inline]
    fn append_byte_by(
        &mut self,
        push: impl FnOnce(&mut MessageAssembler, u8) -> bool,
        state: &mut impl Lazy<ReceiverState>,
        input: &mut Input<'_>,
    ) -> bool {
        let (FrameParser::Payload(frame), [byte]) = (&mut self.parser, input.peek()) else { return false };
        let message = state.get_mut().and_then(|state| state.message.as_mut());
        let [key, ..] = frame.key;
        let is_appended = frame.remaining > 1 && message.is_some_and(|message| push(message, byte ^ key));
        if is_appended {
            self.position = self.position.wrapping_add(1);
            frame.advance(1);
            input.consume_all();
        }
        is_appended
    }

    /// Appends a short read from within the payload of a message that is reassembled, if nothing about it needs a
    /// further look. Otherwise leaves it unread and returns false.
    #[inline]
    pub(crate) fn append_short_read(&mut self, state: &mut impl Lazy<ReceiverState>, input: &mut Input<'_>) -> bool {
        let FrameParser::Payload(frame) = &mut self.parser else { return false };
        let bytes = input.peek();
        // Without bytes, the stream may have ended.
        let is_short = (1..SHORT_READ).contains(&bytes.len());
        if !is_short || bytes.len() as u64 >= frame.remaining {
            return false;
        }
        let message = state.get_mut().and_then(|state| state.message.as_mut());
        let is_appended = message.is_some_and(|message| message.push_short(frame.key, bytes));
        if is_appended {
            self.position = self.position.wrapping_add(bytes.len() as u64);
            frame.advance(bytes.len());
            input.consume_all();
        }
        is_appended
    }
}
