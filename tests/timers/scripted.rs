//! Timers on one endpoint that receives scripted bytes at any time.

use std::time::Duration;

use crate::shared::frames::{ZERO_KEY, encode};
use crate::shared::handshake::REQUEST;
use crate::shared::wired::{ROLES, open};
use bytes::Buf;
use websocket_proto::frame::{FrameHeader, Opcode};
use websocket_proto::mask::apply_mask;
use websocket_proto::{
    ClientRequest, CloseCode, Closed, Config, Connection, ConnectionError, Event, Input, Output, Role, State, Timeout,
    Timeouts, Timers,
};

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// An endpoint before its opening handshake.
fn connecting(role: Role) -> Connection {
    match role {
        Role::Server => Connection::server(Config::new()),
        Role::Client => {
            let request = ClientRequest::new("ws://example.com/");
            Connection::client(&request, Config::new(), [7; 32], &mut Output::new()).unwrap()
        }
    }
}

/// An endpoint after its opening handshake.
pub(crate) fn opened(role: Role) -> Connection {
    open(role, Config::new(), Config::new()).0
}

/// A final frame for an endpoint with this role: masked for a server, with a key that changes nothing.
pub(crate) fn frame(to: Role, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    encode(0x80 | opcode as u8, (to == Role::Server).then_some(ZERO_KEY), payload)
}

/// Receives bytes that do not end the connection; returns the bytes written in response.
pub(crate) fn receive(ws: &mut Connection, bytes: &[u8]) -> Vec<u8> {
    let (mut bytes, mut output) = (bytes.to_vec(), Output::new());
    let mut input = Input::new(&mut bytes);
    while let Some(event) = ws.receive(&mut input, &mut output) {
        assert!(!matches!(event, Event::Closed(_)), "{event:?}");
    }
    output.chunk().to_vec()
}

fn last_event(ws: &mut Connection) -> Closed {
    match ws.receive(&mut Input::new(&mut []), &mut Output::new()) {
        Some(Event::Closed(closed)) => closed,
        event => panic!("{event:?}"),
    }
}

/// Slowloris: a byte each second is progress, and still too slow.
#[test]
fn bytes_do_not_extend_the_handshake() {
    let response = b"HTTP/1.1 101 Switching Protocols\r\nServer: slow\r\n";
    for (role, head) in [(Role::Server, REQUEST), (Role::Client, response)] {
        let (mut ws, mut output) = (connecting(role), Output::new());
        let mut timers = Timers::new(seconds(1000), Timeouts::none().handshake(seconds(10)));
        for (second, byte) in (1000..1010).zip(head) {
            timers.note_activity(seconds(second));
            assert!(receive(&mut ws, &[*byte]).is_empty());
            timers.handle_timeout(seconds(second), &mut ws, &mut output);
            assert_eq!(timers.poll_timeout(), Some(seconds(1010)));
        }
        timers.handle_timeout(Duration::from_nanos(1_009_999_999_999), &mut ws, &mut output);
        assert!(!ws.is_closed() && output.is_empty());
        timers.handle_timeout(seconds(1010), &mut ws, &mut output);
        assert_eq!((ws.is_closed(), timers.poll_timeout()), (true, None));
        let written = String::from_utf8(output.chunk().to_vec()).unwrap();
        match role {
            Role::Server => {
                assert!(written.starts_with("HTTP/1.1 408 Request Timeout\r\n") && written.ends_with("\r\n\r\n"));
                assert!(written.contains("\r\nConnection: close\r\n") && written.contains("\r\nContent-Length: 0\r\n"));
            }
            Role::Client => assert_eq!(written, ""),
        }
        let closed = last_event(&mut ws);
        assert_eq!((closed.code(), closed.error()), (1006, Some(&ConnectionError::Timeout(Timeout::Handshake))));
        assert_eq!(ws.receive_eof(), None);
    }
}

