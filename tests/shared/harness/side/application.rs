//! The application of a side, and the effects that the model expects.

use websocket_proto::{
    Accept, CloseCode, ConnectionError, MessageKind, PreparedMessage, Reject, Role, SendError, State, Timeout,
};

use super::super::wire::{Item, end};
use super::Side;

impl Side {
    /// Answers the request, if one waits: 0 rejects it, 1 selects a subprotocol if one was offered.
    pub fn decide(&mut self, choice: u8) {
        let Some(request) = self.request.take() else { return };
        let before = self.output.len();
        let offered = request.subprotocols().next().map(str::to_owned);
        match (choice, offered) {
            (0, _) => self.ws.reject(request, &Reject::forbidden(), &mut self.output),
            (1, Some(name)) => {
                let accepted = self.ws.accept_with(request, &Accept::new().subprotocol(name), &mut self.output);
                assert_eq!(accepted.is_ok(), self.state == State::Connecting, "{accepted:?}");
            }
            _ => self.ws.accept(request, &mut self.output),
        }
        if self.state == State::Closed {
            assert_eq!(self.output.len(), before, "an answer after the end");
            return;
        }
        if choice == 0 {
            self.end_abnormally(ConnectionError::RequestRejected(403));
        } else {
            self.state = State::Open;
        }
        self.log.push((Item::Head(Some(if choice == 0 { 403 } else { 101 })), false));
    }

    pub fn send_whole(&mut self, kind: MessageKind, payload: &[u8]) {
        let before = self.output.len();
        let lossy = String::from_utf8_lossy(payload);
        let (sent, payload) = match kind {
            MessageKind::Text => (self.ws.send_text(&lossy, &mut self.output), lossy.as_bytes()),
            MessageKind::Binary => (self.ws.send_binary(payload, &mut self.output), payload),
        };
        if self.is_sent(sent, before, &[(self.sending.is_some(), SendError::MessageInProgress)]) {
            self.log.push((Item::Message(kind, payload.to_vec()), false));
        }
    }

    /// Sends a message by reference.
    pub fn send_shared(&mut self, kind: MessageKind, payload: &[u8], prepared: bool) {
        let before = self.output.len();
        let lossy = String::from_utf8_lossy(payload);
        let payload = if kind == MessageKind::Text { lossy.as_bytes() } else { payload };
        let sent = match (prepared, kind) {
            (false, _) => self.ws.send_bytes(kind, payload.to_vec().into(), &mut self.output),
            (true, MessageKind::Text) => self.ws.send_prepared(&PreparedMessage::text(&lossy), &mut self.output),
            (true, MessageKind::Binary) => self.ws.send_prepared(&PreparedMessage::binary(payload), &mut self.output),
        };
        if self.is_sent(sent, before, &[(self.sending.is_some(), SendError::MessageInProgress)]) {
            self.log.push((Item::Message(kind, payload.to_vec()), false));
        }
    }

    pub fn send_fragment(&mut self, kind: MessageKind, payload: &[u8], fin: bool) {
        let before = self.output.len();
        let sent = self.ws.send_fragment(kind, payload, fin, &mut self.output);
        let (other, message) = match &self.sending {
            Some((sending, so_far)) => (*sending != kind, [so_far, payload].concat()),
            None => (false, payload.to_vec()),
        };
        let bad_text = kind == MessageKind::Text && !other && !is_text(&message, fin);
        if self.is_sent(sent, before, &[(other, SendError::MessageInProgress), (bad_text, SendError::InvalidUtf8)]) {
            if fin {
                self.log.push((Item::Message(kind, message), false));
                self.sending = None;
            } else {
                self.sending = Some((kind, message));
            }
        }
    }

    pub fn send_control(&mut self, is_ping: bool, payload: Vec<u8>) {
        let before = self.output.len();
        let sent =
            if is_ping { self.ws.ping(&payload, &mut self.output) } else { self.ws.pong(&payload, &mut self.output) };
        let is_over = self.close_received.is_some() || self.state == State::Closed;
        let reasons = [
            (self.state == State::Connecting, SendError::Connecting),
            (is_over, SendError::Closing),
            (payload.len() > 125, SendError::ControlFrameTooLong),
        ];
        if self.is_sent_unless(sent, before, &reasons) {
            self.log.push((if is_ping { Item::Ping(payload) } else { Item::Pong(payload) }, false));
        }
    }

