//! A message under way: gathered until it is whole, or handed out in parts. Its memory follows what arrived, never what
//! was announced.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::error::{Fault, OutOfMemory};
use crate::event::Event;
use crate::frame::Opcode;
use crate::mask::kernel;
#[cfg(feature = "deflate")]
use crate::utf8::append_with;
use crate::utf8::{self, TextBuffer, Utf8Error};

/// Text or binary: what the first frame's opcode says of a whole message (RFC 6455 §5.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// UTF-8.
    Text,
    /// Arbitrary bytes.
    Binary,
}

impl MessageKind {
    /// What a first frame's opcode says.
    pub(crate) fn of(opcode: Opcode) -> Self {
        if opcode == Opcode::Text { Self::Text } else { Self::Binary }
    }

    /// The opcode of its first frame.
    pub(crate) fn opcode(self) -> Opcode {
        match self {
            Self::Text => Opcode::Text,
            Self::Binary => Opcode::Binary,
        }
    }
}

/// A message under way.
#[derive(Debug)]
pub(crate) struct Message {
    buffer: Buffer,
    /// Bytes that were handed out in parts.
    delivered: u64,
    /// Whether a part was handed out.
    is_started: bool,
    /// What is wrong behind that.
    fault: Option<Fault>,
    /// Whether more of what was read is to come out before anything else is read.
    has_more: bool,
    frames: u32,
    /// Whether its first frame said that it is compressed.
    compressed: bool,
    /// Bytes that came compressed.
    compressed_len: u64,
    /// Where the payload of the frame under way began; 0 if none did, for there is a header before each.
    frame_start: u64,
}

/// What is gathered.
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

impl Message {
    /// Starts a message, in `buffer`'s memory.
    pub(crate) fn start(kind: MessageKind, compressed: bool, buffer: Vec<u8>) -> Self {
        Self {
            buffer: Buffer::in_memory_of(buffer, kind),
            delivered: 0,
            is_started: false,
            fault: None,
            has_more: false,
            frames: 0,
            compressed,
            compressed_len: 0,
            frame_start: 0,
        }
    }

    /// Bytes so far, those of an unfinished character too.
    pub(crate) fn len(&self) -> u64 {
        self.delivered.saturating_add(self.gathered() as u64)
    }

    /// Frames that are complete.
    pub(crate) fn frames(&self) -> u32 {
        self.frames
    }

    /// Ends a frame.
    pub(crate) fn count_frame(&mut self) {
        self.frames = self.frames.saturating_add(1);
        self.frame_start = 0;
    }

    #[cfg(feature = "deflate")]
    pub(crate) fn count_compressed(&mut self, bytes: usize) {
        self.compressed_len = self.compressed_len.saturating_add(bytes as u64);
    }

    pub(crate) fn compressed_len(&self) -> u64 {
        self.compressed_len
    }

    pub(crate) fn is_compressed(&self) -> bool {
        self.compressed
    }

    /// Where the payload of the frame under way began, of which the next piece is at `position`.
    pub(crate) fn frame_start(&mut self, position: u64) -> u64 {
        if self.frame_start == 0 {
            self.frame_start = position;
        }
        self.frame_start
    }

    /// Whether it ends, so far, at the end of a character.
    pub(crate) fn is_complete(&self) -> bool {
        self.pending() == 0
    }
}

/// # Gathering
impl Message {
    /// Appends bytes, unmasked with `key`. At most `announced` more are to come before what is gathered is taken: that
    /// is asked only if memory is needed. Of bytes that are no text, what comes before the fault is appended.
    #[inline]
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

    /// Appends a few bytes as [`push`](Self::push) does, if there is room for them and nothing to check. Otherwise does
    /// nothing.
    #[inline]
    pub(crate) fn push_few(&mut self, key: [u8; 4], bytes: &[u8]) -> bool {
        match &mut self.buffer {
            Buffer::Binary(data) => kernel::append_few(key, bytes, data, |_| true),
            Buffer::Text(text) => text.push_short(key, bytes),
        }
    }

    /// Appends what `write` puts at the front of a place for up to `expected` bytes; it says how many it were. At most
    /// `most` are to come before what is gathered is taken. Begins in the memory of `spare`, if there is enough. Of
    /// bytes that are no text, what comes before the fault is appended.
    #[cfg(feature = "deflate")]
    pub(crate) fn append(
        &mut self,
        spare: &mut Vec<u8>,
        expected: usize,
        most: usize,
        write: impl FnOnce(&mut [u8]) -> usize,
    ) -> Result<(), Fault<Utf8Error>> {
        let expected = expected.min(most);
        let is_new = self.gathered() == 0 && self.free() == 0;
        let memory = if is_new { core::mem::take(spare) } else { Vec::new() };
        let memory = if memory.capacity() < expected { Vec::new() } else { memory };
        if self.free().max(memory.capacity()) < expected {
            // It grows to twice what is there and arrives.
            let half = expected.saturating_sub(self.gathered()).div_ceil(2).max(1);
            self.grow(half, most.saturating_sub(half) as u64)?;
        }
        let room = expected.min(self.free().max(memory.capacity()));
        match &mut self.buffer {
            Buffer::Binary(data) => {
                append_with(data, memory, room, write);
                Ok(())
            }
            Buffer::Text(text) => Ok(text.append_with(memory, room, write)?),
        }
    }

    #[inline]
    fn free(&self) -> usize {
        match &self.buffer {
            Buffer::Text(text) => text.free(),
            Buffer::Binary(data) => data.capacity() - data.len(),
        }
    }

