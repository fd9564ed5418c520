//! Messages and control frames going out; of what came in, nothing counts here but the state it led to.

use super::held::Sending;
use super::{Connection, Phase, Role, State};
use crate::close_code::{CloseCode, ScriptCloseError, check_script_close, cut_reason};
use crate::error::{ConnectionError, SendError};
use crate::event::Closed;
use crate::frame::{EncodedHeader, FrameHeader, Opcode};
use crate::mask::MaskKeys;
use crate::message::MessageKind;
use crate::output::Output;
use crate::utf8::Utf8Stream;

/// # Sending
/// A message goes into the output as one frame at once. `Err` means that nothing did.
impl Connection {
    /// Sends a text message.
    ///
    /// # Errors
    /// If the connection is not [open](State::Open), a fragmented message is being sent, or more than
    /// [`Config::max_output`](crate::Config::max_output) would wait.
    #[inline]
    pub fn send_text(&mut self, text: &str, output: &mut Output) -> Result<(), SendError> {
        self.send_whole(Opcode::Text, text.as_bytes(), self.deflates(text.len()), output)
    }

    /// Sends a binary message.
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text).
    #[inline]
    pub fn send_binary(&mut self, data: &[u8], output: &mut Output) -> Result<(), SendError> {
        self.send_whole(Opcode::Binary, data, self.deflates(data.len()), output)
    }

    /// Sends the next fragment of a message, `fin` for the last: for messages whose length is not known, or that are
    /// to let control frames pass in between. The kind is the message's and the same for each of its fragments.
    ///
    /// Text may be cut anywhere, in the middle of a character too, and is checked as it goes.
    ///
    /// # Errors
    /// If the connection is not [open](State::Open), a message of the other kind is being sent, the bytes are no
    /// continuation, or no end, of valid UTF-8, or more than [`Config::max_output`](crate::Config::max_output) would
    /// wait. Nothing is sent then, and the message can go on with other bytes.
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
        self.send_next(kind, payload, fin, true, output)
    }

    /// Sends a text message uncompressed whatever was agreed, for instance because it carries a secret beside what
    /// others can choose, or is compressed already.
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text).
    ///
    /// # Examples
    /// A secret beside what somebody else may have written (RFC 7692 §8):
    /// ```
    /// # use websocket_proto::{Connection, Output, SendError};
    /// fn welcome(token: &str, name: &str, ws: &mut Connection, output: &mut Output) -> Result<(), SendError> {
    ///     ws.send_text_uncompressed(&format!("{token} {name}"), output)
    /// }
    /// ```
    pub fn send_text_uncompressed(&mut self, text: &str, output: &mut Output) -> Result<(), SendError> {
        self.send_whole(Opcode::Text, text.as_bytes(), false, output)
    }

    /// Sends a binary message uncompressed whatever was agreed.
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
        self.send_whole(Opcode::Binary, data, false, output)
    }

    /// Like [`send_fragment`](Self::send_fragment), uncompressed whatever was agreed. The first fragment decides for
    /// the message.
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
        self.send_next(kind, payload, fin, false, output)
    }

    /// Sends a ping, to which the peer has to answer with a pong of the same payload.
    ///
    /// Allowed until the peer's Close was received, between the fragments of a message too (RFC 6455 §5.5.2).
    ///
    /// # Errors
    /// If the payload is longer than 125 bytes, the connection is not open, the peer has sent its Close, or more than
    /// [`Config::max_output`](crate::Config::max_output) would wait.
    pub fn ping(&mut self, payload: &[u8], output: &mut Output) -> Result<(), SendError> {
        self.check_control(payload, output)?;
        self.put_ping(payload, output);
        Ok(())
    }

    /// Sends a pong that nobody asked for, as a one-way heartbeat (RFC 6455 §5.5.3). Pings are answered without it.
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    pub fn pong(&mut self, payload: &[u8], output: &mut Output) -> Result<(), SendError> {
        self.check_control(payload, output)?;
        self.put_frame(true, Opcode::Pong, payload, output);
        Ok(())
    }

    /// Puts a ping: one that was checked, or that of [`Timers`](crate::Timers) while the connection is open.
    pub(crate) fn put_ping(&mut self, payload: &[u8], output: &mut Output) {
        self.put_frame(true, Opcode::Ping, payload, output);
        self.counts.sent_pings = self.counts.sent_pings.saturating_add(1);
    }

    /// The next fragment, if it may be sent.
    fn send_next(
        &mut self,
        kind: MessageKind,
        payload: &[u8],
        fin: bool,
        compress: bool,
        output: &mut Output,
    ) -> Result<(), SendError> {
        if let Err(error) = self.check_open().and_then(|()| self.check_room(payload.len(), output)) {
            return self.not_sent(error, payload.len());
        }
        let mut sending = match self.sending() {
            Some(sending) => sending,
            None => Sending {
                kind,
                text: Utf8Stream::default(),
                compressed: compress && if fin { self.deflates(payload.len()) } else { self.uses_deflate() },
            },
        };
        // RFC 6455 §5.4: "The fragments of one message MUST NOT be interleaved between the fragments of another
        // message".
        if sending.kind != kind {
            return Err(SendError::MessageInProgress);
        }
        if kind == MessageKind::Text {
            sending.text.push(payload).map_err(|_| SendError::InvalidUtf8)?;
            if fin && !sending.text.is_complete() {
                return Err(SendError::InvalidUtf8);
            }
        }
        let opcode = if self.sending().is_some() { Opcode::Continuation } else { kind.opcode() };
        self.put_data(fin, opcode, payload, sending.compressed, output)?;
        if !fin {
            self.held().sending = Some(sending);
        } else if let Some(held) = &mut self.held {
            held.sending = None;
            self.tidy();
        }
        Ok(())
    }

    #[inline]
    pub(super) fn send_whole(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        compress: bool,
        output: &mut Output,
    ) -> Result<(), SendError> {
        if let Err(error) = self.check_sending(payload.len(), output) {
            return self.not_sent(error, payload.len());
        }
        self.put_data(true, opcode, payload, compress, output)
    }

    /// Puts and counts a message, or a fragment of one.
    #[inline]
    fn put_data(
        &mut self,
        fin: bool,
        opcode: Opcode,
        payload: &[u8],
        compress: bool,
        output: &mut Output,
    ) -> Result<(), SendError> {
        if compress {
            self.put_deflated(fin, opcode, payload, output)?;
        } else {
            self.put_frame(fin, opcode, payload, output);
        }
        self.count_sent(payload.len(), fin, compress, output);
        Ok(())
    }

    /// Counts what was put as the last frame.
    #[inline]
    pub(super) fn count_sent(&mut self, bytes: usize, ends_message: bool, compressed: bool, output: &mut Output) {
        self.counts.sent_messages = self.counts.sent_messages.wrapping_add(ends_message.into());
        self.counts.sent_bytes = self.counts.sent_bytes.wrapping_add(bytes as u64);
        if self.browser_rules {
            output.count_message(bytes, compressed);
        }
    }

    /// Whether a message of so many bytes may be sent.
    #[inline]
    pub(super) fn check_sending(&self, bytes: usize, output: &Output) -> Result<(), SendError> {
        self.check_open()?;
        self.check_between_messages()?;
        self.check_room(bytes, output)
    }

    /// Whether no fragmented message is being sent, or none can be any more.
    #[inline]
    pub(crate) fn check_between_messages(&self) -> Result<(), SendError> {
        let is_under_way = self.held.as_ref().is_some_and(|held| held.sending.is_some());
        if is_under_way && self.state() == State::Open { Err(SendError::MessageInProgress) } else { Ok(()) }
    }

    #[inline]
    fn check_room(&self, bytes: usize, output: &Output) -> Result<(), SendError> {
        if self.max_output == u32::MAX {
            return Ok(());
        }
        let wanted = output.len().saturating_add(bytes).saturating_add(FrameHeader::MAX_LEN);
        if wanted > self.max_output as usize { Err(SendError::Full) } else { Ok(()) }
    }

    /// A message that is not sent. Under browser rules that is no error, but for one that comes too early.
    #[cold]
    pub(super) fn not_sent(&mut self, error: SendError, bytes: usize) -> Result<(), SendError> {
        if !self.browser_rules || !matches!(error, SendError::Closing | SendError::Full) {
            return Err(error);
        }
        // WHATWG: "Any invocation of this method with a string argument that does not throw an exception must increase
        // the bufferedAmount attribute by the number of bytes needed to express the argument as UTF-8."
        let held = self.held();
        held.unsent = held.unsent.saturating_add(bytes as u64);
        // WHATWG: "If the data cannot be sent, e.g., because it would need to be buffered but the buffer is full, the
        // user agent must flag the WebSocket as full and then close the WebSocket connection."
        if error == SendError::Full {
            self.end(Closed::failed(ConnectionError::Full));
        }
        self.tidy();
        Ok(())
    }

    #[cold]
    fn not_open(&self) -> SendError {
        if self.phase == Phase::Opening { SendError::Connecting } else { SendError::Closing }
    }

    fn check_control(&self, payload: &[u8], output: &Output) -> Result<(), SendError> {
        match self.phase {
            Phase::Opening => return Err(SendError::Connecting),
            Phase::Draining | Phase::Ending | Phase::Ended => return Err(SendError::Closing),
            Phase::Frames => {}
        }
        // RFC 6455 §5.5: "All control frames MUST have a payload length of 125 bytes or less".
        if payload.len() > 125 {
            return Err(SendError::ControlFrameTooLong);
        }
        self.check_room(payload.len(), output)
    }

    /// RFC 6455 §6.1, 1: "The endpoint MUST ensure the WebSocket connection is in the OPEN state". §5.5.1: "The
    /// application MUST NOT send any more data frames after sending a Close frame."
    #[inline]
    fn check_open(&self) -> Result<(), SendError> {
        if self.phase == Phase::Frames && !self.close_sent { Ok(()) } else { Err(self.not_open()) }
    }
}

