//! One endpoint of a pair, beside a model of it that follows the documentation. `application` has its application.

mod application;

use std::collections::VecDeque;

use bytes::Buf;
use websocket_proto::handshake::Request;
use websocket_proto::{
    ClientRequest, CloseStatus, Config, Connection, ConnectionError, Event, Input, MessageKind, Output, Role, State,
};

use super::wire::{Decoder, Item, end};

pub struct Side {
    ws: Connection,
    output: Output,
    /// If the traits ask for one: bytes that could not be written at once.
    backlog: Option<Output>,
    /// Bytes in flight to this side.
    inbox: VecDeque<u8>,
    traits: Traits,
    /// A request that waits for a decision.
    request: Option<Request>,

    /// The state that the model expects.
    state: State,
    /// The events that the model expects.
    due: VecDeque<Item>,
    /// The output that the model expects; `true` for an automatic pong.
    log: Vec<(Item, bool)>,
    /// The fragmented message being sent.
    sending: Option<(MessageKind, Vec<u8>)>,
    close_sent: bool,
    /// The body of the peer's Close.
    close_received: Option<Vec<u8>>,
    /// The error of its end, if it does not end by the peer's Close.
    error: Option<ConnectionError>,
    /// Whether it ended before it received everything that its peer sent.
    pub is_cut_off: bool,

    /// Decodes the bytes delivered to this side.
    inbound: Decoder,
    /// Decodes the bytes that this side writes.
    outbound: Decoder,
    sent: Vec<Item>,
    received: Vec<Item>,
    end: Option<Item>,
}

/// The differences between sides.
#[derive(Clone, Copy)]
pub struct Traits {
    pub browser_rules: bool,
    /// Whether later pongs may replace earlier ones.
    pub few_pongs: bool,
    /// Whether bytes that cannot be written at once move to a backlog.
    pub has_backlog: bool,
}

/// # Constructors and getters
impl Side {
    pub fn server(traits: Traits) -> Self {
        Self::new(Connection::server(config(traits)), Output::new(), traits)
    }

