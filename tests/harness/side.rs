//! One endpoint of a pair, next to a model of it made from what its documentation says.

use std::collections::VecDeque;

use bytes::Buf;
use websocket_proto::handshake::Request;
use websocket_proto::{
    Accept, ClientRequest, CloseCode, Config, Connection, Error, Event, Input, MessageKind, Output, Prepared, Reject,
    Role, SendError, State, Timeout,
};

use super::wire::{Decoder, Item, end};

pub struct Side {
    ws: Connection,
    output: Output,
    /// What could not be written at once, if it is moved out of the way.
    backlog: Option<Output>,
    /// Bytes on their way here.
    inbox: VecDeque<u8>,
    traits: Traits,
    /// A request that waits for a decision.
    request: Option<Request>,

    /// The state it has to be in.
    state: State,
    /// The events that are due.
    due: VecDeque<Item>,
    /// What its output has to be, with whether each item is an automatic pong.
    log: Vec<(Item, bool)>,
    /// The fragmented message that is being sent.
    sending: Option<(MessageKind, Vec<u8>)>,
    close_sent: bool,
    /// The body of the peer's Close.
    close_received: Option<Vec<u8>>,
    /// Whether it ended before it could hear all that its peer said.
    pub is_cut_off: bool,

    /// What is delivered here.
    inbound: Decoder,
    /// What leaves here.
    outbound: Decoder,
    sent: Vec<Item>,
    received: Vec<Item>,
    end: Option<Item>,
}

/// What differs from side to side.
#[derive(Clone, Copy)]
pub struct Traits {
    pub browser_rules: bool,
    /// Whether pongs may take the place of others.
    pub few_pongs: bool,
    /// Whether what cannot be written at once is moved out of the way.
    pub has_backlog: bool,
}

/// # Making one
impl Side {
    pub fn server(traits: Traits) -> Self {
        Self::new(Connection::server(config(traits)), Output::new(), traits)
    }

    pub fn client(traits: Traits) -> Self {
        let mut output = Output::new();
        let request = ClientRequest::new("ws://example.com/").subprotocol("chat");
        // Browser rules would make the server's choice of a subprotocol decide over the connection.
        let request = if traits.browser_rules { ClientRequest::new("ws://example.com/") } else { request };
        let client = Connection::client(&request, config(traits), [7; 32], &mut output).expect("the request is valid");
        let mut side = Self::new(client, output, traits);
        side.log.push((Item::Head(None), false));
        side
    }

    fn new(ws: Connection, output: Output, traits: Traits) -> Self {
        let is_client = ws.role() == Role::Client;
        Self {
            ws,
            output,
            backlog: traits.has_backlog.then(Output::new),
            inbox: VecDeque::new(),
            traits,
            request: None,
            state: State::Connecting,
            due: VecDeque::new(),
            log: Vec::new(),
            sending: None,
            close_sent: false,
            close_received: None,
            is_cut_off: false,
            inbound: Decoder::new(!is_client),
            outbound: Decoder::new(is_client),
            sent: Vec::new(),
            received: Vec::new(),
            end: None,
        }
    }

    pub fn state(&self) -> State {
        self.state
    }

    pub fn end(&self) -> Option<&Item> {
        self.end.as_ref()
    }

    /// Whether there is nothing left to write, deliver or decide.
    pub fn is_settled(&self) -> bool {
        let unwritten = self.output.len() + self.backlog.as_ref().map_or(0, Output::len);
        unwritten == 0 && self.inbox.is_empty() && self.request.is_none()
    }
}

/// Limits out of reach, so that neither side has a reason to fail the other.
fn config(traits: Traits) -> Config {
    Config::new()
        .max_message_size(usize::MAX)
        .max_fragments(u32::MAX)
        .max_pending_pongs(if traits.few_pongs { 100 } else { u32::MAX })
        .browser_rules(traits.browser_rules)
}

/// # Bytes going out and coming in
impl Side {
    /// Writes at most `size` bytes to the peer.
    pub fn write(&mut self, size: usize, peer: &mut Self) {
        let from = match &mut self.backlog {
            None => &mut self.output,
            Some(backlog) => {
                backlog.append(&mut self.output);
                assert!(self.output.is_empty());
                backlog
            }
        };
        let mut size = size.min(from.len());
        while size > 0 {
            // What is held by reference is a chunk of its own.
            let chunk = &from.chunk()[..size.min(from.chunk().len())];
            self.sent.extend(self.outbound.feed(chunk));
            peer.inbox.extend(chunk);
            size -= chunk.len();
            let written = chunk.len();
            from.advance(written);
        }
    }

