//! [`Receiver`]: bytes to messages and control frames (RFC 6455 §5, §6.2). Checks the rules for the peer's frames,
//! except the payload of a Close (`close_code.rs`), and answers nothing.
//!
//! | file | content |
//! |---|---|
//! | `receive.rs` | the full parser: a header, then a control frame's payload or data |
//! | `fast_path.rs` | complete, unfragmented, uncompressed messages; short reads |
//! | `checks.rs` | the rules for a header, for both parsers |
//! | `header.rs`, `parser.rs`, `control.rs` | headers; the position within a frame; control frames |
//! | `data.rs`, `assembler.rs` | messages that are lent from the input, or reassembled |
//! | `parts.rs`, `inflate.rs` | messages in parts; compressed messages |
//!
//! UTF-8 is checked where text is unmasked or decompressed: `fast_path.rs` and `data.rs` for messages that are lent,
//! `assembler.rs` for the others.

mod assembler;
mod checks;
mod control;
mod data;
mod fast_path;
mod header;
mod inflate;
mod parser;
mod parts;
mod receive;
#[cfg(test)]
mod tests;

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::config::Config;
use crate::counters::Traffic;
use crate::deflate::{AgreedParameters, Decompressor};
use crate::error::{Fault, ProtocolError, ProtocolErrorKind};
use crate::event::Event;
use crate::lazy::Lazy;
use crate::role::Role;

use assembler::MessageAssembler;
use parser::FrameParser;
use parts::PartStream;

/// One direction of a connection: the frames that the peer sends.
#[derive(Debug)]
pub(crate) struct Receiver {
    parser: FrameParser,
    /// Bytes consumed since the connection began, including those of the opening handshake.
    position: u64,
    max_message_size: usize,
    messages: u64,
    message_bytes: u64,
    /// Bytes of the opening handshake.
    handshake_len: u32,
    pings: u32,
    max_frame_size: u32,
    max_fragments: u32,
    /// 0 if messages are delivered whole.
    part_size: u32,
    /// Whether the next byte is inside a payload that goes, as it is, into a message that is delivered whole.
    is_reassembling: bool,
    /// Whether the peer must mask its frames: it is the client.
    expects_mask: bool,
    /// Set if permessage-deflate is in use.
    inflate: Option<InflateParameters>,
}

/// The agreed parameters of permessage-deflate that concern the peer's messages.
#[derive(Clone, Copy, Debug)]
struct InflateParameters {
    /// Whether a message may refer to earlier ones.
    takeover: bool,
    /// Whether connections share the decompressor.
    is_shared: bool,
}

/// The rare state of a receiver: inside a message or a control frame, or with compression.
#[derive(Debug, Default)]
pub(crate) struct ReceiverState {
    /// The message in progress.
    message: Option<MessageAssembler>,
    parts: PartStream,
    /// The first part of a control frame's payload.
    control: Vec<u8>,
    /// A buffer that the application gave back.
    spare: Vec<u8>,
    /// A shared decompressor is here only during a message; otherwise it is in the output.
    decompressor: Option<Box<Decompressor>>,
}

