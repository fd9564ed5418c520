//! One connection that receives arbitrary bytes: the cuts make no difference, and every guarantee holds.

use websocket_proto::{
    ClientRequest, CloseCode, CloseStatus, Closed, Config, Connection, ConnectionError, Event, Input, Output, Reject,
    Role, State, handshake::Request,
};

use super::bytes::Bytes;
use super::parts::Parts;
use super::wire::{Decoder, Item};
use super::wired::{drain, receive as receive_all};

/// The bits of an input's first byte.
pub mod flag {
    /// The opening handshake is complete before the input begins.
    pub const OPEN: u8 = 0x01;
    pub const BROWSER_RULES: u8 = 0x02;
    /// Limits on messages, frames, fragments and pongs that are soon reached.
    pub const SMALL_MESSAGES: u8 = 0x04;
    /// Limits on the opening handshake that are soon reached.
    pub const SMALL_HEADS: u8 = 0x08;
    /// A server answers the request only after all bytes were received.
    pub const DEFER: u8 = 0x10;
    /// A server rejects the request.
    pub const REJECT: u8 = 0x20;
    /// The application closes as soon as the connection is open.
    pub const CLOSE: u8 = 0x40;
    /// The application sends every message back, and recycles buffers.
    pub const ECHO: u8 = 0x80;
}

/// A valid request with no optional header.
pub const REQUEST: &[u8] = b"GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// An input for [`server`] and [`client`]: the peer sends `stream`, received in pieces of the sizes `cuts`, repeated as
/// needed.
pub fn input(flags: u8, cuts: &[u8], stream: &[u8]) -> Vec<u8> {
    assert!(cuts.len() < 8);
    [&[flags, cuts.len() as u8], cuts, stream].concat()
}

/// A server receives any bytes.
pub fn server(data: &[u8]) {
    receive_any_bytes(Role::Server, data);
}

/// A client receives any bytes.
pub fn client(data: &[u8]) {
    receive_any_bytes(Role::Client, data);
}

fn receive_any_bytes(role: Role, data: &[u8]) {
    let mut data = Bytes::new(data);
    let setup = Setup { role, flags: data.byte() };
    let count = data.byte();
    // Messages arrive in parts, too; the bits above the number of cuts give the part size.
    let part_size = 4 + usize::from(count / 8);
    let cuts = data.take(usize::from(count % 8));
    let stream = data.rest();
    let whole = setup.run(&[stream]);
    setup.check(&whole, stream.len());
    let (in_parts, unfinished) = setup.run_in_parts(&[stream], part_size);
    assert!(in_parts == whole, "in parts of {part_size}: {in_parts:x?}\nwhole: {whole:x?}");
    for pieces in [pieces(stream, cuts), stream.chunks(1).collect()] {
        let cut = setup.run(&pieces);
        assert!(cut == whole, "in pieces: {pieces:x?}\n{cut:x?}\nwhole: {whole:x?}");
        let (cut, rest) = setup.run_in_parts(&pieces, part_size);
        assert!(cut == whole, "in pieces: {pieces:x?}, parts of {part_size}\n{cut:x?}\nwhole: {whole:x?}");
        assert_eq!(rest, unfinished, "in pieces: {pieces:x?}, parts of {part_size}");
    }
    // Bytes sent before the request is answered are buffered, up to a limit.
    if setup.has(flag::DEFER) && !setup.has(flag::SMALL_HEADS) && stream.len() <= 16 << 10 {
        let prompt = Setup { flags: setup.flags & !flag::DEFER, ..setup }.run(&[stream]);
        assert!(prompt == whole, "answered at once: {prompt:x?}\nat last: {whole:x?}");
    }
}

/// The stream in pieces of the sizes `cuts`, repeated as needed.
pub fn pieces<'s>(mut stream: &'s [u8], cuts: &[u8]) -> Vec<&'s [u8]> {
    let sizes = if cuts.iter().all(|&size| size == 0) { &[1] } else { cuts };
    let mut pieces = Vec::new();
    for &size in sizes.iter().cycle() {
        let (piece, rest) = stream.split_at(stream.len().min(size.into()));
        pieces.push(piece);
        stream = rest;
        if stream.is_empty() {
            break;
        }
    }
    pieces
}

/// The response that accepts the request of the client under test.
pub fn response() -> Vec<u8> {
    let (_, request) = connecting(Config::new(), &[]);
    let mut response = Output::new();
    assert_eq!(receive_all(&mut Connection::server(Config::new()), &request, &mut response), []);
    drain(&mut response)
}

