//! Drives connections through every cut of an input and compares the outcomes.

use std::cell::Cell;

use websocket_proto::frame::{FrameHeader, Opcode};
use websocket_proto::handshake::parse_request;
use websocket_proto::{
    Accept, ClientRequest, CloseCode, CloseStatus, Closed, Config, Connection, ConnectionError, Event, Input, Output,
    Role, State,
};

pub(crate) use crate::shared::data::hex;
pub(crate) use crate::shared::events::{binary, ping, pong, text};
pub(crate) use crate::shared::frames::{KEY, decode as frames, frame, from_peer_of};
pub(crate) use crate::shared::handshake::{accept_for, response_to};
pub(crate) use crate::shared::wired::drain;

/// A valid request with no optional header.
pub(crate) const REQUEST: &str = "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// The result of an input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) events: Vec<Event<'static>>,
    /// The bytes put into the output while the input was received.
    pub(crate) output: Vec<u8>,
    pub(crate) state: State,
}

impl Outcome {
    /// The last event, if it is the end.
    pub(crate) fn closed(&self) -> Option<&Closed> {
        match self.events.last() {
            Some(Event::Closed(closed)) => Some(closed),
            _ => None,
        }
    }

    /// The events before the end, or, on a client that still waits for the end, before the peer's Close.
    pub(crate) fn before_end(&self) -> &[Event<'static>] {
        match self.events.split_last() {
            Some((Event::Closed(_) | Event::CloseReceived { .. }, before)) => before,
            _ => &self.events,
        }
    }

    /// The frames in the output, unmasked.
    pub(crate) fn frames(&self) -> Vec<(FrameHeader, Vec<u8>)> {
        frames(&self.output)
    }

    /// The code of the only Close frame, which must be the last frame in the output. `Some(None)`: a Close without a
    /// code.
    #[expect(clippy::option_option, reason = "no Close, a Close without a code, a Close with one")]
    pub(crate) fn close_sent(&self) -> Option<Option<u16>> {
        let frames = self.frames();
        let closes = frames.iter().filter(|(header, _)| header.opcode == Opcode::Close).count();
        assert!(closes <= 1, "more than one Close: {frames:?}");
        let (header, payload) = frames.last()?;
        if closes == 1 {
            assert_eq!(header.opcode, Opcode::Close, "a frame after the Close: {frames:?}");
            return Some(payload.first_chunk().map(|code| u16::from_be_bytes(*code)));
        }
        None
    }

    /// Asserts FAIL(code) of the table: only `events`, then one error; a Close with this code in the output.
    #[track_caller]
    pub(crate) fn assert_fails(&self, code: u16, events: &[Event<'static>]) {
        assert_eq!(self.before_end(), events, "{self:x?}");
        let closed = self.closed().unwrap_or_else(|| panic!("not closed: {self:x?}"));
        assert_failed(closed);
        assert_eq!(self.close_sent(), Some(Some(code)), "{self:x?}");
        assert_eq!(self.state, State::Closed);
    }
}

/// Asserts an unclean end, which always has an error; returns the error.
#[track_caller]
pub(crate) fn assert_failed(closed: &Closed) -> &ConnectionError {
    assert_eq!((closed.status(), closed.code(), closed.reason()), (CloseStatus::Abnormal, 1006, ""), "{closed:?}");
    assert!(!closed.was_clean(), "{closed:?}");
    let error = closed.error().unwrap_or_else(|| panic!("an unclean end without an error: {closed:?}"));
    assert_eq!(closed.to_string(), error.to_string());
    error
}

/// An open server that has received no frame.
pub(crate) fn server() -> Connection {
    server_with(Config::new())
}

pub(crate) fn server_with(config: Config) -> Connection {
    server_for_request(config, REQUEST)
}

thread_local! {
    /// Whether connections made here are [upgraded](Connection::upgraded), with a handshake made by the pure functions.
    static UPGRADED: Cell<bool> = const { Cell::new(false) };
    /// The length of the last head that a connection made here received.
    static HEAD: Cell<usize> = const { Cell::new(0) };
}

/// An open server whose handshake was this request.
pub(crate) fn server_for_request(config: Config, request: &str) -> Connection {
    if UPGRADED.get() {
        let parsed = parse_request(request.as_bytes()).expect("the handshake succeeds");
        let (_, negotiated) = parsed.accept(&Accept::new(), &config).expect("the answer is valid");
        return Connection::upgraded(Role::Server, negotiated, config, [0; 32]);
    }
    HEAD.set(request.len());
    let (mut server, mut output) = (Connection::server(config), Output::new());
    let mut request = request.as_bytes().to_vec();
    let mut input = Input::new(&mut request);
    while let Some(event) = server.receive(&mut input, &mut output) {
        match event {
            Event::Request(request) => server.accept(request, &mut output),
            event => panic!("{event:?}"),
        }
    }
    assert_eq!(server.state(), State::Open);
    server
}

/// An open client that has received no frame.
pub(crate) fn client() -> Connection {
    client_with(Config::new())
}

pub(crate) fn client_with(config: Config) -> Connection {
    client_for_response(config, "")
}

/// An open client whose response had these additional header lines, each ended by CRLF.
pub(crate) fn client_for_response(config: Config, further: &str) -> Connection {
    let request = ClientRequest::new("ws://server.example.com/chat");
    if UPGRADED.get() {
        let handshake = request.extended_connect(&config).expect("the request is valid");
        let lines = further.lines().map(|line| line.split_once(": ").expect("a header line"));
        let lines = lines.map(|(name, value)| (name.to_ascii_lowercase(), value));
        let (_, negotiated) = handshake.check(200, lines).expect("the handshake succeeds");
        return Connection::upgraded(Role::Client, negotiated, config, [7; 32]);
    }
    let (mut client, request) = connecting(&request, config);
    let (mut output, mut response) = (Output::new(), response_to(&request, further));
    HEAD.set(response.len());
    let mut input = Input::new(&mut response);
    assert!(matches!(client.receive(&mut input, &mut output), Some(Event::Open(_))));
    assert_eq!(client.receive(&mut input, &mut output), None);
    client
}

/// A client that has sent its request, and the request.
pub(crate) fn connecting(request: &ClientRequest, config: Config) -> (Connection, String) {
    let mut output = Output::new();
    let client = Connection::client(request, config, [7; 32], &mut output).expect("the request is valid");
    (client, String::from_utf8(drain(&mut output)).expect("a request is text"))
}

/// The value of a header in a head.
pub(crate) fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let line =
        head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{}:", name.to_ascii_lowercase())));
    line.map(|line| line.split_once(':').expect("it has a colon").1.trim())
}

