//! One of the connections that share an output, beside a model of its expected behaviour.

use bytes::Buf;
use websocket_proto::{
    CloseCode, Closed, Connection, ConnectionError, Event, Input, MessageKind, Output, PreparedMessage, Role,
    SendError, State, Timeout,
};

use super::super::parts::Parts;
use super::super::wire::Item;
use super::peer::{self, Peer};
use super::traits;

pub(super) struct Member {
    name: u8,
    traits: u8,
    ws: Connection,
    peer: Peer,
    /// Bytes put out and not yet written.
    backlog: Output,
    /// The items that its peer must receive; `true` for an automatic pong.
    log: Vec<(Item, bool)>,
    /// The number of payloads so far, which makes each payload different.
    serial: u16,
    /// The number of calls with an output.
    calls: u16,
    /// The fragmented message being sent.
    sending: Option<(MessageKind, Vec<u8>)>,
    close_sent: bool,
    parts: Parts,
    /// The number of the peer's items that it has received.
    heard: usize,
    /// Whether it ended before it received everything.
    is_cut_off: bool,
    has_timed_out: bool,
    ends: u8,
}

/// # Constructor
impl Member {
    pub(super) fn open(name: u8, traits: u8, output: &mut Output) -> Self {
        let (ws, peer) = peer::open(traits, output);
        Self {
            name,
            traits,
            ws,
            peer,
            backlog: Output::new(),
            log: Vec::new(),
            serial: 0,
            calls: 0,
            sending: None,
            close_sent: false,
            parts: Parts::new(if traits & traits::PARTS == 0 { 0 } else { 20 }),
            heard: 0,
            is_cut_off: false,
            has_timed_out: false,
            ends: 0,
        }
    }

    pub(super) fn name(&self) -> u8 {
        self.name
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ends > 0
    }

    fn has(&self, flag: u8) -> bool {
        self.traits & flag != 0
    }

    /// A payload that no other message of any connection has.
    fn payload(&mut self, content: &[u8]) -> String {
        self.serial += 1;
        let content = content.iter().map(|byte| char::from(b' ' + byte % 95));
        format!("{}{} ", char::from(self.name), self.serial).chars().chain(content).collect()
    }
}

/// # Writing
impl Member {
    /// Calls the connection with the output whose turn it is.
    fn with_output<T>(&mut self, output: &mut Output, call: impl FnOnce(&mut Connection, &mut Output) -> T) -> T {
        self.calls += 1;
        let uses_backlog = self.has(traits::DIRECT) && self.calls % 4 < 2 && !self.backlog.is_empty();
        call(&mut self.ws, if uses_backlog { &mut self.backlog } else { output })
    }

    /// Moves the bytes of the shared output to the backlog, to empty it for the next connection.
    pub(super) fn clear_the_way(&mut self, output: &mut Output) {
        if self.has(traits::EAGER) && self.backlog.is_empty() {
            let half = output.len() / 2;
            write(output, half, &mut self.peer);
        }
        self.backlog.append(output);
    }

    pub(super) fn write(&mut self, size: usize) {
        write(&mut self.backlog, size, &mut self.peer);
    }
}

fn write(output: &mut Output, size: usize, peer: &mut Peer) {
    let mut size = size.min(output.len());
    while size > 0 {
        // A payload kept by reference is a chunk of its own.
        let chunk = &output.chunk()[..size.min(output.chunk().len())];
        assert!(!chunk.is_empty(), "of {} bytes that wait", output.len());
        peer.receive(chunk);
        let written = chunk.len();
        size -= written;
        output.advance(written);
    }
}

/// # The application
impl Member {
    pub(super) fn send(&mut self, kind: MessageKind, content: &[u8], output: &mut Output) {
        self.send_by(kind, content, output, |ws, payload, output| match kind {
            MessageKind::Text => ws.send_text(payload, output),
            MessageKind::Binary => ws.send_binary(payload.as_bytes(), output),
        });
    }

    pub(super) fn send_uncompressed(&mut self, kind: MessageKind, content: &[u8], output: &mut Output) {
        self.send_by(kind, content, output, |ws, payload, output| match kind {
            MessageKind::Text => ws.send_text_uncompressed(payload, output),
            MessageKind::Binary => ws.send_binary_uncompressed(payload.as_bytes(), output),
        });
    }

    pub(super) fn send_bytes(&mut self, kind: MessageKind, content: &[u8], output: &mut Output) {
        self.send_by(kind, content, output, |ws, payload, output| {
            ws.send_bytes(kind, payload.to_owned().into_bytes().into(), output)
        });
    }

    pub(super) fn send_prepared(&mut self, kind: MessageKind, content: &[u8], output: &mut Output) {
        self.send_by(kind, content, output, |ws, payload, output| {
            let prepared = match kind {
                MessageKind::Text => PreparedMessage::text(payload),
                MessageKind::Binary => PreparedMessage::binary(payload.as_bytes()),
            };
            ws.send_prepared(&prepared, output)
        });
    }