/// A client, and its request: always with the same seed, so that requests differ only in their subprotocols.
fn connecting(config: Config, subprotocols: &[&str]) -> (Connection, Vec<u8>) {
    let mut output = Output::new();
    let request = subprotocols.iter().fold(ClientRequest::new("ws://example.com/chat"), |r, name| r.subprotocol(*name));
    let client = Connection::client(&request, config, [7; 32], &mut output).expect("the request is valid");
    (client, drain(&mut output))
}

struct Setup {
    role: Role,
    flags: u8,
}

/// The result of an input.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    events: Vec<Event<'static>>,
    state: State,
    /// The events at the end of the stream.
    at_eof: Vec<Event<'static>>,
    output: Vec<u8>,
    /// Whether the application closed.
    closing: bool,
}

impl Setup {
    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn config(&self, part_size: usize) -> Config {
        let mut config = Config::new().browser_rules(self.has(flag::BROWSER_RULES));
        if part_size > 0 {
            config = config.part_size(part_size);
        }
        if self.has(flag::SMALL_MESSAGES) {
            let (message, frame) = self.small_limits();
            config = config.max_message_size(message).max_frame_size(frame).max_fragments(3).max_pending_pong_bytes(16);
        }
        if self.has(flag::SMALL_HEADS) {
            config = config.max_head_size(256).max_headers(7);
        }
        config
    }

    /// The limits on a message and on a frame: either can be reached first.
    fn small_limits(&self) -> (usize, usize) {
        if self.role == Role::Server { (64, 48) } else { (48, 64) }
    }

    /// The connection, and the number of bytes that it has received.
    fn connection(&self, part_size: usize) -> (Connection, usize) {
        let config = self.config(part_size);
        let (mut ws, mut first) = match self.role {
            Role::Server => (Connection::server(config), REQUEST.to_vec()),
            Role::Client if self.has(flag::OPEN) => (connecting(config, &[]).0, response()),
            Role::Client => (connecting(config, &["chat", "superchat"]).0, Vec::new()),
        };
        if !self.has(flag::OPEN) {
            return (ws, 0);
        }
        let (mut input, mut output) = (Input::new(&mut first), Output::new());
        match ws.receive(&mut input, &mut output) {
            Some(Event::Request(request)) => ws.accept(request, &mut output),
            event => assert!(matches!(event, Some(Event::Open(_))), "{event:?}"),
        }
        (ws, first.len())
    }

    fn run(&self, pieces: &[&[u8]]) -> Outcome {
        self.run_in_parts(pieces, 0).0
    }

    /// Also returns the message that is incomplete at the end. A `part_size` of 0 means whole messages.
    fn run_in_parts(&self, pieces: &[&[u8]], part_size: usize) -> (Outcome, Option<Event<'static>>) {
        let (ws, _) = self.connection(part_size);
        let mut run = Run {
            setup: self,
            ws,
            output: Output::new(),
            request: None,
            parts: Parts::new(part_size),
            events: Vec::new(),
            closing: false,
        };
        run.close_if_open();
        for piece in pieces {
            run.receive(piece);
        }
        if let Some(request) = run.request.take() {
            run.decide(request);
            run.receive(&[]);
        }
        run.finish()
    }

    /// Asserts what holds for every input.
    fn check(&self, outcome: &Outcome, len: usize) {
        let (last, before) =
            outcome.at_eof.split_last().or(outcome.events.split_last()).expect("the last event exists");
        let Event::Closed(closed) = last else { panic!("the last event is not the end: {outcome:x?}") };
        let events = || outcome.events.iter().chain(&outcome.at_eof);
        assert_eq!(events().filter(|event| matches!(event, Event::Closed(_))).count(), 1, "{outcome:x?}");
        assert!(outcome.at_eof.is_empty() || outcome.state != State::Closed, "{outcome:x?}");
        let rejected = before.iter().any(|event| matches!(event, Event::Rejected(_)));
        assert!(outcome.at_eof.len() <= 1 + usize::from(rejected), "{outcome:x?}");
        events().for_each(|event| self.check_size(event));
        check_end(closed, (self.connection(0).1 + len) as u64);
        // A client reports the peer's Close when it arrives, and again at the end.
        let told: Vec<_> = events().filter_map(received_close).collect();
        let expected = (closed.was_clean() && self.role == Role::Client).then(|| (closed.status(), closed.reason()));
        assert_eq!(told, expected.as_slice(), "{outcome:x?}");
        assert!(!outcome.at_eof.iter().any(|event| received_close(event).is_some()), "{outcome:x?}");
        self.check_output(closed, outcome);
    }

