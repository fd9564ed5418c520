//! [`MessageAssembler`]: reassembles a message from what each read brings. Its memory grows with the bytes that
//! arrived, never by an announced length.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::error::{Fault, OutOfMemory};
use crate::event::Event;
use crate::growth::growth;
use crate::mask::kernel;
use crate::message::MessageKind;
use crate::utf8::{self, TextBuffer, Utf8Error, append_with};

/// The message in progress, or the current part of it.
#[derive(Debug)]
pub(crate) struct MessageAssembler {
    buffer: Buffer,
    /// Bytes of parts that were delivered.
    delivered: u64,
    /// Complete frames.
    frames: u32,
    /// RSV1 of the first frame.
    is_compressed: bool,
    /// Compressed bytes received.
    compressed_len: u64,
    /// The offset of the current frame's payload; 0 until it is asked for, since a header precedes every payload.
    frame_start: u64,
}

#[derive(Debug)]
enum Buffer {
    Text(TextBuffer),
    Binary(Vec<u8>),
}

/// A message, or a part of one.
#[derive(Debug)]
pub(crate) enum Payload<'i> {
    Text(Cow<'i, str>),
    Binary(Cow<'i, [u8]>),
}

impl MessageAssembler {
    /// An empty message; its buffer takes over the capacity of `spare`.
    pub(crate) fn new(kind: MessageKind, is_compressed: bool, mut spare: Vec<u8>) -> Self {
        spare.clear();
        let buffer = match kind {
            MessageKind::Binary => Buffer::Binary(spare),
            MessageKind::Text => Buffer::Text(TextBuffer::with_capacity_of(spare)),
        };
        Self { buffer, delivered: 0, frames: 0, is_compressed, compressed_len: 0, frame_start: 0 }
    }

    /// Bytes of the message so far, including delivered parts and an incomplete character.
    pub(crate) fn len(&self) -> u64 {
        self.delivered.saturating_add(self.buffered() as u64)
    }

    /// Whether a part was delivered that was not empty.
    pub(super) fn has_delivered(&self) -> bool {
        self.delivered > 0
    }

    /// Complete frames.
    pub(crate) fn frames(&self) -> u32 {
        self.frames
    }

    /// Counts the end of a frame.
    pub(crate) fn count_frame(&mut self) {
        self.frames = self.frames.saturating_add(1);
        self.frame_start = 0;
    }

    /// The offset of the current frame's payload, of which the next byte is at `position`.
    pub(super) fn frame_start(&mut self, position: u64) -> u64 {
        if self.frame_start == 0 {
            self.frame_start = position;
        }
        self.frame_start
    }

    pub(crate) fn count_compressed(&mut self, bytes: usize) {
        self.compressed_len = self.compressed_len.saturating_add(bytes as u64);
    }

    /// Compressed bytes received.
    pub(crate) fn compressed_len(&self) -> u64 {
        self.compressed_len
    }

    pub(crate) fn is_compressed(&self) -> bool {
        self.is_compressed
    }

    /// Whether the text ends at the end of a character. Binary always does.
    pub(crate) fn is_complete(&self) -> bool {
        match &self.buffer {
            Buffer::Text(text) => text.pending() == 0,
            Buffer::Binary(_) => true,
        }
    }

    /// Appends bytes, unmasked with `key`. If they are not UTF-8, appends the part before the fault.
    ///
    /// `announced`: the most bytes that can follow; called only if memory is needed.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "part of `Receiver::continue_message`")]
    pub(crate) fn push(
        &mut self,
        key: [u8; 4],
        bytes: &[u8],
        announced: impl FnOnce(&Self) -> u64,
    ) -> Result<(), Fault<Utf8Error>> {
        if bytes.len() > self.free() {
            self.grow(bytes.len(), announced(self))?;
        }
        match &mut self.buffer {
            Buffer::Binary(data) => {
                kernel::append_masked(key, bytes, data);
                Ok(())
            }
            Buffer::Text(text) => Ok(text.push(key, bytes)?),
        }
    }

    /// Appends a few bytes as [`push`](Self::push) does if they fit without an allocation and need no further check.
    /// Otherwise does nothing and returns false.
    #[inline]
    pub(crate) fn push_short(&mut self, key: [u8; 4], bytes: &[u8]) -> bool {
        match &mut self.buffer {
            Buffer::Binary(data) => kernel::append_few(key, bytes, data, |_| true),
            Buffer::Text(text) => text.push_short(key, bytes),
        }
    }

    /// Appends a byte if it fits without an allocation, and is binary, or ASCII between characters. Otherwise does
    /// nothing and returns false.
    #[inline]
    pub(crate) fn push_plain_byte(&mut self, byte: u8) -> bool {
        match &mut self.buffer {
            Buffer::Binary(data) => push_within_capacity(data, byte),
            Buffer::Text(text) => text.push_ascii(byte),
        }
    }

    /// Appends a byte if it fits without an allocation and is no fault. Otherwise does nothing and returns false.
    #[inline]
    pub(crate) fn push_byte(&mut self, byte: u8) -> bool {
        match &mut self.buffer {
            Buffer::Binary(data) => push_within_capacity(data, byte),
            Buffer::Text(text) => text.push_byte(byte),
        }
    }

    /// Lets `write` fill a buffer of up to `expected` bytes and appends as many as it returns. If they are not UTF-8,
    /// appends the part before the fault. An empty message takes over the capacity of `spare`, if that is enough.
    ///
    /// `most`: the most bytes that can follow.
    pub(crate) fn push_with(
        &mut self,
        spare: &mut Vec<u8>,
        expected: usize,
        most: usize,
        write: impl FnOnce(&mut [u8]) -> usize,
    ) -> Result<(), Fault<Utf8Error>> {
        let expected = expected.min(most);
        let is_new = self.buffered() == 0 && self.free() == 0;
        let spare = if is_new { core::mem::take(spare) } else { Vec::new() };
        let spare = if spare.capacity() < expected { Vec::new() } else { spare };
        if self.free().max(spare.capacity()) < expected {
            // It grows to twice the bytes that are there and arrive.
            let half = expected.saturating_sub(self.buffered()).div_ceil(2).max(1);
            self.grow(half, most.saturating_sub(half) as u64)?;
        }
        let room = expected.min(self.free().max(spare.capacity()));
        match &mut self.buffer {
            Buffer::Binary(data) => {
                append_with(data, spare, room, write);
                Ok(())
            }
            Buffer::Text(text) => Ok(text.append_with(spare, room, write)?),
        }
    }

    /// Returns the buffered bytes, without an incomplete character; the following bytes go into new memory.
    pub(crate) fn take(&mut self) -> Result<Payload<'static>, OutOfMemory> {
        let payload = match &mut self.buffer {
            Buffer::Text(text) => Payload::Text(Cow::Owned(text.take()?)),
            Buffer::Binary(data) => Payload::Binary(Cow::Owned(core::mem::take(data))),
        };
        self.count_delivered(&payload);
        Ok(payload)
    }

    /// Delivers `bytes` where they lie, up to the first fault of text. Buffers an incomplete character at their end.
    /// Only while nothing is buffered.
    pub(super) fn lend<'i>(&mut self, bytes: &'i [u8]) -> (Payload<'i>, Result<(), Fault<Utf8Error>>) {
        let (payload, checked) = match self.buffer {
            Buffer::Binary(_) => (Payload::Binary(Cow::Borrowed(bytes)), Ok(())),
            Buffer::Text(_) => {
                let (complete, incomplete) = bytes.split_at(bytes.len() - utf8::incomplete_tail(bytes));
                let (text, checked) = utf8::check_prefix(complete);
                let checked = checked.map_err(Fault::from).and_then(|()| self.push([0; 4], incomplete, |_| 0));
                (Payload::Text(Cow::Borrowed(text)), checked)
            }
        };
        self.count_delivered(&payload);
        (payload, checked)
    }

    /// Bytes that the incomplete character at the end of the text still needs.
    pub(super) fn lacking(&self) -> usize {
        match &self.buffer {
            Buffer::Text(text) => text.lacking(),
            Buffer::Binary(_) => 0,
        }
    }

    fn count_delivered(&mut self, payload: &Payload<'_>) {
        self.delivered = self.delivered.saturating_add(payload.len() as u64);
    }

    /// Buffered bytes, including those of an incomplete character.
    pub(super) fn buffered(&self) -> usize {
        match &self.buffer {
            Buffer::Text(text) => text.len(),
            Buffer::Binary(data) => data.len(),
        }
    }

    /// Bytes that fit without an allocation.
    #[inline]
    fn free(&self) -> usize {
        match &self.buffer {
            Buffer::Text(text) => text.free(),
            Buffer::Binary(data) => data.capacity() - data.len(),
        }
    }

    /// Reserves memory for `arrived` bytes, and for some of the `announced` bytes after them.
    #[cold]
    fn grow(&mut self, arrived: usize, announced: u64) -> Result<(), OutOfMemory> {
        let additional = growth(self.buffered(), arrived, announced);
        match &mut self.buffer {
            Buffer::Text(text) => text.try_reserve_exact(additional),
            Buffer::Binary(data) => Ok(data.try_reserve_exact(additional)?),
        }
    }
}

