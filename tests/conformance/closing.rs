//! RFC 6455 §5.5.1 and §7.1: the closing handshake, started by either side.

use websocket_proto::frame::Opcode;
use websocket_proto::{
    CloseCode, CloseStatus, Closed, Config, Connection, Event, Input, MessageKind, Output, Role, SendError, State,
    Timeout,
};

use crate::faults::{open, run};
use crate::harness::{
    Outcome, client, code, drain, every_cut, every_cut_with, feed, frames, from_peer_of, hex, ping, server, text,
};
use crate::rows;
use crate::shared::wired::ROLES;

/// Receives the frames and then the end of the stream; returns the last event's report.
///
/// A server reports it as soon as both Closes were exchanged, and closes the transport first; a client waits for that.
#[track_caller]
fn close_after(ws: &mut Connection, frames: &[(u8, &[u8])]) -> Closed {
    let mut outcome = feed(ws, [from_peer_of(ws.role(), frames).as_slice()]);
    let by_eof = ws.receive_eof();
    assert_eq!(by_eof.is_some(), ws.role() == Role::Client, "{by_eof:?} {outcome:x?}");
    assert!(ws.is_closed() && ws.receive_eof().is_none());
    match by_eof.or_else(|| outcome.events.pop()) {
        Some(Event::Closed(closed)) => closed,
        event => panic!("{event:?}"),
    }
}

/// A connection that has sent Close 1000.
fn closing(role: Role) -> Connection {
    let mut ws = open(role, &Config::new());
    ws.close(CloseCode::NORMAL_CLOSURE, "", &mut Output::new());
    ws
}

/// Asserts that the output is one Close frame with this body.
#[track_caller]
fn assert_only_close(outcome: &Outcome, body: &[u8]) {
    let sent = outcome.frames();
    assert_eq!(sent.len(), 1, "{outcome:x?}");
    assert_eq!((outcome.close_sent().is_some(), sent[0].1.as_slice()), (true, body));
}

#[test]
fn a_close_is_answered_once_and_at_once_with_its_code() {
    rows!("6455-5.5.1-7", "6455-5.5.1-8", "6455-5.5.1-9");
    for role in ROLES {
        for number in [1000_u16, 1001, 1011, 3000, 4999] {
            let body = number.to_be_bytes();
            let reason = [&body[..], b"the reason is the peer's"].concat();
            assert_only_close(&run(role, &Config::new(), &[(0x88, &body)]), &body);
            assert_only_close(&run(role, &Config::new(), &[(0x88, &reason)]), &body);
            assert_only_close(&run(role, &Config::new(), &[(0x88, &reason), (0x88, &body)]), &body);
            // The answer is in the output when the call that received the Close returns, even with more input.
            let mut input = from_peer_of(role, &[(0x88, &body), (0x89, b"late")]);
            let (mut ws, mut output) = (open(role, &Config::new()), Output::new());
            let event = ws.receive(&mut Input::new(&mut input), &mut output);
            assert_eq!(matches!(event, Some(Event::Closed(_))), role == Role::Server, "{event:?}");
            let [(header, payload)] = &frames(&drain(&mut output))[..] else { panic!("one Close") };
            assert_eq!((header.opcode, &payload[..]), (Opcode::Close, &body[..]));
        }
    }
}

#[test]
fn a_close_may_be_empty() {
    rows!("6455-5.5.1-1", "6455-7.1.5-2");
    for role in ROLES {
        assert_only_close(&run(role, &Config::new(), &[(0x88, b"")]), b"");
        let closed = close_after(&mut open(role, &Config::new()), &[(0x88, b"")]);
        assert_eq!((closed.status(), closed.code(), closed.reason()), (CloseStatus::NoStatus, 1005, ""));
        assert!(closed.was_clean() && closed.error().is_none());
    }
    assert_eq!(every_cut(server, &hex("88 80 37 fa 21 3d")).output, hex("88 00"));
}

#[test]
fn a_server_closes_at_once_and_a_client_waits() {
    rows!(
        "6455-5.5.1-11",
        "6455-5.5.1-12",
        "6455-5.5.1-13",
        "6455-7.1.1-3",
        "6455-7.1.1-4",
        "6455-7.1.2-2",
        "6455-7.1.3-1",
        "WS-STATE-2",
        "WS-STATE-3",
    );
    for begun_by_us in [false, true] {
        let make = |role| if begun_by_us { closing(role) } else { open(role, &Config::new()) };
        let [mut server, mut client] = ROLES.map(make);
        let before = if begun_by_us { State::Closing } else { State::Open };
        assert_eq!([server.state(), client.state()], [before; 2]);

        let outcome = feed(&mut server, [from_peer_of(Role::Server, &[(0x88, b"\x03\xe8")]).as_slice()]);
        assert!(server.is_closed() && outcome.closed().is_some_and(Closed::was_clean), "{outcome:x?}");
        assert_eq!(server.state(), State::Closed);

        let outcome = feed(&mut client, [from_peer_of(Role::Client, &[(0x88, b"\x03\xe8")]).as_slice()]);
        let status = CloseStatus::Code(CloseCode::NORMAL_CLOSURE);
        assert_eq!(outcome.events, [Event::CloseReceived { status, reason: "".into() }]);
        assert_eq!((client.state(), client.is_closed()), (State::Closing, false));
        let Some(Event::Closed(closed)) = client.receive_eof() else { panic!("no end") };
        assert!(client.is_closed() && closed.was_clean());
        assert_eq!(client.state(), State::Closed);
    }
}

