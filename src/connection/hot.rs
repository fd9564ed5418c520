//! The short way in, for most of all traffic: unfragmented messages that begin between messages, and more of one that
//! is gathered. It finds fault with text alone: all else that is unusual it leaves as it is to `receive`, which knows
//! everything.

use alloc::borrow::Cow;

use super::reading::{Frame, Reading};
use super::receive::invalid_utf8;
use super::{Connection, Role};
use crate::event::Event;
use crate::frame::{FIN, MASK, Opcode, header_len};
use crate::input::Input;
use crate::mask::apply_mask;
use crate::message::{Message, MessageKind};
use crate::output::Output;
use crate::utf8;

/// From so many bytes on, a read goes the usual way: gathering them one by one would cost more.
const FEW_BYTES: usize = 16;

impl Connection {
    /// Receives an unfragmented message of at most 65,535 bytes that begins in the input: lent if it is all there,
    /// otherwise begun to be gathered. Leaves everything else as it is, wrong headers too, for
    /// [`receive_any`](Self::receive_any).
    #[inline(always)]
    pub(super) fn receive_whole<'i>(&mut self, input: &mut Input<'i>, output: &mut Output) -> Option<Event<'i>> {
        const TEXT: u8 = FIN | Opcode::Text as u8;
        const BINARY: u8 = FIN | Opcode::Binary as u8;

        let bytes = input.peek();
        let [first @ (TEXT | BINARY), second, ..] = *bytes else { return None };
        let (header, len) = self.read_lengths(second, bytes)?;
        if bytes.len() < header + len {
            self.begin_message(first == TEXT, header, len, input);
            return None;
        }
        let (header, payload) = input.consume(header + len).split_at_mut(header);
        let key = if second & MASK != 0 { *header.last_chunk()? } else { [0; 4] };
        self.position = self.position.wrapping_add((header.len() + len) as u64);
        if first == BINARY {
            if second & MASK != 0 {
                apply_mask(key, payload);
            }
            self.count_received(len, true);
            return Some(Event::Binary(Cow::Borrowed(payload)));
        }
        match utf8::unmask(key, payload) {
            Ok(text) => {
                self.count_received(len, true);
                Some(Event::Text(Cow::Borrowed(text)))
            }
            Err(error) => {
                let start = self.position.saturating_sub(len as u64);
                Some(self.fail(invalid_utf8(start, error.index).into(), input, output))
            }
        }
    }

    /// How long the header and the payload are, if there is nothing unusual about that and it is within the limits.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "part of `receive`")]
    fn read_lengths(&self, second: u8, bytes: &[u8]) -> Option<(usize, usize)> {
        if (second & MASK != 0) != (self.role == Role::Server) {
            return None;
        }
        let header = header_len(second);
        let len = match second & 0x7f {
            len @ 0..=125 => usize::from(len),
            126 => usize::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?)),
            _ => return None,
        };
        let minimal = len > 125 || second & 0x7f < 126;
        if !minimal || len > self.max_message_size || len > self.max_frame_size as usize {
            return None;
        }
        Some((header, len))
    }

    /// Begins to gather a message of which the header, and at least a byte of the payload, is there, but not all.
    #[inline(never)]
    fn begin_message(&mut self, is_text: bool, header: usize, len: usize, input: &mut Input<'_>) {
        if input.len() <= header {
            return;
        }
        // Without memory, this is for the usual way to find out.
        let Ok(mut held) = self.take_held() else { return };
        let opcode = if is_text { Opcode::Text } else { Opcode::Binary };
        let key = match self.role {
            Role::Server => input.peek().get(..header).and_then(<[u8]>::last_chunk).copied().unwrap_or_default(),
            Role::Client => [0; 4],
        };
        self.take(input, header);
        let remaining = len as u64;
        self.reading =
            Reading::Payload(Frame { opcode, fin: true, compressed: false, is_gathered: true, key, remaining });
        held.message = Some(Message::start(MessageKind::of(opcode), false, core::mem::take(&mut held.spare)));
        self.held = Some(held);
        self.busy = true;
    }

    /// What is not a whole message: more of one, or the end of the input, or anything else.
    #[inline(never)]
    pub(super) fn receive_more<'i>(&mut self, input: &mut Input<'i>, output: &mut Output) -> Option<Event<'i>> {
        if let Reading::Payload(Frame { is_gathered: true, .. }) = self.reading {
            if self.receive_few(input) { None } else { self.receive_gathering(input, output) }
        } else if input.is_empty() && !self.busy {
            self.tidy();
            None
        } else {
            self.receive_any(input, output)
        }
    }

    /// More of a message that is gathered, and what follows it if that was its end.
    #[inline(never)]
    fn receive_gathering<'i>(&mut self, input: &mut Input<'i>, output: &mut Output) -> Option<Event<'i>> {
        match self.gather_more(input) {
            Ok(Some(event)) => Some(event),
            // Behind the payload there may be nothing to hold any more: a message may be one to discard.
            Ok(None) if input.is_empty() && matches!(self.reading, Reading::Payload(_)) => None,
            Ok(None) => self.receive_any(input, output),
            Err(error) => Some(self.fail(error, input, output)),
        }
    }

    /// Begins the next fragment of a message that is gathered, if its header is all there and there is nothing unusual
    /// about it.
    #[inline]
    pub(super) fn begin_fragment(&mut self, input: &mut Input<'_>) -> bool {
        const NEXT: u8 = Opcode::Continuation as u8;
        const LAST: u8 = FIN | NEXT;

        let (Reading::Header(_), [first @ (NEXT | LAST), second, ..]) = (&self.reading, input.peek()) else {
            return false;
        };
        let (fin, second) = (*first == LAST, *second);
        let Some((header, len)) = self.read_lengths(second, input.peek()) else { return false };
        let is_allowed = self.message().is_some_and(|message| {
            let room = (self.max_message_size as u64).saturating_sub(message.len());
            message.frames() < self.max_fragments && len as u64 <= room
        });
        if !is_allowed || input.len() < header {
            return false;
        }
        let header = self.take(input, header);
        let key = if second & MASK != 0 { header.last_chunk().copied().unwrap_or_default() } else { [0; 4] };
        let (opcode, remaining) = (Opcode::Continuation, len as u64);
        self.reading = Reading::Payload(Frame { opcode, fin, compressed: false, is_gathered: true, key, remaining });
        true
    }

    /// Takes a few bytes out of the middle of a payload that is gathered, if there is nothing unusual about them. What
    /// it leaves, it leaves as it is.
    #[inline]
    fn receive_few(&mut self, input: &mut Input<'_>) -> bool {
        let Reading::Payload(frame) = &mut self.reading else { return false };
        let bytes = input.peek();
        if bytes.len() >= FEW_BYTES || bytes.len() as u64 >= frame.remaining {
            return false;
        }
        let message = self.held.as_mut().and_then(|held| held.message.as_mut());
        let is_taken = message.is_some_and(|message| message.push_few(frame.key, bytes));
        if is_taken {
            self.position = self.position.wrapping_add(bytes.len() as u64);
            frame.advance(bytes.len());
            input.consume_all();
        }
        is_taken
    }
}

#[cfg(test)]
mod tests;