    fn send_by(
        &mut self,
        kind: MessageKind,
        content: &[u8],
        output: &mut Output,
        send: impl FnOnce(&mut Connection, &str, &mut Output) -> Result<(), SendError>,
    ) {
        let (payload, state) = (self.payload(content), self.ws.state());
        let expected = match (state, &self.sending) {
            (State::Open, None) => Ok(()),
            (State::Open, Some(_)) => Err(SendError::MessageInProgress),
            _ => Err(SendError::Closing),
        };
        if self.is_sent(expected, output, |ws, output| send(ws, &payload, output)) {
            self.log.push((Item::Message(kind, payload.into_bytes()), false));
        }
    }

    pub(super) fn send_fragment(&mut self, content: &[u8], fin: bool, output: &mut Output) {
        let payload = self.payload(content).into_bytes();
        let first = if payload.len().is_multiple_of(2) { MessageKind::Text } else { MessageKind::Binary };
        let kind = self.sending.as_ref().map_or(first, |(kind, _)| *kind);
        let expected = if self.ws.state() == State::Open { Ok(()) } else { Err(SendError::Closing) };
        if !self.is_sent(expected, output, |ws, output| ws.send_fragment(kind, &payload, fin, output)) {
            return;
        }
        let (_, before) = self.sending.take().unwrap_or((kind, Vec::new()));
        let message = [before, payload].concat();
        if fin {
            self.log.push((Item::Message(kind, message), false));
        } else {
            self.sending = Some((kind, message));
        }
    }

    pub(super) fn send_control(&mut self, is_ping: bool, len: u8, output: &mut Output) {
        let mut payload = self.payload(&[]).into_bytes();
        payload.resize(payload.len().max((len & 0x7f).into()), b'.');
        let expected = if payload.len() > 125 { Err(SendError::ControlFrameTooLong) } else { Ok(()) };
        // The application can send until the peer's Close has arrived, whatever it has sent.
        let expected = if self.is_over() { Err(SendError::Closing) } else { expected };
        let send = if is_ping { Connection::ping } else { Connection::pong };
        if self.is_sent(expected, output, |ws, output| send(ws, &payload, output)) {
            self.log.push((if is_ping { Item::Ping(payload) } else { Item::Pong(payload) }, false));
        }
    }

    /// Whether something was sent, which must match the expectation.
    fn is_sent(
        &mut self,
        expected: Result<(), SendError>,
        output: &mut Output,
        send: impl FnOnce(&mut Connection, &mut Output) -> Result<(), SendError>,
    ) -> bool {
        let (sent, grown) = self.with_output(output, |ws, output| {
            let before = output.len();
            (send(ws, output), output.len() > before)
        });
        assert_eq!((sent, grown), (expected, expected.is_ok()));
        grown
    }

    pub(super) fn close(&mut self, code: Option<CloseCode>, output: &mut Output) {
        let was_open = self.ws.state() == State::Open;
        self.with_output(output, |ws, output| match code {
            Some(code) => ws.close(code, "bye", output),
            None => ws.close_without_code(output),
        });
        if was_open {
            self.log_close(code.map_or(Vec::new(), |code| [&code.get().to_be_bytes()[..], b"bye"].concat()));
        }
    }

    pub(super) fn time_out(&mut self, timeout: Timeout, output: &mut Output) {
        let (state, was_closed) = (self.ws.state(), self.ws.is_closed());
        self.with_output(output, |ws, output| ws.time_out(timeout, output));
        let applies = !was_closed
            && match timeout {
                Timeout::KeepAlive => matches!(state, State::Open | State::Closing),
                Timeout::Closing => state == State::Closing,
                _ => false,
            };
        // A client that has sent and received a Close needs nothing more from its peer.
        if applies && !self.has_received_close() {
            if state == State::Open {
                self.log_close([&3008_u16.to_be_bytes()[..], b"nothing received for too long"].concat());
            }
            (self.is_cut_off, self.has_timed_out) = (true, true);
        }
        assert_eq!(self.ws.is_closed(), applies || was_closed);
    }

    /// Recycles a buffer for the next message: its contents must not matter.
    pub(super) fn recycle(&mut self, size: u8) {
        self.ws.recycle(vec![0xff; size.into()]);
    }

    pub(super) fn lose_transport(&mut self) {
        self.is_cut_off |= !self.is_over();
        self.peer.lose();
        self.receive_eof();
    }

    fn log_close(&mut self, body: Vec<u8>) {
        self.close_sent = true;
        self.log.push((Item::Close(body), false));
    }
}

/// # The peer
impl Member {
    pub(super) fn hear_message(&mut self, how: u8, content: &[u8]) {
        if !self.peer.is_done() {
            let payload = self.payload(content).into_bytes();
            self.peer.send_message(how, payload);
        }
    }

    pub(super) fn hear_control(&mut self, is_ping: bool, len: u8) {
        if !self.peer.is_done() {
            let mut payload = self.payload(&[]).into_bytes();
            payload.resize(payload.len().max((len % 126).into()), b'.');
            self.peer.send_control(is_ping, payload);
        }
    }

