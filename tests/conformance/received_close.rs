//! RFC 6455 §7.1.3, §7.1.5 and §7.1.6: the peer's Close is known as soon as it is received. A client reports it in an
//! event of its own, because its end comes later; a server's last event reports it; `received_close` returns it for
//! both.

use std::borrow::Cow;

use websocket_proto::handshake::Request;
use websocket_proto::{
    ClientRequest, CloseCode, CloseStatus, Config, Connection, Event, Input, Output, Role, SendError, State, Timeout,
};

use crate::faults::{header_from_peer_of, open};
use crate::harness::{
    REQUEST, assert_failed, code, connecting, every_cut, every_cut_with, feed, from_peer_of, response_to, text,
};
use crate::rows;
use crate::shared::wired::ROLES;

/// The status and the reason of a Close frame.
type Contents<'c> = (CloseStatus, &'c str);

/// Bodies of Close frames, each with its status and reason.
fn closes() -> [(Vec<u8>, Contents<'static>); 5] {
    const LONGEST: &str = "€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€";
    let with_code = |number: u16, reason: &'static str| {
        ([&number.to_be_bytes()[..], reason.as_bytes()].concat(), (CloseStatus::Code(code(number)), reason))
    };
    assert_eq!(LONGEST.len(), 123);
    [
        (Vec::new(), (CloseStatus::NoStatus, "")),
        with_code(1000, ""),
        with_code(1001, "bye"),
        with_code(4000, "für immer"),
        with_code(4999, LONGEST),
    ]
}

/// All settings that may change how a Close is received.
fn configs() -> impl Iterator<Item = Config> {
    let config = |rules, parts| Config::new().browser_rules(rules).part_size(parts);
    [false, true].into_iter().flat_map(move |rules| [0, 4].map(|parts| config(rules, parts)))
}

/// Asserts that the connection has received this Close, and can neither ping nor close again.
#[track_caller]
fn assert_received(ws: &mut Connection, contents: Contents<'_>, output: &mut Output) {
    let before = output.len();
    assert_eq!(ws.received_close(), Some(contents));
    // §5.5.2: "An endpoint MAY send a Ping frame any time after the connection is established and before the connection
    // is closed." A peer that has sent its Close would not answer it.
    assert_eq!(ws.ping(b"", output), Err(SendError::Closing));
    ws.close(CloseCode::NORMAL_CLOSURE, "a second Close", output);
    assert_eq!(output.len(), before);
    assert_eq!(ws.received_close(), Some(contents));
}

/// The frame may arrive between messages or in the middle of one, before an own Close or after it.
#[test]
fn the_close_is_known_when_it_is_received() {
    rows!("6455-7.1.3-1", "6455-7.1.5-1", "6455-7.1.5-2", "6455-7.1.6-1", "6455-5.5.1-16", "6455-5.5.1-17");
    let befores: [&[(u8, &[u8])]; 3] = [&[], &[(0x89, b"p")], &[(0x01, b"mess"), (0x8a, b""), (0x00, b"age")]];
    for (role, config) in ROLES.into_iter().flat_map(|role| configs().map(move |config| (role, config))) {
        for (before, closing_first) in befores.into_iter().flat_map(|before| [(before, false), (before, true)]) {
            for (body, contents) in closes() {
                let make = || {
                    let mut ws = open(role, &config);
                    assert_eq!(ws.received_close(), None);
                    if closing_first {
                        ws.close(CloseCode::NORMAL_CLOSURE, "our own", &mut Output::new());
                    }
                    ws
                };
                let late: &[(u8, &[u8])] = &[(0x88, b"\x03\xe8late"), (0x89, b"late")];
                let frames = [before, &[(0x88, body.as_slice())], late].concat();
                let outcome = every_cut_with(make, &from_peer_of(role, &frames), &|ws, event, output| {
                    match &event {
                        Event::CloseReceived { status, reason } => {
                            assert_eq!((role, *status, &**reason), (Role::Client, contents.0, contents.1));
                            assert_eq!((ws.state(), ws.is_closed()), (State::Closing, false));
                            assert_received(ws, contents, output);
                        }
                        Event::Closed(closed) => {
                            assert_eq!(
                                (role, closed.status(), closed.reason()),
                                (Role::Server, contents.0, contents.1)
                            );
                            assert_eq!((ws.state(), ws.is_closed()), (State::Closed, true));
                            assert_received(ws, contents, output);
                        }
                        _ => {
                            assert_eq!(ws.received_close(), None);
                            return None;
                        }
                    }
                    Some(event)
                });
                assert_eq!(outcome.events.len(), 1, "{role:?} {config:?}: {outcome:x?}");
                assert_stays_known(make(), &from_peer_of(role, &frames), contents);
            }
        }
    }
}

