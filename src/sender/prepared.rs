//! [`PreparedMessage`]: one message, framed once for any number of connections.

use alloc::sync::Arc;
#[cfg(feature = "deflate")]
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;
#[cfg(feature = "deflate")]
use once_cell::race::OnceBox;

use crate::deflate::AgreedParameters;
#[cfg(feature = "deflate")]
use crate::deflate::{Compressor, try_box};
use crate::error::OutOfMemory;
use crate::frame::{EncodedHeader, FrameHeader};
use crate::message::MessageKind;

/// A message for many connections: framed once, compressed at most once for each negotiated window size, and sent by
/// reference with [`Connection::send_prepared`](crate::Connection::send_prepared). A clone is a reference to the same
/// message, also for other threads.
///
/// The first connection with a window size compresses the message, at its own level; all others with that window size
/// send the result. If several threads are first at the same moment, each compresses it, and one result is kept.
///
/// # Examples
/// A broadcast to all members of a room:
/// ```
/// use websocket_proto::{Connection, Output, PreparedMessage};
///
/// fn broadcast(text: &str, room: &mut [(Connection, Output)]) {
///     let message = PreparedMessage::text(text);
///     for (ws, output) in room {
///         // A connection that is closing does not get it.
///         let _ = ws.send_prepared(&message, output);
///     }
/// }
/// ```
#[derive(Clone)]
pub struct PreparedMessage {
    parts: Arc<Parts>,
    compress: bool,
}

struct Parts {
    kind: MessageKind,
    /// The frame as servers send it, uncompressed.
    frame: Bytes,
    header_len: usize,
    /// The frame compressed, for windows of 9 to 15 bits.
    #[cfg(feature = "deflate")]
    compressed: [OnceBox<Bytes>; 7],
}

impl PreparedMessage {
    /// Prepares a text message.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::new(MessageKind::Text, text.as_bytes())
    }

    /// Prepares a binary message.
    #[must_use]
    pub fn binary(data: &[u8]) -> Self {
        Self::new(MessageKind::Binary, data)
    }

    /// The same message, sent uncompressed even with permessage-deflate, as by
    /// [`send_text_uncompressed`](crate::Connection::send_text_uncompressed).
    ///
    /// # Examples
    /// ```
    /// use websocket_proto::PreparedMessage;
    ///
    /// let photo = PreparedMessage::binary(b"\xff\xd8\xff ...").uncompressed();
    /// # let _ = photo;
    /// ```
    #[must_use]
    pub fn uncompressed(mut self) -> Self {
        self.compress = false;
        self
    }

    /// Text or binary.
    #[must_use]
    pub fn kind(&self) -> MessageKind {
        self.parts.kind
    }

    /// The bytes of the message.
    ///
    /// # Examples
    /// ```
    /// use websocket_proto::PreparedMessage;
    ///
    /// assert_eq!(PreparedMessage::text("hello").payload(), b"hello");
    /// ```
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.parts.frame.get(self.parts.header_len..).unwrap_or_default()
    }

    fn new(kind: MessageKind, payload: &[u8]) -> Self {
        let header = header(kind, 0, payload.len());
        let parts = Parts {
            kind,
            frame: Bytes::from([header.as_ref(), payload].concat()),
            header_len: header.as_ref().len(),
            #[cfg(feature = "deflate")]
            compressed: [const { OnceBox::new() }; 7],
        };
        Self { parts: Arc::new(parts), compress: true }
    }
}

impl PreparedMessage {
    pub(crate) fn may_be_compressed(&self) -> bool {
        self.compress
    }

    /// The frame as servers send it, uncompressed.
    pub(crate) fn frame(&self) -> Bytes {
        self.parts.frame.clone()
    }

    /// The frame as servers send it, compressed for every peer with this window, whatever it received before.
    #[cfg(feature = "deflate")]
    pub(crate) fn compressed_frame(&self, agreed: AgreedParameters) -> Result<Bytes, OutOfMemory> {
        let place = agreed.used_bits().checked_sub(9).and_then(|bits| self.parts.compressed.get(usize::from(bits)));
        let frame = place.ok_or(OutOfMemory)?.get_or_try_init(|| {
            let (mut payload, mut frame) = (Vec::new(), Vec::new());
            Compressor::new(agreed)?.compress(self.payload(), true, &mut payload)?;
            let header = header(self.parts.kind, 4, payload.len());
            frame.try_reserve_exact(header.as_ref().len() + payload.len())?;
            frame.extend_from_slice(header.as_ref());
            frame.extend_from_slice(&payload);
            try_box(Bytes::from(frame))
        });
        frame.cloned()
    }

    /// Without the feature `deflate`, nothing is agreed on.
    #[cfg(not(feature = "deflate"))]
    #[expect(clippy::unused_self, reason = "stands for what the feature does")]
    pub(crate) fn compressed_frame(&self, agreed: AgreedParameters) -> Result<Bytes, OutOfMemory> {
        match agreed {}
    }
}

/// A server's header.
fn header(kind: MessageKind, rsv: u8, len: usize) -> EncodedHeader {
    FrameHeader { fin: true, rsv, opcode: kind.opcode(), mask: None, payload_len: len as u64 }.encode()
}

impl fmt::Debug for PreparedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedMessage")
            .field("kind", &self.kind())
            .field("len", &self.payload().len())
            .finish_non_exhaustive()
    }
}