    pub fn client(traits: Traits) -> Self {
        let mut output = Output::new();
        let request = ClientRequest::new("ws://example.com/").subprotocol("chat");
        // Under browser rules the client would fail if the server selects no subprotocol.
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
            error: None,
            is_cut_off: false,
            inbound: Decoder::new(!is_client),
            outbound: Decoder::new(is_client).with_fresh_keys(),
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

    /// Whether nothing is left to write, deliver or decide.
    pub fn is_settled(&self) -> bool {
        let unwritten = self.output.len() + self.backlog.as_ref().map_or(0, Output::len);
        unwritten == 0 && self.inbox.is_empty() && self.request.is_none()
    }
}

/// The body of a Close frame with this status and reason.
fn body(status: CloseStatus, reason: &str) -> Vec<u8> {
    match status {
        CloseStatus::Code(code) => [&code.get().to_be_bytes()[..], reason.as_bytes()].concat(),
        status => {
            assert_eq!((status, reason), (CloseStatus::NoStatus, ""));
            Vec::new()
        }
    }
}

/// Limits out of reach, so that neither side has a reason to fail the other.
fn config(traits: Traits) -> Config {
    Config::new()
        .max_message_size(usize::MAX)
        .max_fragments(u32::MAX)
        .max_pending_pong_bytes(if traits.few_pongs { 100 } else { usize::MAX })
        .browser_rules(traits.browser_rules)
}

/// # Sending and receiving bytes
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
            // A payload kept by reference is a chunk of its own.
            let chunk = &from.chunk()[..size.min(from.chunk().len())];
            self.sent.extend(self.outbound.feed(chunk));
            peer.inbox.extend(chunk);
            size -= chunk.len();
            let written = chunk.len();
            from.advance(written);
        }
    }

    /// Receives at most `size` of the bytes in flight.
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

    /// The transport breaks: bytes in flight are lost.
    pub fn lose_transport(&mut self) {
        self.inbox.clear();
        self.is_cut_off = true;
        self.receive_eof();
    }

    /// The peer has closed the transport.
    pub fn receive_eof(&mut self) {
        if self.state != State::Closed {
            let is_past_the_head = self.state != State::Connecting || self.request.is_some();
            if is_past_the_head && self.close_received.is_none() {
                self.error = Some(ConnectionError::TransportLost);
            }
            self.state = State::Closed;
            self.due.push_back(self.close_received.as_deref().map_or(Item::End(1006, String::new()), end));
        }
        while let Some(event) = self.ws.receive_eof() {
            self.observe(event);
        }
        self.check();
    }

    /// Updates the model for an item that the peer sent.
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
                    // RFC 6455 §5.5.1: the reply echoes the status code.
                    self.log_close(body[..body.len().min(2)].to_vec());
                }
                self.close_received = Some(body.clone());
                self.state = State::Closing;
                // §7.1.1: the server closes the transport first.
                if self.ws.role() == Role::Server {
                    self.state = State::Closed;
                    self.due.push_back(end(body));
                    return;
                }
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
            Event::CloseReceived { status, reason } => Item::Close(body(status, &reason)),
            Event::Closed(closed) => {
                assert_eq!(closed.was_clean(), closed.error().is_none(), "{closed:?}");
                // An opening handshake that is cut short has an error of its own kind.
                let is_cut_short = matches!(closed.error(), Some(ConnectionError::Handshake(_)));
                assert!(closed.error() == self.error.as_ref() || (is_cut_short && self.error.is_none()), "{closed:?}");
                assert!(!matches!(closed.error(), Some(ConnectionError::Protocol(_))), "both sides are ours: {closed}");
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
        self.check_state();
    }

    /// The state is the model's, but an end counts only after it was reported.
    pub fn check_state(&self) {
        let is_over = self.state == State::Closed;
        let is_reported = self.due.is_empty();
        let state = if is_over && !is_reported { State::Closing } else { self.state };
        assert_eq!((self.ws.state(), self.ws.is_closed()), (state, is_over));
        let close = self.ws.received_close().map(|(status, reason)| body(status, reason));
        assert_eq!(close, self.close_received);
    }
}

/// # Checks after the end
impl Side {
    /// Asserts that this side sent exactly what the model expects, in order.
    pub fn check_log(&self) {
        assert!(self.outbound.is_between_frames());
        let mut sent = self.sent.iter().peekable();
        for (index, (item, _)) in self.log.iter().enumerate() {
            let is_followed_by_pong = self.log.get(index + 1).is_some_and(|(_, is_pong)| *is_pong);
            if sent.next_if_eq(&item).is_none() {
                // RFC 6455 §5.5.3: the pong to a later ping may replace earlier ones.
                assert!(self.traits.few_pongs && self.log[index].1 && is_followed_by_pong, "{item:x?} was not sent");
            }
        }
        assert_eq!(sent.next(), None, "not logged");
    }

    /// Asserts that every message of the peer arrived whole and in order, if this side read to the end.
    pub fn check_received_from(&self, peer: &Self) {
        let sent: Vec<_> = peer.log.iter().map(|(item, _)| item).filter(|i| matches!(i, Item::Message(..))).collect();
        let received: Vec<_> = self.received.iter().collect();
        assert!(sent.starts_with(&received), "{received:x?} of {sent:x?}");
        let is_deaf = self.is_cut_off || (self.traits.browser_rules && self.close_sent);
        assert!(is_deaf || received.len() == sent.len(), "{received:x?} of {sent:x?}");
    }

    /// Asserts that the end has the code and reason of the peer's Close.
    pub fn check_end_by(&self, peer: &Self) {
        let close =
            peer.log.iter().find_map(|(item, _)| if let Item::Close(body) = item { Some(end(body)) } else { None });
        assert!(close.is_some() && close == self.end, "{:?} by {close:?}", self.end);
    }
}
