//! Sending: the application's messages, pings and Close. Each is checked against the state, and then written by the
//! [`Sender`].

use bytes::Bytes;

use super::{Connection, Phase};
use crate::close_code::{CloseCode, ScriptCloseError, check_script_close, cut_reason};
use crate::error::SendError;
use crate::message::MessageKind;
use crate::output::Output;
use crate::sender::{FastPath, MAX_CONTROL_LEN, PreparedMessage, Sender, TINY};
use crate::utf8;

/// # Send
/// Each method writes one frame to the output. After an `Err`, nothing was written.
impl Connection {
    /// Sends a text message.
    ///
    /// # Errors
    /// If the connection is not [open](crate::State::Open), a fragmented message is being sent, or more than
    /// [`Config::max_output`](crate::Config::max_output) would wait.
    #[inline]
    pub fn send_text(&mut self, text: &str, output: &mut Output) -> Result<(), SendError> {
        self.send_message(MessageKind::Text, text.as_bytes(), true, output)
    }

    /// Sends a binary message.
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text).
    #[inline]
    pub fn send_binary(&mut self, data: &[u8], output: &mut Output) -> Result<(), SendError> {
        self.send_message(MessageKind::Binary, data, true, output)
    }

    /// Sends the next fragment of a message, with `fin` for the last one: for messages of unknown length, or to let
    /// control frames pass between fragments. The kind is that of the message, the same for all its fragments.
    ///
    /// Text may be split anywhere, also inside a character; it is checked fragment by fragment.
    ///
    /// # Errors
    /// If the connection is not [open](crate::State::Open), a message of the other kind is in progress, the text so far
    /// is not UTF-8 or ends inside a character, or more than [`Config::max_output`](crate::Config::max_output) would
    /// wait. Nothing is sent then, and the message can continue with other bytes.
    ///
    /// # Examples
    /// ```
    /// # use websocket_proto::{Connection, MessageKind, Output, SendError};
    /// fn send_lines<'l>(
    ///     lines: impl Iterator<Item = &'l str>,
    ///     ws: &mut Connection,
    ///     output: &mut Output,
    /// ) -> Result<(), SendError> {
    ///     for line in lines {
    ///         ws.send_fragment(MessageKind::Text, line.as_bytes(), false, output)?;
    ///     }
    ///     ws.send_fragment(MessageKind::Text, b"", true, output)
    /// }
    /// ```
    pub fn send_fragment(
        &mut self,
        kind: MessageKind,
        payload: &[u8],
        fin: bool,
        output: &mut Output,
    ) -> Result<(), SendError> {
        self.send_next_fragment(kind, payload, fin, true, output)
    }

    /// Sends a text message uncompressed, even with permessage-deflate: because it has a secret next to data that
    /// others can choose, or is compressed already.
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text).
    ///
    /// # Examples
    /// A secret next to a name that its user chose (RFC 7692 §8):
    /// ```
    /// # use websocket_proto::{Connection, Output, SendError};
    /// fn welcome(token: &str, name: &str, ws: &mut Connection, output: &mut Output) -> Result<(), SendError> {
    ///     ws.send_text_uncompressed(&format!("{token} {name}"), output)
    /// }
    /// ```
    pub fn send_text_uncompressed(&mut self, text: &str, output: &mut Output) -> Result<(), SendError> {
        self.send_message(MessageKind::Text, text.as_bytes(), false, output)
    }

    /// Sends a binary message uncompressed, even with permessage-deflate.
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text).
    ///
    /// # Examples
    /// ```
    /// # use websocket_proto::{Connection, Output, SendError};
    /// fn send_photo(jpeg: &[u8], ws: &mut Connection, output: &mut Output) -> Result<(), SendError> {
    ///     ws.send_binary_uncompressed(jpeg, output)
    /// }
    /// ```
    pub fn send_binary_uncompressed(&mut self, data: &[u8], output: &mut Output) -> Result<(), SendError> {
        self.send_message(MessageKind::Binary, data, false, output)
    }

    /// Like [`send_fragment`](Self::send_fragment), but uncompressed even with permessage-deflate. The first fragment
    /// decides for the message.
    ///
    /// # Errors
    /// As [`send_fragment`](Self::send_fragment).
    ///
    /// # Examples
    /// ```
    /// # use websocket_proto::{Connection, MessageKind, Output, SendError};
    /// fn send_film(mpeg: [&[u8]; 2], ws: &mut Connection, output: &mut Output) -> Result<(), SendError> {
    ///     ws.send_fragment_uncompressed(MessageKind::Binary, mpeg[0], false, output)?;
    ///     ws.send_fragment_uncompressed(MessageKind::Binary, mpeg[1], true, output)
    /// }
    /// ```
    pub fn send_fragment_uncompressed(
        &mut self,
        kind: MessageKind,
        payload: &[u8],
        fin: bool,
        output: &mut Output,
    ) -> Result<(), SendError> {
        self.send_next_fragment(kind, payload, fin, false, output)
    }

    /// Sends a ping. The peer must answer with a pong of the same payload.
    ///
    /// Allowed until the peer's Close was received, also between the fragments of a message (RFC 6455 §5.5.2).
    ///
    /// # Errors
    /// If the payload is longer than 125 bytes, the handshake is not complete, the peer's Close was received, the
    /// connection is over, or more than [`Config::max_output`](crate::Config::max_output) would wait.
    pub fn ping(&mut self, payload: &[u8], output: &mut Output) -> Result<(), SendError> {
        self.check_control(payload, output)?;
        self.write_ping(payload, output);
        Ok(())
    }

    /// Sends an unsolicited pong, as a one-way heartbeat (RFC 6455 §5.5.3). Pings are answered without it.
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    pub fn pong(&mut self, payload: &[u8], output: &mut Output) -> Result<(), SendError> {
        self.check_control(payload, output)?;
        self.sender.write_unsolicited_pong(payload, &mut self.heap, output);
        Ok(())
    }
}