/// Asserts that the Close stays known after the end of the stream, and after the last event.
fn assert_stays_known(mut ws: Connection, input: &[u8], contents: Contents<'_>) {
    let mut output = Output::new();
    let mut events = feed(&mut ws, [input]).events;
    assert_received(&mut ws, contents, &mut output);
    events.extend(std::iter::from_fn(|| ws.receive_eof()));
    let Some(Event::Closed(closed)) = events.pop() else { panic!("no end: {events:?}") };
    assert_eq!((closed.status(), closed.reason(), closed.was_clean()), (contents.0, contents.1, true));
    assert_received(&mut ws, contents, &mut output);
    assert_eq!(feed(&mut ws, [input]).events, []);
    assert_eq!(ws.receive_eof(), None);
    assert_received(&mut ws, contents, &mut output);
}

/// A server may close right after accepting.
#[test]
fn the_close_may_come_with_the_response() {
    rows!("6455-7.1.3-1", "WS-STATE-2");
    let request = ClientRequest::new("ws://server.example.com/chat");
    for (body, (status, reason)) in closes() {
        let make = || connecting(&request, Config::new()).0;
        let response = response_to(&connecting(&request, Config::new()).1, "");
        let input = [response, from_peer_of(Role::Client, &[(0x88, &body)])].concat();
        let [Event::Open(_), close] = &every_cut(make, &input).events[..] else { panic!("{body:x?}") };
        assert_eq!(close, &Event::CloseReceived { status, reason: reason.into() });
    }
}

/// A reason that is complete in one read is borrowed from the input, like a message.
#[test]
fn a_reason_is_borrowed_from_the_input() {
    rows!("6455-7.1.6-1");
    let mut input = from_peer_of(Role::Client, &[(0x88, b"\x03\xe9bye")]);
    let lies_there = input[4..].as_ptr();
    let mut ws = open(Role::Client, &Config::new());
    let event = ws.receive(&mut Input::new(&mut input), &mut Output::new());
    let Some(Event::CloseReceived { reason: Cow::Borrowed(reason), .. }) = event else { panic!("{event:?}") };
    assert_eq!((reason, reason.as_ptr()), ("bye", lies_there));
}

/// A server that waits for a decision and received the bytes `ahead` after the request.
fn undecided(config: Config, ahead: &[u8]) -> (Connection, Request) {
    let (mut server, mut output) = (Connection::server(config), Output::new());
    let mut input = [REQUEST.as_bytes(), ahead].concat();
    let mut input = Input::new(&mut input);
    let Some(Event::Request(request)) = server.receive(&mut input, &mut output) else { panic!("no request") };
    assert_eq!(server.receive(&mut input, &mut output), None);
    (server, request)
}