impl<'i> Payload<'i> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(data) => data.len(),
        }
    }

    pub(crate) fn into_message(self) -> Event<'i> {
        match self {
            Self::Text(text) => Event::Text(text),
            Self::Binary(data) => Event::Binary(data),
        }
    }

    pub(crate) fn into_part(self, first: bool, last: bool) -> Event<'i> {
        match self {
            Self::Text(text) => Event::TextPart { text, first, last },
            Self::Binary(data) => Event::BinaryPart { data, first, last },
        }
    }
}

#[inline]
fn push_within_capacity(data: &mut Vec<u8>, byte: u8) -> bool {
    let has_room = data.len() < data.capacity();
    if has_room {
        data.push(byte);
    }
    has_room
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Appending little to much costs little: the buffer to fill is no longer than asked for.
    #[test]
    fn the_buffer_to_fill_does_not_grow_with_the_message() {
        let mut message = MessageAssembler::new(MessageKind::Binary, true, Vec::with_capacity(1 << 16));
        assert!(message.push([0; 4], &alloc::vec![0; 1 << 15], |_| 0).is_ok());
        let mut buffer_len = 0;
        let appended = message.push_with(&mut Vec::new(), 320, 1 << 15, |buffer| {
            buffer_len = buffer.len();
            1
        });
        assert_eq!((appended, buffer_len, message.len()), (Ok(()), 320, (1 << 15) + 1));
    }
}