/// The client's caller measures the time, and ends the wait with `receive_eof`, as the server's close would.
#[test]
fn a_client_may_stop_waiting_for_the_server() {
    rows!("6455-5.5.1-14", "6455-7.1.1-5");
    let mut waiting = client();
    feed(&mut waiting, [hex("88 02 03 e8").as_slice()]);
    let Some(Event::Closed(closed)) = waiting.receive_eof() else { panic!("no end") };
    assert!(closed.was_clean() && waiting.is_closed());
    // Or reports a timeout, before the server's Close or after it.
    for (close, code) in [(&b""[..], 1006), (b"\x88\x02\x03\xe9", 1001)] {
        let (mut waiting, mut output) = (closing(Role::Client), Output::new());
        feed(&mut waiting, [close]);
        assert_eq!((waiting.state(), waiting.is_closed()), (State::Closing, false));
        waiting.time_out(Timeout::Closing, &mut output);
        assert!(waiting.is_closed() && output.is_empty());
        let Some(Event::Closed(closed)) = waiting.receive_eof() else { panic!("no end") };
        assert_eq!((closed.code(), closed.was_clean()), (code, code == 1001));
    }
    // A timeout in a state without this wait has no effect.
    let mut open = client();
    open.time_out(Timeout::Closing, &mut Output::new());
    assert_eq!(open.state(), State::Open);
}

/// An endpoint under attack may drop the transport without a Close.
#[test]
fn dropping_the_transport_needs_no_close() {
    rows!("6455-7.1.1-2", "6455-7.1.7-6");
    for role in ROLES {
        let (mut ws, mut output) = (open(role, &Config::new()), Output::new());
        assert!(matches!(ws.receive_eof(), Some(Event::Closed(_))));
        ws.close(CloseCode::NORMAL_CLOSURE, "", &mut output);
        let outcome = feed(&mut ws, [from_peer_of(role, &[(0x89, b""), (0x88, b"")]).as_slice()]);
        assert!(output.is_empty() && outcome.output.is_empty() && outcome.events.is_empty(), "{outcome:x?}");
    }
}

#[test]
fn close_sends_the_code_and_the_reason() {
    rows!("6455-7.1.2-1", "6455-7.3-1", "6455-7.4-1");
    let mut output = Output::new();
    server().close(code(4000), "bye", &mut output);
    assert_eq!(drain(&mut output), hex("88 05 0f a0 62 79 65"));
    client().close(code(4000), "bye", &mut output);
    let sent = frames(&drain(&mut output));
    assert_eq!((sent.len(), sent[0].1.as_slice()), (1, hex("0f a0 62 79 65").as_slice()));
    server().close_without_code(&mut output);
    assert_eq!(drain(&mut output), hex("88 00"));
}

/// RFC 6455 §5.5 leaves 123 bytes for the reason, which must stay UTF-8.
#[test]
fn a_long_reason_is_cut_between_characters() {
    rows!("6455-5.5-2", "6455-5.5.1-3");
    let reasons = [("a".repeat(124), 123), ("é".repeat(62), 122), ("😀".repeat(40), 120), ("é".repeat(61) + "a", 123)];
    for (reason, kept) in reasons {
        let mut output = Output::new();
        server().close(CloseCode::NORMAL_CLOSURE, &reason, &mut output);
        assert_eq!(frames(&drain(&mut output))[0].1[2..], reason.as_bytes()[..kept]);
    }
}

#[test]
fn no_message_is_sent_after_a_close() {
    rows!("6455-5.5.1-6");
    for role in ROLES {
        let (mut ws, mut output) = (open(role, &Config::new()), Output::new());
        ws.send_text("before", &mut output).unwrap();
        ws.close(CloseCode::NORMAL_CLOSURE, "", &mut output);
        let before = output.len();
        assert_eq!(ws.send_text("after", &mut output), Err(SendError::Closing));
        assert_eq!(ws.send_binary(b"after", &mut output), Err(SendError::Closing));
        assert_eq!(ws.send_fragment(MessageKind::Text, b"", true, &mut output), Err(SendError::Closing));
        assert_eq!(output.len(), before);
        assert_eq!(frames(&drain(&mut output))[0].1, b"before");
    }
}

