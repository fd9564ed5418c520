//! What a connection has on the heap, when it has anything: all that is rare, behind one pointer. When to free it is
//! decided here, and nothing else.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::Connection;
use super::opening::Opening;
#[cfg(feature = "deflate")]
use crate::deflate::{Codecs, try_box};
use crate::error::OutOfMemory;
use crate::event::Closed;
use crate::mask::MaskKeys;
use crate::message::{Message, MessageKind};
use crate::utf8::Utf8Stream;

/// An idle server has none of this.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// Until the connection is open, and what came before that is delivered.
    pub(super) opening: Option<Box<Opening>>,
    /// How the connection ends, once that is decided. After it was reported only if it was by the peer's Close.
    pub(super) ending: Option<Closed>,
    /// The message that is being received.
    pub(super) message: Option<Message>,
    /// What a read left of a control frame's payload.
    pub(super) control: Vec<u8>,
    /// The fragmented message that is being sent.
    pub(super) sending: Option<Sending>,
    pub(super) subprotocol: Option<Box<str>>,
    /// A buffer given back by [`Connection::recycle`].
    pub(super) spare: Vec<u8>,
    /// A client's.
    pub(super) keys: Option<MaskKeys>,
    /// A shared connection's are here only while a message is under way; otherwise they are in the output.
    #[cfg(feature = "deflate")]
    pub(super) codecs: Option<Box<Codecs>>,
    /// Message bytes that browser rules took and did not send.
    pub(super) unsent: u64,
}

/// A fragmented message that is being sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sending {
    pub(super) kind: MessageKind,
    pub(super) text: Utf8Stream,
    pub(super) compressed: bool,
}

impl Held {
    fn is_empty(&self) -> bool {
        #[cfg(feature = "deflate")]
        if self.codecs.is_some() {
            return false;
        }
        let Self { opening, ending, message, control, sending, subprotocol, spare, keys, unsent, .. } = self;
        // The likeliest first.
        keys.is_none()
            && spare.capacity() == 0
            && opening.is_none()
            && ending.is_none()
            && message.is_none()
            && control.is_empty()
            && sending.is_none()
            && subprotocol.is_none()
            && *unsent == 0
    }

    /// Frees what a message was received with.
    pub(super) fn free_memory(&mut self) {
        (self.message, self.spare) = (None, Vec::new());
        #[cfg(feature = "deflate")]
        {
            self.codecs = None;
        }
    }

    /// Keeps what is still known when nothing more is received or sent.
    fn release(&mut self) {
        // The WebSocket API's `protocol` does not change after the opening, nor does `bufferedAmount` fall.
        let Self { ending, subprotocol, unsent, .. } = core::mem::take(self);
        *self = Self { ending, subprotocol, unsent, ..Self::default() };
    }
}

impl Connection {
    /// What is held, or a place for it.
    #[inline]
    pub(super) fn held(&mut self) -> &mut Held {
        self.held.get_or_insert_default()
    }

    /// Takes what is held, or a place for it, which has to come back.
    #[cfg_attr(
        not(feature = "deflate"),
        expect(clippy::unnecessary_wraps, reason = "stands for what the feature does")
    )]
    pub(super) fn take_held(&mut self) -> Result<Box<Held>, OutOfMemory> {
        match self.held.take() {
            Some(held) => Ok(held),
            #[cfg(feature = "deflate")]
            None => try_box(Held::default()),
            #[cfg(not(feature = "deflate"))]
            None => Ok(Box::default()),
        }
    }

    #[inline]
    pub(super) fn message(&self) -> Option<&Message> {
        self.held.as_ref()?.message.as_ref()
    }

    #[inline]
    pub(super) fn opening(&self) -> Option<&Opening> {
        self.held.as_ref()?.opening.as_deref()
    }

    /// The fragmented message that is being sent.
    #[inline]
    pub(super) fn sending(&self) -> Option<Sending> {
        self.held.as_ref()?.sending
    }

    /// Frees all that nothing more is received or sent with.
    pub(super) fn release(&mut self) {
        if let Some(held) = &mut self.held {
            held.release();
        }
        self.tidy();
    }

    /// An idle server holds nothing.
    #[inline]
    pub(super) fn tidy(&mut self) {
        if self.held.is_some() {
            self.tidy_held();
        }
    }

    #[inline(never)]
    fn tidy_held(&mut self) {
        self.held.take_if(|held| held.is_empty());
    }
}