    /// Receives at most `size` bytes of what is on its way.
    pub fn receive(&mut self, size: usize) {
        let mut piece: Vec<u8> = self.inbox.drain(..size.min(self.inbox.len())).collect();
        if !self.is_cut_off {
            self.inbound.feed(&piece).into_iter().for_each(|item| self.expect(item));
        }
        let mut input = Input::new(&mut piece);
        while let Some(event) = self.ws.receive(&mut input, &mut self.output) {
            self.observe(event);
        }
        assert!(input.is_empty(), "None means that every byte was consumed");
        self.check();
    }

    /// The transport breaks: what is on its way is lost.
    pub fn lose_transport(&mut self) {
        self.inbox.clear();
        self.is_cut_off = true;
        self.receive_eof();
    }

    /// The peer has closed the transport.
    pub fn receive_eof(&mut self) {
        if self.state != State::Closed {
            self.state = State::Closed;
            self.due.push_back(self.close_received.as_deref().map_or(Item::End(1006, String::new()), end));
        }
        while let Some(event) = self.ws.receive_eof() {
            self.observe(event);
        }
        self.check();
    }

    /// What has to come of an item that the peer sent.
    fn expect(&mut self, item: Item) {
        if self.state == State::Closed || self.close_received.is_some() {
            return;
        }
        match &item {
            Item::Head(Some(101)) => self.state = State::Open,
            Item::Head(Some(_)) => {
                self.state = State::Closed;
                self.due.extend([item, Item::End(1006, String::new())]);
                return;
            }
            Item::Message(..) if self.traits.browser_rules && self.close_sent => return,
            Item::Ping(data) => self.log.push((Item::Pong(data.clone()), true)),
            Item::Close(body) => {
                if !self.close_sent {
                    // RFC 6455 §5.5.1: it echoes the status code.
                    self.log_close(body[..body.len().min(2)].to_vec());
                }
                self.close_received = Some(body.clone());
                self.state = State::Closing;
                // §7.1.1: the server closes the transport first.
                if self.ws.role() == Role::Server {
                    self.state = State::Closed;
                    self.due.push_back(end(body));
                }
                return;
            }
            _ => {}
        }
        self.due.push_back(item);
    }

    fn observe(&mut self, event: Event<'_>) {
        let item = match event {
            Event::Request(request) => {
                self.request = Some(request);
                Item::Head(None)
            }
            Event::Open(response) | Event::Rejected(response) => Item::Head(Some(response.status())),
            Event::Text(text) => Item::Message(MessageKind::Text, text.into_owned().into_bytes()),
            Event::Binary(data) => Item::Message(MessageKind::Binary, data.into_owned()),
            Event::Ping(data) => Item::Ping(data.into_owned()),
            Event::Pong(data) => Item::Pong(data.into_owned()),
            Event::Closed(closed) => {
                assert!(!matches!(closed.error(), Some(Error::Protocol(_))), "both sides are ours: {closed}");
                Item::End(closed.code(), closed.reason().into())
            }
            event => panic!("{event:?}"),
        };
        assert_eq!(Some(&item), self.due.pop_front().as_ref());
        assert!(self.end.is_none(), "{item:?} after the end");
        match item {
            Item::Message(..) => self.received.push(item),
            Item::End(..) => self.end = Some(item),
            _ => {}
        }
    }

    fn check(&self) {
        assert!(self.due.is_empty(), "events are missing: {:?}", self.due);
        assert_eq!((self.ws.state(), self.ws.is_closed()), (self.state, self.state == State::Closed));
    }
}