/// Receives the frames on an open connection of each role, at every cut, and passes both outcomes to `check`.
#[track_caller]
pub(crate) fn both_roles(frames: &[(u8, &[u8])], check: impl Fn(Role, Outcome)) {
    check(Role::Server, every_cut(server, &from_peer_of(Role::Server, frames)));
    check(Role::Client, every_cut(client, &from_peer_of(Role::Client, frames)));
}

/// Feeds the pieces to the connection; accepts requests, and records all other events.
pub(crate) fn feed<'p>(ws: &mut Connection, pieces: impl IntoIterator<Item = &'p [u8]>) -> Outcome {
    feed_with(ws, pieces, &|ws, event, output| match event {
        Event::Request(request) => {
            ws.accept(request, output);
            None
        }
        event => Some(event),
    })
}

/// An application: it may react to an event, and returns it to have it recorded.
pub(crate) type Application<'a> = dyn for<'e> Fn(&mut Connection, Event<'e>, &mut Output) -> Option<Event<'e>> + 'a;

pub(crate) fn feed_with<'p>(
    ws: &mut Connection,
    pieces: impl IntoIterator<Item = &'p [u8]>,
    application: &Application<'_>,
) -> Outcome {
    let (mut events, mut output) = (Vec::new(), Output::new());
    for piece in pieces {
        let mut piece = piece.to_vec();
        let mut input = Input::new(&mut piece);
        while let Some(event) = ws.receive(&mut input, &mut output) {
            events.extend(application(ws, event, &mut output).map(Event::into_owned));
        }
        assert!(input.is_empty(), "rule 1: None means that every byte was consumed");
    }
    Outcome { events, output: drain(&mut output), state: ws.state() }
}

/// Receives an input whole, byte by byte, and split into two at every offset, and asserts that the outcomes are equal.
/// If `make` returns an open connection made here, does the same with an [upgraded](Connection::upgraded) one.
#[track_caller]
pub(crate) fn every_cut(make: impl Fn() -> Connection, input: &[u8]) -> Outcome {
    every_cut_with(make, input, &|ws, event, output| match event {
        Event::Request(request) => {
            ws.accept(request, output);
            None
        }
        event => Some(event),
    })
}

#[track_caller]
pub(crate) fn every_cut_with(make: impl Fn() -> Connection, input: &[u8], application: &Application<'_>) -> Outcome {
    HEAD.set(0);
    let whole = feed_with(&mut make(), [input], application);
    let bytewise = feed_with(&mut make(), input.chunks(1), application);
    assert!(bytewise == whole, "byte by byte: {bytewise:x?}\nwhole: {whole:x?}");
    for cut in 0..=input.len() {
        let (head, tail) = input.split_at(cut);
        let split = feed_with(&mut make(), [head, tail], application);
        assert!(split == whole, "cut at {cut}: {split:x?}\nwhole: {whole:x?}");
    }
    UPGRADED.set(true);
    let upgraded = feed_with(&mut make(), [input], application);
    UPGRADED.set(false);
    assert_same_but_for_the_opening(&whole, &upgraded, HEAD.get());
    whole
}

/// RFC 8441 §5: "the peers should proceed with the WebSocket Protocol [...] using the HTTP/2 stream from the CONNECT
/// transaction as if it were the TCP connection". There, offsets count from the first frame, and the mask keys differ.
#[track_caller]
fn assert_same_but_for_the_opening(http1: &Outcome, upgraded: &Outcome, head: usize) {
    let fault = |outcome: &Outcome| match outcome.closed()?.error()? {
        ConnectionError::Protocol(error) => Some((error.kind(), error.offset())),
        _ => None,
    };
    let Some((kind, offset)) = fault(http1) else {
        assert_eq!(http1.events, upgraded.events, "upgraded");
        return assert_same_sent(http1, upgraded);
    };
    assert_eq!(http1.before_end(), upgraded.before_end(), "upgraded");
    assert_eq!(fault(upgraded), Some((kind, offset - head as u64)), "upgraded");
    assert_same_sent(http1, upgraded);
}

#[track_caller]
fn assert_same_sent(http1: &Outcome, upgraded: &Outcome) {
    assert_eq!(http1.state, upgraded.state, "upgraded");
    if http1.output != upgraded.output {
        let unmasked = |outcome: &Outcome| -> Vec<_> {
            let key = |mask: Option<_>| mask.map(|_| KEY);
            let frames = outcome.frames().into_iter();
            frames.map(|(header, payload)| (FrameHeader { mask: key(header.mask), ..header }, payload)).collect()
        };
        assert_eq!(unmasked(http1), unmasked(upgraded), "upgraded");
    }
}

/// The close code with this number, which must be one that may be sent.
pub(crate) fn code(code: u16) -> CloseCode {
    CloseCode::new(code).expect("may travel")
}