/// Frames.
impl Connection {
    /// RFC 6455 §5.1: "a client MUST mask all frames that it sends to the server"; "A server MUST NOT mask any frames
    /// that it sends to the client."
    #[inline]
    pub(super) fn put_frame(&mut self, fin: bool, opcode: Opcode, payload: &[u8], output: &mut Output) {
        let len = if self.role == Role::Server {
            let header = FrameHeader { fin, rsv: 0, opcode, mask: None, payload_len: payload.len() as u64 }.encode();
            output.put_frame(&header, None, payload)
        } else {
            self.put_masked_frame(fin, opcode, payload, output)
        };
        self.count_wire(len);
    }

    /// Apart, so that a server's way is short enough to become part of its caller. Returns the frame's length.
    #[inline(never)]
    fn put_masked_frame(&mut self, fin: bool, opcode: Opcode, payload: &[u8], output: &mut Output) -> usize {
        let key = self.mask_key();
        let header = FrameHeader { fin, rsv: 0, opcode, mask: Some(key), payload_len: payload.len() as u64 }.encode();
        output.put_frame(&header, Some(key), payload)
    }

    #[inline]
    pub(super) fn header(
        &mut self,
        fin: bool,
        rsv: u8,
        opcode: Opcode,
        len: usize,
    ) -> (EncodedHeader, Option<[u8; 4]>) {
        let mask = (self.role == Role::Client).then(|| self.mask_key());
        (FrameHeader { fin, rsv, opcode, mask, payload_len: len as u64 }.encode(), mask)
    }