/// # Send by reference
/// A server's uncompressed payloads need not be copied: the [`Output`] keeps a reference until they are written. A
/// client masks its payloads, and compression makes new bytes: both copy.
impl Connection {
    /// Sends a message that is in `Bytes`. A server sends it by reference if it has 16 KiB or more and is not
    /// compressed; otherwise this is [`send_text`](Self::send_text) or [`send_binary`](Self::send_binary).
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
        let len = payload.len();
        if self.sender.compresses(len) {
            return self.send_message(kind, &payload, true, output);
        }
        if let Err(error) = self.check_message(len, output) {
            return self.not_sent(error, len);
        }
        self.sender.write_bytes(kind, payload, &mut self.heap, output);
        self.count_buffered(len, false, output);
        Ok(())
    }

    /// Sends a message that was prepared for many connections. A server sends it by reference, except a frame of at
    /// most 64 bytes: a reference would take as much memory.
    ///
    /// With context takeover, the next compressed message refers to no earlier one: this message is not in the
    /// compressor's window.
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text).
    pub fn send_prepared(&mut self, message: &PreparedMessage, output: &mut Output) -> Result<(), SendError> {
        let len = message.payload().len();
        let compress = message.may_be_compressed() && self.sender.compresses(len);
        if let Err(error) = self.check_message(len, output) {
            return self.not_sent(error, len);
        }
        let sent = self.sender.write_prepared(message, compress, &mut self.heap, output);
        self.finish_compressed(sent, len, compress, output)
    }
}