#[test]
fn a_rejection_without_its_body_is_reported() {
    // Without a length the body ends with the stream, which this server leaves open.
    for line in ["Content-Length: 9", "Connection: keep-alive", "Transfer-Encoding: gzip"] {
        let (mut ws, mut output) = (connecting(Role::Client), Output::new());
        let mut timers = Timers::new(seconds(0), Timeouts::new());
        let response = format!("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\n{line}\r\n\r\nback ");
        receive(&mut ws, response.as_bytes());
        timers.handle_timeout(Duration::from_nanos(9_999_999_999), &mut ws, &mut output);
        assert_eq!((ws.state(), timers.poll_timeout()), (State::Connecting, Some(seconds(10))));
        timers.handle_timeout(seconds(10), &mut ws, &mut output);
        assert!(ws.is_closed() && output.is_empty());
        let Some(Event::Rejected(rejection)) = ws.receive_eof() else { panic!("no rejection") };
        assert_eq!((rejection.status(), rejection.body()), (503, b"back ".as_slice()));
        assert_eq!(rejection.retry_after(), Some(seconds(7)));
        let Some(Event::Closed(closed)) = ws.receive_eof() else { panic!("no end") };
        let Some(ConnectionError::Handshake(error)) = closed.error() else { panic!("{closed:?}") };
        assert_eq!(error.status(), 503);
        assert_eq!(ws.receive_eof(), None);
    }
}

/// Any byte is a sign of life, even of a message that never ends; a ping is sent whenever the last sign is too old.
#[test]
fn occasional_bytes_keep_the_connection_alive() {
    for role in ROLES {
        let (mut ws, mut output) = (opened(role), Output::new());
        let mut timers = Timers::new(seconds(0), Timeouts::none().keep_alive(seconds(30), seconds(20)));
        timers.handle_timeout(seconds(0), &mut ws, &mut output);
        for (index, byte) in frame(role, Opcode::Text, &[b'.'; 200]).iter().take(150).enumerate() {
            let last = seconds(49) * index as u32;
            assert_eq!(timers.poll_timeout(), Some(last + seconds(30)));
            timers.handle_timeout(last + seconds(30), &mut ws, &mut output);
            assert_eq!(timers.poll_timeout(), Some(last + seconds(50)));
            let (header, _) = FrameHeader::decode(output.chunk()).unwrap().unwrap();
            assert_eq!((header.opcode, header.payload_len), (Opcode::Ping, 8));
            output.advance(output.remaining());

            assert!(receive(&mut ws, &[*byte]).is_empty());
            timers.handle_timeout(last + seconds(49), &mut ws, &mut output);
            assert!(output.is_empty());
        }
        assert_eq!(ws.state(), State::Open);
    }
}

/// A slow reader: it sends nothing, and its ping waits after bytes that it has not read. Reading some of them now and
/// then is a sign of life, until it reads nothing for the validity plus the wait for the pong.
#[test]
fn reading_the_output_keeps_the_connection_alive() {
    let (mut ws, mut output) = (opened(Role::Server), Output::new());
    let mut timers = Timers::new(seconds(0), Timeouts::none().keep_alive(seconds(30), seconds(20)));
    timers.handle_timeout(seconds(0), &mut ws, &mut output);
    ws.send_binary(&[7; 1000], &mut output).unwrap();
    for taken in (0..20).map(|round| seconds(round * 45)) {
        output.advance(10);
        timers.note_activity(taken);
        timers.handle_timeout(taken, &mut ws, &mut output);
        assert_eq!(timers.poll_timeout(), Some(taken + seconds(30)));
        let before = output.len();
        timers.handle_timeout(taken + seconds(30), &mut ws, &mut output);
        // A ping of 2 + 8 bytes.
        assert_eq!((ws.state(), output.len()), (State::Open, before + 10));
    }
    timers.handle_timeout(seconds(19 * 45 + 50), &mut ws, &mut output);
    assert_eq!(last_event(&mut ws).error(), Some(&ConnectionError::Timeout(Timeout::KeepAlive)));
}