/// # What the application does
impl Side {
    /// Answers the request, if there is one: by 0 rejects it, by 1 selects a subprotocol if one was offered.
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
            self.end_abnormally();
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
            (true, MessageKind::Text) => self.ws.send_prepared(&Prepared::text(&lossy), &mut self.output),
            (true, MessageKind::Binary) => self.ws.send_prepared(&Prepared::binary(payload), &mut self.output),
        };
        if self.is_sent(sent, before, &[(self.sending.is_some(), SendError::MessageInProgress)]) {
            self.log.push((Item::Message(kind, payload.to_vec()), false));
        }
    }

    pub fn send_fragment(&mut self, kind: MessageKind, payload: &[u8], fin: bool) {
        let before = self.output.len();
        let sent = self.ws.send_fragment(kind, payload, fin, &mut self.output);
        let (other, message) = match &self.sending {
            Some((sending, gathered)) => (*sending != kind, [gathered, payload].concat()),
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
            State::Connecting => self.end_abnormally(),
            State::Closing | State::Closed => {}
        }
        assert_eq!(self.output.len(), before, "a Close that is not due");
    }

    /// The peer took too long, in the eyes of somebody with a clock.
    pub fn time_out(&mut self, timeout: Timeout) {
        self.ws.time_out(timeout, &mut self.output);
        match (timeout, self.state) {
            (Timeout::Opening, State::Connecting) => {
                if self.ws.role() == Role::Server {
                    let status = if self.request.is_some() { 503 } else { 408 };
                    self.log.push((Item::Head(Some(status)), false));
                }
                self.end_abnormally();
            }
            (Timeout::KeepAlive, State::Open | State::Closing) | (Timeout::Closing, State::Closing) => {
                // A client that has both Closes needs nothing more from its peer.
                if let Some(body) = &self.close_received {
                    self.state = State::Closed;
                    self.due.push_back(end(body));
                    return;
                }
                if timeout == Timeout::KeepAlive && !self.close_sent {
                    self.log_close([&3008_u16.to_be_bytes(), &b"nothing received for too long"[..]].concat());
                }
                self.end_abnormally();
            }
            _ => {}
        }
    }

    /// Gives a buffer to gather the next message in: it must not matter what is in it.
    pub fn recycle(&mut self, size: u8) {
        self.ws.recycle(vec![0xff; size.into()]);
    }

    fn end_abnormally(&mut self) {
        self.state = State::Closed;
        self.is_cut_off = true;
        self.due.push_back(Item::End(1006, String::new()));
    }

    fn log_close(&mut self, body: Vec<u8>) {
        self.close_sent = true;
        self.log.push((Item::Close(body), false));
    }

    /// Whether a part of a message was sent, which it was unless one of these reasons, or the state, is against it.
    fn is_sent(&self, sent: Result<(), SendError>, before: usize, reasons: &[(bool, SendError)]) -> bool {
        // WHATWG: what a script sends too late is no error, and is not sent.
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

/// Whether the bytes are UTF-8, or can become so if this is not yet the end.
fn is_text(bytes: &[u8], fin: bool) -> bool {
    std::str::from_utf8(bytes).map_or_else(|error| !fin && error.error_len().is_none(), |_| true)
}

/// # When all is over
impl Side {
    /// Everything that this side put out was owed, and everything that it owed was put out, in order.
    pub fn check_log(&self) {
        assert!(self.outbound.is_between_frames());
        let mut sent = self.sent.iter().peekable();
        for (index, (item, _)) in self.log.iter().enumerate() {
            let is_followed_by_pong = self.log.get(index + 1).is_some_and(|(_, is_pong)| *is_pong);
            if sent.next_if_eq(&item).is_none() {
                // RFC 6455 §5.5.3: the pong to a later ping may stand for those before it.
                assert!(self.traits.few_pongs && self.log[index].1 && is_followed_by_pong, "{item:x?} was not sent");
            }
        }
        assert_eq!(sent.next(), None, "not logged");
    }

    /// Every message of the peer arrived, whole and in order, if this side listened to the end.
    pub fn check_received_from(&self, peer: &Self) {
        let sent: Vec<_> = peer.log.iter().map(|(item, _)| item).filter(|i| matches!(i, Item::Message(..))).collect();
        let received: Vec<_> = self.received.iter().collect();
        assert!(sent.starts_with(&received), "{received:x?} of {sent:x?}");
        let is_deaf = self.is_cut_off || (self.traits.browser_rules && self.close_sent);
        assert!(is_deaf || received.len() == sent.len(), "{received:x?} of {sent:x?}");
    }

    /// The end says what the peer's Close said.
    pub fn check_end_by(&self, peer: &Self) {
        let close =
            peer.log.iter().find_map(|(item, _)| if let Item::Close(body) = item { Some(end(body)) } else { None });
        assert!(close.is_some() && close == self.end, "{:?} by {close:?}", self.end);
    }
}