    pub(super) fn hear_close(&mut self, code: [u8; 2]) {
        if !self.peer.is_done() {
            let may_travel = CloseCode::new(u16::from_be_bytes(code)).is_some();
            self.peer.send_close(if may_travel { &code } else { b"" });
        }
    }

    pub(super) fn hear_fault(&mut self, choice: u8) {
        if !self.peer.is_done() {
            self.peer.send_fault(choice);
        }
    }

    /// Whether the peer's Close has arrived.
    fn has_received_close(&self) -> bool {
        self.peer.close.is_some() && self.peer.is_heard()
    }

    /// Whether no more frames are sent.
    fn is_over(&self) -> bool {
        self.ws.is_closed() || self.has_received_close()
    }
}

/// # Receiving
impl Member {
    pub(super) fn receive(&mut self, size: usize, only_one: bool, output: &mut Output) {
        let was_over = self.is_over();
        let mut piece = self.peer.deliver(size);
        let mut input = Input::new(&mut piece);
        let (events, has_more) = self.with_output(output, |ws, output| {
            let mut events = Vec::new();
            while let Some(event) = ws.receive(&mut input, output) {
                events.push(event.into_owned());
                if only_one {
                    return (events, true);
                }
            }
            assert!(input.is_empty(), "None means that every byte was consumed");
            (events, false)
        });
        self.peer.take_back(input.into_rest());
        for event in events {
            self.observe(event);
        }
        if was_over || !self.peer.is_heard() {
            return;
        }
        assert!(has_more || self.peer.fault.is_none() || self.ws.is_closed(), "a fault without an error");
        if let Some(close) = self.peer.close.clone() {
            if !self.close_sent {
                // RFC 6455 §5.5.1: it echoes the status code.
                self.log_close(close);
            }
            assert_eq!(self.ws.is_closed(), self.ws.role() == Role::Server);
        }
    }

    fn receive_eof(&mut self) {
        while let Some(event) = self.ws.receive_eof() {
            self.observe(event);
        }
        assert!(self.ws.is_closed());
    }

    fn observe(&mut self, event: Event<'static>) {
        assert_eq!(self.ends, 0, "{event:?} after the end");
        let item = match self.parts.reassemble(event) {
            None => return,
            Some(Event::Text(text)) => Item::Message(MessageKind::Text, text.into_owned().into_bytes()),
            Some(Event::Binary(data)) => Item::Message(MessageKind::Binary, data.into_owned()),
            Some(Event::Pong(data)) => Item::Pong(data.into_owned()),
            Some(Event::Ping(data)) => {
                self.log.push((Item::Pong(data.to_vec()), true));
                Item::Ping(data.into_owned())
            }
            Some(Event::CloseReceived { .. }) => {
                assert!(
                    self.ws.role() == Role::Client && self.peer.close.is_some(),
                    "a Close that the peer did not send"
                );
                return;
            }
            Some(Event::Closed(closed)) => return self.end(&closed),
            Some(event) => panic!("{event:?}"),
        };
        assert_eq!(self.peer.sent.get(self.heard), Some(&item), "not the peer's items in order");
        self.heard += 1;
    }
}

/// # The end
impl Member {
    fn end(&mut self, closed: &Closed) {
        self.ends = 1;
        match closed.error() {
            None => assert!(!self.has_timed_out),
            Some(ConnectionError::Timeout(_)) => assert!(self.has_timed_out),
            Some(ConnectionError::TransportLost) => assert!(self.is_cut_off),
            Some(ConnectionError::Protocol(error)) => {
                let code = error.close_code().get();
                assert_eq!(Some(code), self.peer.fault, "{closed}");
                self.is_cut_off = true;
                if !self.close_sent {
                    self.log_close(code.to_be_bytes().to_vec());
                }
            }
            Some(error) => panic!("{error:?}"),
        }
        assert_eq!(closed.was_clean(), !self.is_cut_off, "{closed}");
    }

    /// Ends the connection, and checks that both sides received everything that the other sent.
    pub(super) fn finish(&mut self, output: &mut Output) {
        self.hear_close(1001_u16.to_be_bytes());
        self.receive(usize::MAX, false, output);
        self.receive_eof();
        self.clear_the_way(output);
        self.write(usize::MAX);
        assert_eq!(self.ends, 1);
        assert!(self.is_cut_off || self.heard == self.peer.sent.len(), "{:x?}", &self.peer.sent[self.heard..]);
        assert!(self.peer.is_between_frames(), "half a frame");
        assert_eq!(self.ws.counters().sent.wire_bytes, self.peer.received_bytes);
        let mut received = self.peer.received.iter().peekable();
        for (index, (item, is_pong)) in self.log.iter().enumerate() {
            let is_followed_by_pong = self.log.get(index + 1).is_some_and(|(_, is_pong)| *is_pong);
            if received.next_if_eq(&item).is_none() {
                // RFC 6455 §5.5.3: the pong to a later ping may replace earlier ones.
                let is_replaced = self.has(traits::FEW_PONGS) && *is_pong && is_followed_by_pong;
                assert!(is_replaced, "{item:x?} is missing: {:x?}", received.next());
            }
        }
        assert_eq!(received.next(), None, "the connection sent no such item");
    }
}