    pub fn close(&mut self, code: Option<CloseCode>, reason: &str) {
        let before = self.output.len();
        match code {
            Some(code) => self.ws.close(code, reason, &mut self.output),
            None => self.ws.close_without_code(&mut self.output),
        }
        match self.state {
            State::Open => {
                let fitting = (0..=reason.len().min(123)).rev().find(|&end| reason.is_char_boundary(end)).unwrap_or(0);
                let body = code.map(|code| [&code.get().to_be_bytes(), &reason.as_bytes()[..fitting]].concat());
                self.log_close(body.unwrap_or_default());
                self.state = State::Closing;
                return;
            }
            State::Connecting => self.end_abnormally(ConnectionError::ClosedWhileConnecting),
            State::Closing | State::Closed => {}
        }
        assert_eq!(self.output.len(), before, "a Close that is not due");
    }

    /// A driver with a clock reports that the peer took too long.
    pub fn time_out(&mut self, timeout: Timeout) {
        self.ws.time_out(timeout, &mut self.output);
        match (timeout, self.state) {
            (Timeout::Handshake, State::Connecting) => {
                if self.ws.role() == Role::Server {
                    let status = if self.request.is_some() { 503 } else { 408 };
                    self.log.push((Item::Head(Some(status)), false));
                }
                self.end_abnormally(ConnectionError::Timeout(timeout));
            }
            (Timeout::KeepAlive, State::Open | State::Closing) | (Timeout::Closing, State::Closing) => {
                // A client that has sent and received a Close needs nothing more from its peer.
                if let Some(body) = &self.close_received {
                    self.state = State::Closed;
                    self.due.push_back(end(body));
                    return;
                }
                if timeout == Timeout::KeepAlive && !self.close_sent {
                    self.log_close([&3008_u16.to_be_bytes(), &b"nothing received for too long"[..]].concat());
                }
                self.end_abnormally(ConnectionError::Timeout(timeout));
            }
            _ => {}
        }
    }

    /// Recycles a buffer for the next message: its contents must not matter.
    pub fn recycle(&mut self, size: u8) {
        self.ws.recycle(vec![0xff; size.into()]);
    }

    fn end_abnormally(&mut self, error: ConnectionError) {
        self.error = Some(error);
        self.state = State::Closed;
        self.is_cut_off = true;
        self.due.push_back(Item::End(1006, String::new()));
    }

    pub(super) fn log_close(&mut self, body: Vec<u8>) {
        self.close_sent = true;
        self.log.push((Item::Close(body), false));
    }

    /// Whether a message or fragment was sent. It must be, unless one of `reasons` or the state forbids it.
    fn is_sent(&self, sent: Result<(), SendError>, before: usize, reasons: &[(bool, SendError)]) -> bool {
        // WHATWG: sending after closing is no error, and sends nothing.
        if self.traits.browser_rules && self.state >= State::Closing {
            assert_eq!((sent, self.output.len()), (Ok(()), before));
            return false;
        }
        let states = [
            (self.state == State::Connecting, SendError::Connecting),
            (self.state >= State::Closing, SendError::Closing),
        ];
        self.is_sent_unless(sent, before, &[&states, reasons].concat())
    }

    fn is_sent_unless(&self, sent: Result<(), SendError>, before: usize, reasons: &[(bool, SendError)]) -> bool {
        let mut reasons = reasons.iter().filter(|(applies, _)| *applies).map(|(_, error)| *error);
        match sent {
            Ok(()) => assert_eq!(reasons.next(), None, "sent all the same"),
            Err(error) => {
                assert!(reasons.any(|reason| reason == error), "{error:?} in {:?}", self.state);
                assert_eq!(self.output.len(), before, "an error, and something in the output");
            }
        }
        sent.is_ok()
    }
}

/// Whether the bytes are UTF-8, or, without `fin`, can become UTF-8.
fn is_text(bytes: &[u8], fin: bool) -> bool {
    std::str::from_utf8(bytes).map_or_else(|error| !fin && error.error_len().is_none(), |_| true)
}