/// A peer that never answers a Close, and goes on sending.
#[test]
fn bytes_do_not_extend_the_closing_handshake() {
    for role in ROLES {
        let (mut ws, mut output) = (opened(role), Output::new());
        let mut timers =
            Timers::new(seconds(0), Timeouts::none().keep_alive(seconds(2), seconds(2)).closing(seconds(5)));
        timers.handle_timeout(seconds(0), &mut ws, &mut output);
        ws.close(CloseCode::NORMAL_CLOSURE, "", &mut output);
        output.advance(output.remaining());
        for second in 0..5 {
            timers.note_activity(seconds(second));
            receive(&mut ws, &frame(role, Opcode::Text, b"and another thing"));
            timers.handle_timeout(seconds(second), &mut ws, &mut output);
            assert_eq!((ws.state(), timers.poll_timeout()), (State::Closing, Some(seconds(5))));
        }
        timers.handle_timeout(seconds(5), &mut ws, &mut output);
        assert!(ws.is_closed() && output.is_empty());
        assert_eq!(last_event(&mut ws).error(), Some(&ConnectionError::Timeout(Timeout::Closing)));
    }
}

/// The payload of the ping that is the only frame in the output.
fn take_ping(output: &mut Output) -> Vec<u8> {
    let bytes = output.copy_to_bytes(output.remaining());
    let (header, len) = FrameHeader::decode(&bytes).unwrap().unwrap();
    assert_eq!((header.opcode, len as u64 + header.payload_len), (Opcode::Ping, bytes.len() as u64));
    let mut payload = bytes[len..].to_vec();
    apply_mask(header.mask.unwrap_or_default(), &mut payload);
    payload
}

#[test]
fn a_round_trip_is_that_of_the_last_ping() {
    for role in ROLES {
        let (mut ws, mut output) = (opened(role), Output::new());
        let mut timers = Timers::new(seconds(0), Timeouts::none().keep_alive(seconds(30), seconds(20)));
        timers.handle_timeout(seconds(0), &mut ws, &mut output);
        assert_eq!(timers.pong(seconds(1), b"nobody asked"), None);
        timers.handle_timeout(seconds(30), &mut ws, &mut output);
        let first = take_ping(&mut output);
        // Other bytes show that the peer is alive; the pong takes longer.
        receive(&mut ws, &frame(role, Opcode::Text, b"busy"));
        timers.handle_timeout(seconds(31), &mut ws, &mut output);
        timers.handle_timeout(seconds(61), &mut ws, &mut output);
        let second = take_ping(&mut output);
        assert_ne!(first, second);
        assert_eq!(timers.pong(seconds(62), &first), None);
        assert_eq!(timers.round_trip(), None);
        assert_eq!(timers.pong(seconds(64), &second), Some(seconds(3)));
        assert_eq!(timers.pong(seconds(65), &second), None);
        assert_eq!(timers.round_trip(), Some(seconds(3)));
    }
}

/// A timeout has no effect in a state that it does not belong to.
#[test]
fn a_timeout_that_comes_too_late_does_nothing() {
    let closing = |role| {
        let mut ws = opened(role);
        ws.close(CloseCode::NORMAL_CLOSURE, "", &mut Output::new());
        ws
    };
    let closed = |role| {
        let mut ws = opened(role);
        assert!(ws.receive_eof().is_some());
        ws
    };
    let timeouts = [Timeout::Handshake, Timeout::KeepAlive, Timeout::Closing];
    let make = |state, role| match state {
        State::Connecting => connecting(role),
        State::Open => opened(role),
        State::Closing => closing(role),
        State::Closed => closed(role),
    };
    let states = [
        (State::Connecting, [true, false, false]),
        (State::Open, [false, true, false]),
        (State::Closing, [false, true, true]),
        (State::Closed, [false, false, false]),
    ];
    for role in ROLES {
        for (state, ends) in states {
            for (timeout, ends) in timeouts.into_iter().zip(ends) {
                let (mut ws, mut output) = (make(state, role), Output::new());
                assert_eq!(ws.state(), state);
                ws.time_out(timeout, &mut output);
                let is_over = ends || state == State::Closed;
                assert_eq!(ws.state(), if ends { State::Closing } else { state }, "{timeout:?} in {state:?}");
                assert_eq!(ws.is_closed(), is_over, "{timeout:?} in {state:?}");
                // A later timeout does not change an end that was not reported yet.
                let waiting = output.len();
                timeouts.into_iter().filter(|_| is_over).for_each(|late| ws.time_out(late, &mut output));
                assert_eq!(output.len(), waiting);
                if ends {
                    assert_eq!(last_event(&mut ws).error(), Some(&ConnectionError::Timeout(timeout)));
                } else {
                    assert!(output.is_empty());
                }
                // At most one Close is sent.
                let says_close = state == State::Open && ends;
                let says_408 = state == State::Connecting && ends && role == Role::Server;
                assert_eq!(!output.is_empty(), says_close || says_408, "{timeout:?} in {state:?}");
            }
        }
    }
}