    fn check_size(&self, event: &Event<'_>) {
        let limit = if self.has(flag::SMALL_MESSAGES) { self.small_limits().0 } else { 1 << 20 };
        match event {
            Event::Text(text) => assert!(text.len() <= limit),
            Event::Binary(data) => assert!(data.len() <= limit),
            Event::Ping(data) | Event::Pong(data) => assert!(data.len() <= 125),
            _ => {}
        }
    }

    fn check_output(&self, closed: &Closed, outcome: &Outcome) {
        let masked = self.role == Role::Client;
        let of_frames = masked || self.has(flag::OPEN);
        let decoder = if of_frames { Decoder::of_frames(masked) } else { Decoder::new(masked) };
        let mut decoder = decoder.with_fresh_keys();
        let items = decoder.feed(&outcome.output);
        assert!(decoder.is_between_frames(), "half a frame in the output: {outcome:x?}");
        let close = items.iter().find_map(|item| if let Item::Close(body) = item { Some(&**body) } else { None });
        match closed.error() {
            // RFC 6455 §7.1.7, unless the application sent another Close before.
            Some(ConnectionError::Protocol(error)) if !outcome.closing => {
                assert_eq!(close, Some(&error.close_code().get().to_be_bytes()[..]), "{outcome:x?}");
            }
            // §4.2.1: "return an HTTP response with an appropriate error code".
            Some(ConnectionError::Handshake(error)) if self.role == Role::Server && outcome.at_eof.is_empty() => {
                assert_eq!(items, [Item::Head(Some(error.kind().status()))], "{outcome:x?}");
            }
            Some(ConnectionError::RequestRejected(status)) => {
                assert_eq!(items, [Item::Head(Some(*status))], "{outcome:x?}");
            }
            // §7.2.1: no peer is left to send a Close to.
            Some(_) => assert_eq!(close.is_some(), outcome.closing, "{outcome:x?}"),
            // §5.5.1: "the endpoint MUST send a Close frame in response".
            None => assert!(close.is_some(), "{outcome:x?}"),
        }
        // §5.5.2: pongs are also due after one's own Close; a Close that answers another one or reports an error is the
        // last frame.
        let at_end = items.last().is_some_and(|item| matches!(item, Item::Close(_)));
        assert!(close.is_none() || at_end || outcome.closing, "{outcome:x?}");
        self.check_pongs(&items, outcome);
        self.check_echo(&items, outcome);
    }

    /// RFC 6455 §5.5.3: a pong for each ping with its payload, or, if pongs pile up, at least for the latest.
    fn check_pongs(&self, items: &[Item], outcome: &Outcome) {
        let mut pings =
            outcome.events.iter().filter_map(|e| if let Event::Ping(data) = e { Some(&**data) } else { None });
        let pongs: Vec<_> =
            items.iter().filter_map(|i| if let Item::Pong(data) = i { Some(&**data) } else { None }).collect();
        if self.has(flag::SMALL_MESSAGES) {
            assert_eq!(pings.clone().next_back(), pongs.last().copied(), "{outcome:x?}");
            assert!(pongs.iter().all(|pong| pings.any(|ping| ping == *pong)), "{outcome:x?}");
        } else if outcome.output.len() <= 16 << 10 {
            assert!(pings.eq(pongs), "{outcome:x?}");
        }
    }

    /// The messages sent are those that the application echoed; browsers ignore messages once they close.
    fn check_echo(&self, items: &[Item], outcome: &Outcome) {
        let received: Vec<_> = outcome.events.iter().filter_map(message).collect();
        let sent = items.iter().filter_map(|i| if let Item::Message(_, data) = i { Some(&**data) } else { None });
        let is_discarding = outcome.closing && self.has(flag::BROWSER_RULES);
        assert!(!is_discarding || received.is_empty(), "{outcome:x?}");
        let echoed = if self.has(flag::ECHO) && !outcome.closing { &received[..] } else { &[] };
        assert!(sent.eq(echoed.iter().copied()), "{outcome:x?}");
    }
}

