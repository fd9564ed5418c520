//! Gathering a message that reads or fragments cut: its memory follows what arrived, never what was announced.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use crate::event::Event;
use crate::utf8::{Utf8Error, Utf8Stream};

/// Text or binary: what the first frame's opcode says of a whole message (RFC 6455 §5.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// UTF-8.
    Text,
    /// Arbitrary bytes.
    Binary,
}

/// A message under way.
#[derive(Debug)]
pub(crate) struct Message {
    payload: Payload,
    frames: u32,
    /// Whether its first frame said that it is compressed.
    compressed: bool,
    /// Bytes that came compressed.
    compressed_len: u64,
    /// Where the payload of the frame under way began.
    frame_start: Option<u64>,
}

#[derive(Debug)]
enum Payload {
    Text { text: String, stream: Utf8Stream },
    Binary(Vec<u8>),
}

impl Message {
    /// Starts a message, in `buffer`'s memory.
    pub(crate) fn start(kind: MessageKind, compressed: bool, mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        let payload = match kind {
            MessageKind::Binary => Payload::Binary(buffer),
            // An empty buffer is UTF-8: this keeps its memory.
            MessageKind::Text => {
                Payload::Text { text: String::from_utf8(buffer).unwrap_or_default(), stream: Utf8Stream::default() }
            }
        };
        Self { payload, frames: 0, compressed, compressed_len: 0, frame_start: None }
    }

    /// Bytes gathered.
    pub(crate) fn len(&self) -> usize {
        match &self.payload {
            Payload::Text { text, stream } => text.len().saturating_add(stream.pending()),
            Payload::Binary(data) => data.len(),
        }
    }

    /// Frames that are complete.
    pub(crate) fn frames(&self) -> u32 {
        self.frames
    }

    /// Ends a frame.
    pub(crate) fn count_frame(&mut self) {
        self.frames = self.frames.saturating_add(1);
        self.frame_start = None;
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
        *self.frame_start.get_or_insert(position)
    }

    /// Appends unmasked bytes; at most `announced` more are to come before the message ends.
    pub(crate) fn push(&mut self, bytes: &[u8], announced: u64) -> Result<(), Utf8Error> {
        match &mut self.payload {
            Payload::Binary(data) => {
                if let Some(additional) = growth(data.len(), data.capacity(), bytes.len(), announced) {
                    data.reserve_exact(additional);
                }
                data.extend_from_slice(bytes);
                Ok(())
            }
            Payload::Text { text, stream } => {
                if let Some(additional) = growth(text.len(), text.capacity(), bytes.len(), announced) {
                    text.reserve_exact(additional);
                }
                stream.push(bytes, |part| text.push_str(part))
            }
        }
    }

    /// The whole message, or `None` if it ends inside a character.
    pub(crate) fn finish(self) -> Option<Event<'static>> {
        match self.payload {
            Payload::Binary(data) => Some(Event::Binary(Cow::Owned(data))),
            Payload::Text { text, stream } => stream.is_complete().then_some(Event::Text(Cow::Owned(text))),
        }
    }
}

/// How much to reserve before `arrived` bytes go behind the `len` that are there: enough, and then up to double, but
/// for what is doubled no more than was announced. `None` if they fit.
fn growth(len: usize, capacity: usize, arrived: usize, announced: u64) -> Option<usize> {
    // Room for the character that an earlier piece began.
    let arrived = arrived.saturating_add(3);
    if arrived <= capacity.saturating_sub(len) {
        return None;
    }
    let doubled = arrived.saturating_add(len);
    let expected = arrived.saturating_add(usize::try_from(announced).unwrap_or(usize::MAX));
    Some(doubled.min(expected))
}