/// A client closes before its request is answered: its Close is buffered until then, and may be reported after the
/// stream has already ended.
#[test]
fn a_close_before_the_decision_is_received_after_it() {
    rows!("6455-7.1.3-1", "6455-7.1.5-1", "6455-4.2.1-16");
    for (body, contents) in closes() {
        let ahead = from_peer_of(Role::Server, &[(0x81, b"early"), (0x88, &body), (0x81, b"late")]);
        for (config, at_the_end) in configs().flat_map(|config| [(config.clone(), false), (config, true)]) {
            let (mut server, request) = undecided(config, &ahead);
            assert_eq!((server.received_close(), server.state()), (None, State::Connecting));
            let mut output = Output::new();
            server.accept(request, &mut output);
            assert_eq!((server.received_close(), server.state()), (None, State::Open));
            let mut events: Vec<Event<'static>> = if at_the_end {
                std::iter::from_fn(|| server.receive_eof()).collect()
            } else {
                let mut nothing = Input::default();
                std::iter::from_fn(|| server.receive(&mut nothing, &mut output)).collect()
            };
            let Some(Event::Closed(closed)) = events.pop() else { panic!("{events:?}") };
            assert_eq!((closed.status(), closed.reason()), contents);
            assert!(matches!(&events[..], [Event::Text(_)] | [Event::TextPart { .. }, ..]), "{events:?}");
            assert_received(&mut server, contents, &mut output);
        }
        // Without an acceptance the connection never reads it.
        let (mut server, request) = undecided(Config::new(), &ahead);
        let Some(Event::Closed(closed)) = server.receive_eof() else { panic!("{server:?}") };
        assert_failed(&closed);
        server.accept(request, &mut Output::new());
        assert_eq!((server.receive_eof(), server.received_close()), (None, None));
    }
}

/// An invalid Close does not count as received, nor does one after a fault.
#[test]
fn an_invalid_close_or_one_after_a_fault_is_not_received() {
    rows!("6455-7.1.7-2", "6455-5.5.1-2", "6455-7.4.1-3");
    for role in ROLES {
        let legal = from_peer_of(role, &[(0x88, b"\x03\xe8bye")]);
        let bodies: [&[u8]; 4] = [b"\x03", b"\x03\xed", b"\x03\xe8\xff", b"\x13\x88"];
        let mut faults: Vec<Vec<u8>> = bodies.iter().map(|body| from_peer_of(role, &[(0x88, body)])).collect();
        faults.push(header_from_peer_of(role, &[0x83, 0]));
        faults.push(header_from_peer_of(role, &[0x08, 0]));
        for fault in faults {
            let outcome =
                every_cut_with(|| open(role, &Config::new()), &[fault.as_slice(), &legal].concat(), &|ws, event, _| {
                    assert_eq!(ws.received_close(), None);
                    Some(event)
                });
            let [Event::Closed(closed)] = &outcome.events[..] else { panic!("{outcome:x?}") };
            assert_failed(closed);
        }
        let mut lost = open(role, &Config::new());
        assert!(lost.receive_eof().is_some() && feed(&mut lost, [legal.as_slice()]).events.is_empty());
        assert_eq!(lost.received_close(), None);
    }
}

/// A client that stops waiting for the end of the stream ends with the Close's status, and reports the Close only once.
#[test]
fn a_client_that_stops_waiting_reports_the_close_once() {
    rows!("6455-5.5.1-14", "6455-7.1.5-1");
    for (body, contents) in closes() {
        for timeout in [Timeout::Closing, Timeout::KeepAlive] {
            let (mut ws, mut output) = (open(Role::Client, &Config::new()), Output::new());
            let input = from_peer_of(Role::Client, &[(0x81, b"last"), (0x88, &body)]);
            let outcome = feed(&mut ws, [input.as_slice()]);
            assert_eq!((&outcome.events[0], outcome.events.len()), (&text("last"), 2));
            ws.time_out(timeout, &mut output);
            assert_eq!((ws.state(), ws.is_closed()), (State::Closing, true));
            assert_received(&mut ws, contents, &mut output);
            let events = feed(&mut ws, [input.as_slice()]).events;
            let [Event::Closed(closed)] = &events[..] else { panic!("{events:?}") };
            assert_eq!((closed.status(), closed.reason(), closed.error()), (contents.0, contents.1, None));
            assert_received(&mut ws, contents, &mut output);
        }
    }
}