/// # Close
/// Each of these methods starts the closing handshake, after everything that was sent before. Messages may still arrive
/// until the peer answers. A second call does nothing, nor does one after the peer's Close.
///
/// In [`State::Connecting`](crate::State::Connecting) they end the connection without writing a byte (RFC 6455
/// §7.2.2): it [is closed](Connection::is_closed) at once. The next [`receive`](Connection::receive) or
/// [`receive_eof`](Connection::receive_eof) returns the last event, with [`ConnectionError::ClosedWhileConnecting`]; if
/// the body of a rejection is incomplete, it [reports](crate::Event::Rejected) the received part.
///
/// [`ConnectionError::ClosedWhileConnecting`]: crate::ConnectionError::ClosedWhileConnecting
impl Connection {
    /// Closes with a code and a reason. At most 123 bytes of the reason are sent, cut at the end of a character.
    ///
    /// In [`State::Connecting`](crate::State::Connecting) nothing is sent: a server's client sees the transport close
    /// without an HTTP response. To send one, call [`reject`](Self::reject) with the request, or, while the request is
    /// incomplete, [`time_out`](Self::time_out) with [`Timeout::Handshake`](crate::Timeout::Handshake).
    pub fn close(&mut self, code: CloseCode, reason: &str, output: &mut Output) {
        self.start_closing(Some(code), cut_reason(reason), output);
    }

    /// Closes without a code: the peer sees 1005.
    ///
    /// # Examples
    /// ```
    /// use bytes::Buf;
    /// use websocket_proto::handshake::Negotiated;
    /// use websocket_proto::{Config, Connection, Output, Role};
    ///
    /// let mut server = Connection::upgraded(Role::Server, Negotiated::default(), Config::new(), [0; 32]);
    /// let mut output = Output::new();
    /// server.close_without_code(&mut output);
    /// assert_eq!(output.chunk(), b"\x88\x00");
    /// ```
    pub fn close_without_code(&mut self, output: &mut Output) {
        self.start_closing(None, "", output);
    }

    /// Closes as the WebSocket API's `close(code, reason)` does, for bindings of that API.
    ///
    /// # Errors
    /// If the code is neither 1000 nor in 3000–4999, or the reason is longer than 123 bytes. Nothing is done then.
    ///
    /// # Examples
    /// ```
    /// use websocket_proto::{Config, Connection, Output, ScriptCloseError};
    ///
    /// let mut server = Connection::server(Config::new());
    /// let rejected = server.close_from_script(Some(1001), "", &mut Output::new());
    /// assert_eq!(rejected, Err(ScriptCloseError::InvalidAccess));
    /// ```
    pub fn close_from_script(
        &mut self,
        code: Option<u16>,
        reason: &str,
        output: &mut Output,
    ) -> Result<(), ScriptCloseError> {
        let code = check_script_close(code, reason)?;
        self.start_closing(code, reason, output);
        Ok(())
    }
}

/// Messages.
impl Connection {
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the fast path is shorter than a call")]
    fn send_message(
        &mut self,
        kind: MessageKind,
        payload: &[u8],
        may_compress: bool,
        output: &mut Output,
    ) -> Result<(), SendError> {
        let is_sent = match self.sending {
            FastPath::None => false,
            FastPath::Plain if payload.len() <= TINY => self.sender.write_tiny_message(kind, payload, output),
            FastPath::Masked if payload.len() <= TINY => {
                self.sender.write_tiny_masked_message(kind, payload, &mut self.heap, output)
            }
            FastPath::Plain | FastPath::Masked => {
                self.sender.write_short_message(kind, payload, &mut self.heap, output)
            }
        };
        if is_sent { Ok(()) } else { self.send_any_message(kind, payload, may_compress, output) }
    }

    /// Sends any message, in any state.
    #[inline(never)]
    fn send_any_message(
        &mut self,
        kind: MessageKind,
        payload: &[u8],
        may_compress: bool,
        output: &mut Output,
    ) -> Result<(), SendError> {
        if let Err(error) = self.check_message(payload.len(), output) {
            return self.not_sent(error, payload.len());
        }
        if may_compress && self.sender.compresses(payload.len()) {
            let sent = self.sender.write_compressed_message(kind, payload, &mut self.heap, output);
            return self.finish_compressed(sent, payload.len(), true, output);
        }
        self.sender.write_message(kind, payload, &mut self.heap, output);
        self.count_buffered(payload.len(), false, output);
        Ok(())
    }