    /// Reserves for what arrived, and for some of what is announced.
    #[cold]
    fn grow(&mut self, arrived: usize, announced: u64) -> Result<(), OutOfMemory> {
        let additional = growth(self.gathered(), arrived, announced);
        match &mut self.buffer {
            Buffer::Text(text) => text.try_reserve_exact(additional),
            Buffer::Binary(data) => Ok(data.try_reserve_exact(additional)?),
        }
    }

    /// All that is gathered, but for an unfinished character; the next bytes are gathered in new memory.
    pub(crate) fn take(&mut self) -> Result<Payload<'static>, OutOfMemory> {
        Ok(match &mut self.buffer {
            Buffer::Text(text) => Payload::Text(Cow::Owned(text.take()?)),
            Buffer::Binary(data) => Payload::Binary(Cow::Owned(core::mem::take(data))),
        })
    }

    /// Bytes that are gathered and not handed out, those of an unfinished character too.
    fn gathered(&self) -> usize {
        match &self.buffer {
            Buffer::Text(text) => text.len(),
            Buffer::Binary(data) => data.len(),
        }
    }

    /// Bytes of an unfinished character.
    fn pending(&self) -> usize {
        match &self.buffer {
            Buffer::Text(text) => text.pending(),
            Buffer::Binary(_) => 0,
        }
    }
}

/// # Handing out parts
impl Message {
    /// A part that need not be gathered, as far as it is text. Only while nothing is gathered, and between characters.
    pub(crate) fn lend<'i>(&mut self, bytes: &'i [u8]) -> (Payload<'i>, Result<(), Fault<Utf8Error>>) {
        match self.buffer {
            Buffer::Binary(_) => (Payload::Binary(Cow::Borrowed(bytes)), Ok(())),
            Buffer::Text(_) => {
                let (whole, begun) = bytes.split_at(bytes.len() - utf8::incomplete_tail(bytes));
                let (lent, checked) = utf8::check_prefix(whole);
                let checked = checked.map_err(Fault::from).and_then(|()| self.push([0; 4], begun, |_| 0));
                (Payload::Text(Cow::Borrowed(lent)), checked)
            }
        }
    }

    /// How many bytes the unfinished character lacks.
    pub(crate) fn lacking(&self) -> usize {
        match &self.buffer {
            Buffer::Text(text) => text.lacking(),
            Buffer::Binary(_) => 0,
        }
    }

    /// How many bytes a part of at most `size` bytes has room for, behind what is gathered.
    #[cfg(feature = "deflate")]
    pub(crate) fn room(&self, size: usize) -> usize {
        size.saturating_sub(self.gathered())
    }

    /// Whether more of what was read is to come out before anything else is read.
    pub(crate) fn has_more(&self) -> bool {
        self.has_more
    }

    #[cfg(feature = "deflate")]
    pub(crate) fn set_more(&mut self, has_more: bool) {
        self.has_more = has_more;
    }

    /// Hands a part out, if it is the last or there is anything in it. What was found wrong behind it comes after it.
    pub(crate) fn part<'i>(
        &mut self,
        payload: Payload<'i>,
        last: bool,
        read: Result<(), Fault>,
    ) -> Result<Option<Event<'i>>, Fault> {
        if payload.len() == 0 && !last {
            return read.map(|()| None);
        }
        self.fault = read.err();
        self.delivered = self.delivered.saturating_add(payload.len() as u64);
        let first = !core::mem::replace(&mut self.is_started, true);
        Ok(Some(payload.into_part(first, last)))
    }

    /// What is wrong behind the part that was handed out last.
    pub(crate) fn fault(&self) -> Option<Fault> {
        self.fault
    }
}

impl Buffer {
    fn in_memory_of(mut memory: Vec<u8>, kind: MessageKind) -> Self {
        memory.clear();
        match kind {
            MessageKind::Binary => Self::Binary(memory),
            MessageKind::Text => Self::Text(TextBuffer::with_capacity_of(memory)),
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

    pub(crate) fn into_whole(self) -> Event<'i> {
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

/// Appends bytes to a buffer that holds at most `limit` bytes in the end, and grows to no more than that.
pub(crate) fn extend_up_to(limit: usize, buffer: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.len() > buffer.capacity() - buffer.len() {
        let announced = limit.saturating_sub(buffer.len()).saturating_sub(bytes.len());
        buffer.reserve_exact(growth(buffer.len(), bytes.len(), announced as u64));
    }
    buffer.extend_from_slice(bytes);
}

/// How much to reserve before `arrived` bytes, for which there is no room, go behind the `len` that are there: enough,
/// and then up to double, but for what is doubled no more than was announced.
///
/// While a buffer grows, the old one and the new one exist together: so the last growth, to all that was announced,
/// starts from no more than half of that.
fn growth(len: usize, arrived: usize, announced: u64) -> usize {
    let needed = arrived.saturating_add(len);
    let expected = needed.saturating_add(usize::try_from(announced).unwrap_or(usize::MAX));
    let doubled = needed.saturating_add(needed).min(expected);
    let half = expected / 2;
    let target = if needed <= half && doubled > half { half } else { doubled };
    target.saturating_sub(len)
}

#[cfg(all(test, feature = "deflate"))]
mod tests {
    use super::*;

    /// What little comes behind much costs little: the place for it is no longer than was asked for.
    #[test]
    fn the_place_does_not_grow_with_the_message() {
        let mut message = Message::start(MessageKind::Binary, true, Vec::with_capacity(1 << 16));
        assert!(message.push([0; 4], &alloc::vec![0; 1 << 15], |_| 0).is_ok());
        let mut place_len = 0;
        let appended = message.append(&mut Vec::new(), 320, 1 << 15, |place| {
            place_len = place.len();
            1
        });
        assert_eq!((appended, place_len, message.len()), (Ok(()), 320, (1 << 15) + 1));
    }
}
