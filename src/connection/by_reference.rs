//! Messages that go out by reference: the caller's `Bytes`, and what was prepared for many connections. None of these
//! bytes is changed here.

use bytes::Bytes;

use super::{Connection, Role};
use crate::error::SendError;
use crate::message::MessageKind;
use crate::output::{Output, REFERENCE_MIN};
use crate::prepared::PreparedMessage;
use crate::utf8;

/// A frame that is no longer than the note of a reference to it is copied.
const COPIED: usize = 64;

/// # Sending by reference
/// What a server sends uncompressed need not be copied: the [`Output`] holds it until it is written. A client masks
/// what it sends, and compression makes new bytes: both copy.
impl Connection {
    /// Sends a message that is in `Bytes`: by reference, if this is a server, it is not compressed, and it has 16 KiB
    /// or more; otherwise as [`send_text`](Self::send_text) and [`send_binary`](Self::send_binary) do.
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text), and if text is not UTF-8.
    ///
    /// # Examples
    /// ```
    /// # use bytes::Bytes;
    /// # use websocket_proto::{Connection, MessageKind, Output, SendError};
    /// fn send_picture(picture: &Bytes, ws: &mut Connection, output: &mut Output) -> Result<(), SendError> {
    ///     ws.send_bytes(MessageKind::Binary, picture.clone(), output)
    /// }
    /// ```
    pub fn send_bytes(&mut self, kind: MessageKind, payload: Bytes, output: &mut Output) -> Result<(), SendError> {
        if kind == MessageKind::Text {
            utf8::check(&payload).map_err(|_| SendError::InvalidUtf8)?;
        }
        let compress = self.deflates(payload.len());
        if self.role == Role::Client || compress || payload.len() < REFERENCE_MIN {
            return self.send_whole(kind.opcode(), &payload, compress, output);
        }
        if let Err(error) = self.check_sending(payload.len(), output) {
            return self.not_sent(error, payload.len());
        }
        let (header, _) = self.header(true, 0, kind.opcode(), payload.len());
        let len = payload.len();
        self.count_wire(header.as_ref().len() + len);
        output.put_by_reference(header.as_ref(), payload);
        self.count_sent(len, true, false, output);
        Ok(())
    }

    /// Sends a message that was prepared for many connections: by reference, if this is a server. A frame of at most 64
    /// bytes is copied, as a reference takes no less.
    ///
    /// Where messages may refer to those before them, the next compressed one starts anew: the compressor does not know
    /// of this one.
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text).
    pub fn send_prepared(&mut self, prepared: &PreparedMessage, output: &mut Output) -> Result<(), SendError> {
        let len = prepared.payload().len();
        let compress = prepared.may_be_compressed() && self.deflates(len);
        if self.role == Role::Client {
            return self.send_whole(prepared.kind().opcode(), prepared.payload(), compress, output);
        }
        if let Err(error) = self.check_sending(len, output) {
            return self.not_sent(error, len);
        }
        let frame = if compress { self.compressed_frame(prepared)? } else { prepared.frame() };
        self.count_wire(frame.len());
        if frame.len() > COPIED {
            output.put_by_reference(&[], frame);
        } else {
            output.put(&frame);
        }
        self.count_sent(len, true, compress, output);
        Ok(())
    }

    #[cfg(feature = "deflate")]
    fn compressed_frame(&mut self, prepared: &PreparedMessage) -> Result<Bytes, SendError> {
        let Some(agreed) = self.agreed else { return Ok(prepared.frame()) };
        let frame = prepared.compressed_frame(agreed)?;
        // RFC 7692 §7.2.3.2: with context takeover a message may refer to "the LZ77 sliding window" of those before it,
        // which the peer has moved on by this message, and the compressor has not.
        let codecs = self.held.as_mut().and_then(|held| held.codecs.as_mut());
        if let Some(compressor) = codecs.and_then(|codecs| codecs.compressor.as_mut()) {
            compressor.reset();
        }
        Ok(frame)
    }

    #[cfg(not(feature = "deflate"))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "stands for what the feature does")]
    fn compressed_frame(&mut self, prepared: &PreparedMessage) -> Result<Bytes, SendError> {
        Ok(prepared.frame())
    }
}