/// The reply does not wait for the rest of our own message, which then cannot be sent.
#[test]
fn a_close_during_a_sent_message_is_answered_at_once() {
    rows!("6455-5.5.1-10");
    for role in ROLES {
        let mut ws = open(role, &Config::new());
        ws.send_fragment(MessageKind::Text, b"half", false, &mut Output::new()).unwrap();
        assert_only_close(&feed(&mut ws, [from_peer_of(role, &[(0x88, b"\x03\xe9")]).as_slice()]), b"\x03\xe9");
        let rest = ws.send_fragment(MessageKind::Text, b"half", true, &mut Output::new());
        assert_eq!(rest, Err(SendError::Closing));
    }
}

#[test]
fn crossing_closes_are_not_answered_again() {
    rows!("6455-5.5.1-15", "6455-7.1.5-1");
    for role in ROLES {
        let mut ws = closing(role);
        let mut output = Output::new();
        ws.close(code(4000), "again", &mut output);
        ws.close_without_code(&mut output);
        assert!(output.is_empty(), "a second Close");
        let crossed = every_cut(|| closing(role), &from_peer_of(role, &[(0x88, b"\x03\xe9bye")]));
        assert!(crossed.output.is_empty(), "a third Close: {crossed:x?}");
        let closed = close_after(&mut ws, &[(0x88, b"\x03\xe9bye")]);
        assert_eq!((closed.code(), closed.reason(), closed.was_clean()), (1001, "bye", true));
    }
}

/// Only the first Close counts, also for a client, which goes on reading.
#[test]
fn code_and_reason_are_those_of_the_first_close_received() {
    rows!("6455-7.1.5-1", "6455-7.1.6-1", "WS-CLOSE-8");
    for role in ROLES {
        let first = [b"\x0f\xa0".as_slice(), "für immer".as_bytes()].concat();
        let closed = close_after(&mut open(role, &Config::new()), &[(0x88, &first), (0x88, b"\x03\xe9late")]);
        assert_eq!((closed.code(), closed.reason()), (4000, "für immer"));
        let closed = close_after(&mut open(role, &Config::new()), &[(0x88, b"\x03\xe8")]);
        assert_eq!((closed.status(), closed.reason()), (CloseStatus::Code(CloseCode::NORMAL_CLOSURE), ""));
        let longest = [b"\x03\xe8".as_slice(), &[b'a'; 123]].concat();
        let closed = close_after(&mut open(role, &Config::new()), &[(0x88, &longest)]);
        assert_eq!(closed.reason(), "a".repeat(123));
    }
}

#[test]
fn a_close_inside_a_fragmented_message_is_legal() {
    rows!("6455-5.5.1-16");
    for role in ROLES {
        let frames: &[(u8, &[u8])] = &[(0x01, b"a"), (0x88, b"\x03\xe8")];
        let outcome = run(role, &Config::new(), frames);
        assert!(outcome.before_end().is_empty() && outcome.events.len() == 1, "{outcome:x?}");
        assert_only_close(&outcome, b"\x03\xe8");
        let closed = close_after(&mut open(role, &Config::new()), frames);
        assert_eq!((closed.code(), closed.was_clean()), (1000, true));
    }
}

#[test]
fn everything_after_a_close_is_discarded() {
    rows!("6455-5.5.1-17");
    for role in ROLES {
        let frames: &[(u8, &[u8])] = &[(0x81, b"early"), (0x88, b"\x03\xe8"), (0x81, b"late"), (0x89, b"late")];
        let no_frame = [0xff; 20];
        let input = [from_peer_of(role, frames).as_slice(), &no_frame].concat();
        let outcome = every_cut(|| open(role, &Config::new()), &input);
        assert_eq!(outcome.before_end(), [text("early")]);
        assert_only_close(&outcome, b"\x03\xe8");
    }
}

/// RFC 6455 §1.4: messages that the peer sent before its Close may still arrive.
#[test]
fn messages_arrive_until_the_peers_close() {
    rows!("6455-7.1.3-1");
    for role in ROLES {
        let input = from_peer_of(role, &[(0x81, b"on its way"), (0x89, b"p"), (0x88, b"\x03\xe8")]);
        let outcome = every_cut(|| closing(role), &input);
        assert_eq!(outcome.before_end(), [text("on its way"), ping(b"p")]);
    }
}

/// Closing in response to an event has the same effect as closing at another time.
#[test]
fn a_close_may_be_started_on_an_event() {
    rows!("6455-7.1.3-1", "6455-7.1.4-1");
    for role in ROLES {
        let input = from_peer_of(role, &[(0x81, b"quit"), (0x81, b"more"), (0x88, b"\x03\xe8")]);
        let outcome = every_cut_with(|| open(role, &Config::new()), &input, &|ws, event, output| {
            ws.close(CloseCode::NORMAL_CLOSURE, "quit", output);
            Some(event)
        });
        assert_eq!(outcome.before_end(), [text("quit"), text("more")]);
        assert_only_close(&outcome, b"\x03\xe8quit");
        assert_eq!(outcome.closed().is_some(), role == Role::Server);
    }
}