/// A message, a part of one, or a control frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received<'i> {
    /// [`Event::Text`], [`Event::Binary`], or a part of either.
    Message(Event<'i>),
    Ping(Cow<'i, [u8]>),
    Pong(Cow<'i, [u8]>),
    /// The payload of a Close frame, unchecked.
    Close(Cow<'i, [u8]>),
}

impl Receiver {
    /// `expects_mask`: whether the peer is the client.
    pub(crate) fn new(expects_mask: bool, config: &Config) -> Self {
        // A buffer may grow to twice this, and no allocation is larger than `isize::MAX`.
        let most = if config.part_size == 0 { isize::MAX as usize / 4 } else { usize::MAX };
        Self {
            parser: FrameParser::default(),
            position: 0,
            max_message_size: config.max_message_size.min(most),
            messages: 0,
            message_bytes: 0,
            handshake_len: 0,
            pings: 0,
            max_frame_size: config.max_frame_size,
            max_fragments: config.max_fragments,
            part_size: config.part_size,
            is_reassembling: false,
            expects_mask,
            inflate: None,
        }
    }

    /// Starts after the opening handshake, of which `handshake_len` bytes were consumed.
    pub(crate) fn start(&mut self, handshake_len: u64, agreed: Option<AgreedParameters>) {
        self.position = handshake_len;
        self.handshake_len = u32::try_from(handshake_len).unwrap_or(u32::MAX);
        self.inflate =
            agreed.map(|agreed| InflateParameters { takeover: agreed.peer_takeover(), is_shared: agreed.is_shared() });
    }

    /// Leaves the frame in progress: the next byte starts a frame, or nothing more is received.
    #[inline]
    pub(crate) fn end_frame(&mut self) {
        self.parser = FrameParser::default();
        self.is_reassembling = false;
    }

    /// The role of this side.
    pub(crate) fn role(&self) -> Role {
        if self.expects_mask { Role::Server } else { Role::Client }
    }

    /// Bytes consumed since the connection began.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Bytes of the header of a frame with a payload of at most 125 bytes.
    pub(crate) fn short_header_len(&self) -> u64 {
        if self.expects_mask { 6 } else { 2 }
    }

    /// Whether the next byte starts a frame.
    #[inline]
    pub(crate) fn is_between_frames(&self) -> bool {
        matches!(&self.parser, FrameParser::Header(header) if header.buffered() == 0)
    }

    /// Whether the next byte starts a frame, no message is in progress, and messages are delivered whole: only then may
    /// [`take_message`](Self::take_message) be called.
    #[inline]
    pub(crate) fn is_at_message_start(&self, state: &impl Lazy<ReceiverState>) -> bool {
        self.is_between_frames() && self.part_size == 0 && state.get().is_none_or(|state| state.message.is_none())
    }

    /// Traffic since the handshake.
    pub(crate) fn traffic(&self) -> Traffic {
        Traffic {
            messages: self.messages,
            message_bytes: self.message_bytes,
            wire_bytes: self.position.saturating_sub(self.handshake_len.into()),
            pings: self.pings,
        }
    }

    /// Whether a message that is delivered whole is in progress.
    pub(crate) fn is_reassembling_whole(&self, state: &impl Lazy<ReceiverState>) -> bool {
        self.part_size == 0 && state.get().is_some_and(|state| state.message.is_some())
    }

    /// The most bytes of a message; `u64::MAX` without a limit.
    fn message_limit(&self) -> u64 {
        if self.max_message_size == usize::MAX { u64::MAX } else { self.max_message_size as u64 }
    }

    /// The message in progress, which is complete. `text_end`: the offset of the fault if its text ends inside a
    /// character.
    #[inline]
    fn take_whole_message(&mut self, state: &mut ReceiverState, text_end: u64) -> Result<Event<'static>, Fault> {
        let message = state.message.as_mut().ok_or(Fault::OutOfMemory)?;
        if !message.is_complete() {
            return Err(invalid_utf8(text_end, 0).into());
        }
        let payload = message.take()?;
        state.message = None;
        self.count(payload.len(), true);
        Ok(payload.into_message())
    }

    /// Counts a delivered message or part.
    #[inline]
    fn count(&mut self, bytes: usize, ends_message: bool) {
        self.messages = self.messages.wrapping_add(ends_message.into());
        self.message_bytes = self.message_bytes.wrapping_add(bytes as u64);
    }
}

impl ReceiverState {
    pub(crate) fn is_empty(&self) -> bool {
        let Self { message, parts: _, control, spare, decompressor } = self;
        // The likeliest first.
        spare.capacity() == 0 && message.is_none() && control.is_empty() && decompressor.is_none()
    }

    /// Keeps a buffer for the next message that is reassembled.
    pub(crate) fn recycle(&mut self, buffer: Vec<u8>) {
        self.spare = buffer;
    }

    /// Frees the memory of messages.
    pub(crate) fn free_memory(&mut self) {
        (self.message, self.spare, self.decompressor) = (None, Vec::new(), None);
    }
}

/// The fault at `index` of text that starts at the offset `start`.
fn invalid_utf8(start: u64, index: usize) -> ProtocolError {
    ProtocolError { kind: ProtocolErrorKind::InvalidUtf8, offset: start.saturating_add(index as u64) }
}