    /// A client has keys as long as it may send.
    #[inline]
    fn mask_key(&mut self) -> [u8; 4] {
        self.held.as_mut().and_then(|held| held.keys.as_mut()).map(MaskKeys::key).unwrap_or_default()
    }

    #[inline]
    pub(super) fn count_wire(&mut self, bytes: usize) {
        self.counts.sent_wire = self.counts.sent_wire.wrapping_add(bytes as u64);
    }
}

/// No message is compressed without an extension that does it.
#[cfg(not(feature = "deflate"))]
#[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "stands for what the feature does")]
impl Connection {
    pub(super) fn deflates(&self, _: usize) -> bool {
        false
    }

    fn uses_deflate(&self) -> bool {
        false
    }

    fn put_deflated(&mut self, _: bool, _: Opcode, _: &[u8], _: &mut Output) -> Result<(), SendError> {
        Ok(())
    }
}

/// # Closing
/// Each of these starts the closing handshake, behind everything that was sent before. A second call does nothing,
/// and so does one after the peer's Close. In [`State::Connecting`] they end the connection without a byte (RFC 6455
/// §7.2.2): it [is closed](Connection::is_closed) at once, and the last event, with
/// [`ConnectionError::ClosedWhileConnecting`], comes from the next [`receive`](Connection::receive) or
/// [`receive_eof`](Connection::receive_eof); a client that waits for the rest of a refusal's body
/// [reports](crate::Event::Rejected) the part that came instead. Messages may still arrive until the peer answers.
impl Connection {
    /// Closes with a code and a reason, of which at most 123 bytes are sent, cut at the end of a character.
    ///
    /// In [`State::Connecting`] nothing goes out: a server's client sees the transport close without an HTTP response.
    /// To send one, call [`reject`](Self::reject) with the request, or, while that is still under way,
    /// [`time_out`](Self::time_out) with [`Timeout::Opening`](crate::Timeout::Opening).
    pub fn close(&mut self, code: CloseCode, reason: &str, output: &mut Output) {
        self.start_closing(Some(code), cut_reason(reason), output);
    }

    /// Closes without saying why: the peer sees 1005.
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
    /// If the code is neither 1000 nor in 3000–4999, or the reason is longer than 123 bytes. Then nothing was done.
    ///
    /// # Examples
    /// ```
    /// use websocket_proto::{Config, Connection, Output, ScriptCloseError};
    ///
    /// let mut server = Connection::server(Config::new());
    /// let refused = server.close_from_script(Some(1001), "", &mut Output::new());
    /// assert_eq!(refused, Err(ScriptCloseError::InvalidAccess));
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

    fn start_closing(&mut self, code: Option<CloseCode>, reason: &str, output: &mut Output) {
        match self.phase {
            // WHATWG: "If the WebSocket connection is not yet established: Fail the WebSocket connection and set this's
            // ready state to CLOSING (2)."
            Phase::Opening => {
                if !self.end_with_refusal() {
                    self.end(Closed::failed(ConnectionError::ClosedWhileConnecting));
                }
            }
            Phase::Frames => {
                self.put_close(code, reason, output);
                self.note_busy();
            }
            Phase::Draining | Phase::Ending | Phase::Ended => {}
        }
    }
}