#[test]
fn a_client_with_both_closes_ends_with_the_servers_code() {
    for timeout in [Timeout::KeepAlive, Timeout::Closing] {
        let (mut ws, mut output) = (opened(Role::Client), Output::new());
        receive(&mut ws, &frame(Role::Client, Opcode::Close, b"\x03\xe9bye"));
        ws.time_out(timeout, &mut output);
        let closed = last_event(&mut ws);
        assert_eq!((closed.code(), closed.reason(), closed.error()), (1001, "bye", None));
        assert!(output.is_empty() && ws.receive_eof().is_none());
    }
}

/// A server that times out while its request is undecided ignores the bytes received after the request.
#[test]
fn bytes_after_an_undecided_request_are_dropped() {
    let (mut ws, mut output) = (Connection::server(Config::new()), Output::new());
    receive(&mut ws, &[REQUEST, &frame(Role::Server, Opcode::Text, b"early")].concat());
    ws.time_out(Timeout::Handshake, &mut output);
    assert!(output.chunk().starts_with(b"HTTP/1.1 503 Service Unavailable\r\n"));
    assert_eq!(last_event(&mut ws).error(), Some(&ConnectionError::Timeout(Timeout::Handshake)));
    assert_eq!(ws.receive_eof(), None);
}

/// Receives bytes, accepts a request, and returns all other events.
fn accept(ws: &mut Connection, bytes: &[u8]) -> Vec<Event<'static>> {
    let (mut bytes, mut events) = (bytes.to_vec(), Vec::new());
    let (mut input, mut output) = (Input::new(&mut bytes), Output::new());
    while let Some(event) = ws.receive(&mut input, &mut output) {
        match event {
            Event::Request(request) => ws.accept(request, &mut output),
            event => events.push(event.into_owned()),
        }
    }
    events
}

/// Wherever the bytes stop, in a head, a header, a message or a Close, the end is one event, and nothing follows it.
#[test]
fn a_timeout_ends_the_connection_at_any_byte() {
    for role in ROLES {
        let (make, head): (fn(Role) -> Connection, _) = match role {
            Role::Server => (connecting, REQUEST),
            Role::Client => (opened, b"".as_slice()),
        };
        let mut fragment = frame(role, Opcode::Text, b"first ");
        fragment[0] &= 0x7f;
        let frames = [
            frame(role, Opcode::Binary, &[b'.'; 200]),
            fragment,
            frame(role, Opcode::Ping, b"between"),
            frame(role, Opcode::Continuation, b"last"),
            frame(role, Opcode::Close, b"\x03\xe8"),
        ];
        let stream = [head, &frames.concat()].concat();
        for (cut, timeout) in (0..stream.len()).flat_map(|cut| [(cut, Timeout::Handshake), (cut, Timeout::KeepAlive)]) {
            let (mut ws, mut output) = (make(role), Output::new());
            let events = accept(&mut ws, &stream[..cut]);
            assert!(!events.iter().any(|event| matches!(event, Event::Closed(_))));
            let is_meant = (ws.state() == State::Connecting) == (timeout == Timeout::Handshake);
            ws.time_out(timeout, &mut output);
            assert_eq!(ws.is_closed(), is_meant, "{timeout:?} at {cut}");
            if is_meant {
                let events = accept(&mut ws, &stream[cut..]);
                let [Event::Closed(closed)] = &events[..] else { panic!("{events:?} at {cut}") };
                assert_eq!(closed.error(), Some(&ConnectionError::Timeout(timeout)));
                assert_eq!(ws.receive_eof(), None);
            }
        }
    }
}