fn check_end(closed: &Closed, received: u64) {
    let offset = match closed.error() {
        Some(ConnectionError::Protocol(error)) => error.offset(),
        Some(ConnectionError::Handshake(error)) => error.offset(),
        _ => 0,
    };
    assert!(offset <= received, "{closed:?} in {received} bytes");
    // RFC 6455 §7.1.5: without the peer's Close, and so after every error, the code is 1006.
    assert_eq!(closed.was_clean(), closed.code() != 1006, "{closed:?}");
    // WHATWG: `error` fires before `close` exactly if the end was not clean.
    assert_eq!(closed.was_clean(), closed.error().is_none(), "{closed:?}");
    assert!(closed.reason().len() <= 123 && (closed.was_clean() || closed.reason().is_empty()), "{closed:?}");
}

fn received_close<'e>(event: &'e Event<'_>) -> Option<(CloseStatus, &'e str)> {
    if let Event::CloseReceived { status, reason } = event { Some((*status, reason)) } else { None }
}

fn message<'e>(event: &'e Event<'_>) -> Option<&'e [u8]> {
    match event {
        Event::Text(text) => Some(text.as_bytes()),
        Event::Binary(data) => Some(data),
        _ => None,
    }
}

/// A connection with its application.
struct Run<'s> {
    setup: &'s Setup,
    ws: Connection,
    output: Output,
    request: Option<Request>,
    parts: Parts,
    events: Vec<Event<'static>>,
    closing: bool,
}

impl Run<'_> {
    fn receive(&mut self, piece: &[u8]) {
        let mut piece = piece.to_vec();
        let mut input = Input::new(&mut piece);
        while let Some(event) = self.ws.receive(&mut input, &mut self.output) {
            self.answer(event);
            self.close_if_open();
            self.check_state(self.events.last());
        }
        assert!(input.is_empty(), "None means that every byte was consumed");
    }

    fn answer(&mut self, event: Event<'_>) {
        match event {
            Event::Request(request) if self.setup.has(flag::DEFER) => self.request = Some(request),
            Event::Request(request) => self.decide(request),
            event => {
                let Some(event) = self.parts.reassemble(event) else { return };
                if self.setup.has(flag::ECHO) {
                    // The connection may be closing, where it is an error to send.
                    let _ = match &event {
                        Event::Text(text) => self.ws.send_text(text, &mut self.output),
                        Event::Binary(data) => self.ws.send_binary(data, &mut self.output),
                        _ => Ok(()),
                    };
                    self.ws.recycle(vec![0xff; 40]);
                }
                self.events.push(event.into_owned());
            }
        }
    }

    fn decide(&mut self, request: Request) {
        if self.setup.has(flag::REJECT) {
            self.ws.reject(request, &Reject::forbidden().body("no"), &mut self.output);
        } else {
            self.ws.accept(request, &mut self.output);
        }
        self.close_if_open();
    }

    fn close_if_open(&mut self) {
        if self.setup.has(flag::CLOSE) && self.ws.state() == State::Open {
            self.ws.close(CloseCode::GOING_AWAY, "enough", &mut self.output);
            self.closing = true;
        }
    }

    /// Asserts that the connection's state matches its last event.
    fn check_state(&self, last: Option<&Event<'_>>) {
        let (state, close) = (self.ws.state(), self.ws.received_close());
        match last {
            Some(Event::Closed(closed)) => {
                assert_eq!((state, self.ws.is_closed()), (State::Closed, true));
                assert_eq!(close, closed.was_clean().then(|| (closed.status(), closed.reason())));
            }
            Some(event) if received_close(event).is_some() => {
                assert_eq!((state, self.ws.is_closed()), (State::Closing, false));
                assert_eq!(close, received_close(event));
            }
            _ => {
                assert!(state == State::Closing || (state < State::Closing && !self.ws.is_closed()), "{state:?}");
                assert_eq!(close, None);
            }
        }
    }

    fn finish(mut self) -> (Outcome, Option<Event<'static>>) {
        let (state, mut at_eof) = (self.ws.state(), Vec::new());
        while let Some(event) = self.ws.receive_eof() {
            at_eof.push(event);
            self.check_state(at_eof.last());
        }
        assert!(self.ws.is_closed() && self.ws.state() == State::Closed);
        let output = drain(&mut self.output);
        // After the end, no input has any effect.
        self.receive(b"\x81\x80\0\0\0\0\x89\x00GET / HTTP/1.1\r\n\r\n");
        assert!(self.ws.receive_eof().is_none() && self.output.is_empty());
        let outcome = Outcome { events: self.events, state, at_eof, output, closing: self.closing };
        (outcome, self.parts.unfinished)
    }
}