    fn send_next_fragment(
        &mut self,
        kind: MessageKind,
        payload: &[u8],
        fin: bool,
        compress: bool,
        output: &mut Output,
    ) -> Result<(), SendError> {
        let checked = self.check_open().and_then(|()| self.sender.check_output_limit(payload.len(), output));
        if let Err(error) = checked {
            return self.not_sent(error, payload.len());
        }
        let sent = self.sender.write_fragment(kind, payload, fin, compress, &mut self.heap, output);
        self.refresh_sending();
        self.free_heap_if_unused();
        self.count_buffered(payload.len(), sent?, output);
        Ok(())
    }

    /// After a message was written that may be compressed, or could not be.
    fn finish_compressed(
        &mut self,
        sent: Result<(), SendError>,
        len: usize,
        is_compressed: bool,
        output: &mut Output,
    ) -> Result<(), SendError> {
        // A shared compressor has gone back to the output.
        self.free_heap_if_unused();
        sent?;
        self.count_buffered(len, is_compressed, output);
        Ok(())
    }

    /// Counts the frame that was written last for [`buffered_amount`](Self::buffered_amount).
    #[inline]
    fn count_buffered(&self, len: usize, is_compressed: bool, output: &mut Output) {
        if self.browser_rules {
            output.count_message(len, is_compressed);
        }
    }

    /// A message that is not sent. Under browser rules that is no error, except before the connection is open.
    #[cold]
    fn not_sent(&mut self, error: SendError, len: usize) -> Result<(), SendError> {
        if !self.browser_rules || !matches!(error, SendError::Closing | SendError::Full) {
            return Err(error);
        }
        // WHATWG: "Any invocation of this method with a string argument that does not throw an exception must increase
        // the bufferedAmount attribute by the number of bytes needed to express the argument as UTF-8."
        let heap = self.heap();
        heap.unsent = heap.unsent.saturating_add(len as u64);
        // WHATWG: "If the data cannot be sent, e.g., because it would need to be buffered but the buffer is full, the
        // user agent must flag the WebSocket as full and then close the WebSocket connection."
        if error == SendError::Full {
            self.on_output_full();
        }
        self.free_heap_if_unused();
        Ok(())
    }
}

/// Control frames.
impl Connection {
    /// Writes a ping: one that was checked, or one of [`Timers`](crate::Timers) while the connection is open.
    pub(crate) fn write_ping(&mut self, payload: &[u8], output: &mut Output) {
        self.sender.write_ping(payload, &mut self.heap, output);
    }

    fn check_control(&self, payload: &[u8], output: &Output) -> Result<(), SendError> {
        match self.phase {
            Phase::Handshake => return Err(SendError::Connecting),
            Phase::Open | Phase::CloseSent => {}
            Phase::Draining | Phase::Ended | Phase::Reported => return Err(SendError::Closing),
        }
        if payload.len() > MAX_CONTROL_LEN {
            return Err(SendError::ControlFrameTooLong);
        }
        self.sender.check_output_limit(payload.len(), output)
    }
}

/// Checks.
impl Connection {
    /// Whether a message of `len` bytes may be sent.
    #[inline]
    fn check_message(&self, len: usize, output: &Output) -> Result<(), SendError> {
        self.check_open()?;
        Sender::check_between_messages(&self.heap)?;
        self.sender.check_output_limit(len, output)
    }

    /// Whether no fragmented message is in progress. Once the connection is not open, none is.
    pub(crate) fn check_between_messages(&self) -> Result<(), SendError> {
        if self.phase == Phase::Open { Sender::check_between_messages(&self.heap) } else { Ok(()) }
    }

    /// RFC 6455 §6.1, 1: "The endpoint MUST ensure the WebSocket connection is in the OPEN state". §5.5.1: "The
    /// application MUST NOT send any more data frames after sending a Close frame."
    #[inline]
    fn check_open(&self) -> Result<(), SendError> {
        if self.phase == Phase::Open { Ok(()) } else { Err(self.not_open()) }
    }

    #[cold]
    fn not_open(&self) -> SendError {
        if self.phase == Phase::Handshake { SendError::Connecting } else { SendError::Closing }
    }
}
