//! RFC 6455 §7.1.4, §7.1.7, §7.2 and §10.7: failed connections, and streams that end without a Close.

use HandshakeErrorKind::{IncompleteHead, MissingRequest};
use websocket_proto::{
    ClientRequest, CloseCode, Closed, Config, Connection, ConnectionError, Event, HandshakeErrorKind, Input, Output,
    ProtocolErrorKind, Role, State,
};

use crate::faults::{assert_fault, handshake_len, header_from_peer_of, open};
use crate::harness::{REQUEST, assert_failed, connecting, drain, every_cut, feed, from_peer_of, response_to, text};
use crate::rows;
use crate::shared::wired::ROLES;

#[track_caller]
fn assert_ends_by(error: &ConnectionError, event: Option<Event<'static>>) {
    let Some(Event::Closed(closed)) = event else { panic!("{event:?}") };
    assert_eq!(assert_failed(&closed), error);
}

#[test]
fn a_lost_transport_ends_with_1006() {
    rows!("6455-7.1.4-1", "6455-7.1.5-3", "6455-7.2.1-2", "WS-CLOSE-9");
    for role in ROLES {
        let mut ws = open(role, &Config::new());
        assert_ends_by(&ConnectionError::TransportLost, ws.receive_eof());
        assert!(ws.is_closed() && ws.receive_eof().is_none());
        // An own Close without the peer's is no closing handshake.
        let mut closing = open(role, &Config::new());
        closing.close(CloseCode::NORMAL_CLOSURE, "bye", &mut Output::new());
        assert_ends_by(&ConnectionError::TransportLost, closing.receive_eof());
    }
}

/// The frames of a session that ends with the peer's Close.
const SESSION: &[(u8, &[u8])] =
    &[(0x81, b"one"), (0x01, b"tw"), (0x89, b"p"), (0x80, b"o"), (0x82, b""), (0x88, b"\x03\xe8bye")];

/// Wherever the stream ends, the end is reported once, and it is clean only after the whole closing handshake.
#[test]
fn the_end_is_reported_once_wherever_the_stream_ends() {
    rows!("6455-7.1.4-1", "6455-7.1.4-2", "6455-7.1.5-3");
    for role in ROLES {
        for closing_first in [false, true] {
            let make = || match role {
                Role::Server => (Connection::server(Config::new()), REQUEST.as_bytes().to_vec()),
                Role::Client => {
                    let (ws, request) = connecting(&ClientRequest::new("ws://server.example.com/chat"), Config::new());
                    (ws, response_to(&request, ""))
                }
            };
            let session = [make().1, from_peer_of(role, SESSION)].concat();
            for end in 0..=session.len() {
                let (mut ws, _) = make();
                let opening = end.min(handshake_len(role));
                let mut events = feed(&mut ws, [&session[..opening]]).events;
                if closing_first && ws.state() == State::Open {
                    ws.close(CloseCode::GOING_AWAY, "", &mut Output::new());
                }
                events.extend(feed(&mut ws, [&session[opening..end]]).events);
                events.extend(std::iter::from_fn(|| ws.receive_eof()));
                assert!(ws.is_closed(), "{role:?} cut off at {end}");
                let ends: Vec<&Closed> = events.iter().filter_map(closed).collect();
                let [closed] = ends[..] else { panic!("{role:?} cut off at {end}: {events:?}") };
                assert!(matches!(events.last(), Some(Event::Closed(_))), "an event after the end: {events:?}");
                if end == session.len() {
                    assert_eq!((closed.code(), closed.was_clean(), closed.error()), (1000, true, None));
                } else {
                    assert_cut_off(role, end, closed);
                }
            }
        }
    }
}

/// Asserts an unclean end because the stream ended after `end` bytes.
#[track_caller]
fn assert_cut_off(role: Role, end: usize, closed: &Closed) {
    match assert_failed(closed) {
        ConnectionError::Handshake(error) => {
            let incomplete = if role == Role::Server && end == 0 { MissingRequest } else { IncompleteHead };
            assert_eq!((error.kind(), error.offset()), (incomplete, end as u64));
            assert!(end < handshake_len(role), "{role:?} cut off at {end}");
        }
        error => {
            assert_eq!(error, &ConnectionError::TransportLost);
            assert!(end >= handshake_len(role), "{role:?} cut off at {end}");
        }
    }
}

fn closed<'e>(event: &'e Event<'_>) -> Option<&'e Closed> {
    if let Event::Closed(closed) = event { Some(closed) } else { None }
}

/// A failed connection sends Close and ignores everything after it, even the peer's Close.
#[test]
fn nothing_is_processed_after_a_failure() {
    rows!(
        "6455-7.1.7-1",
        "6455-7.1.7-2",
        "6455-7.1.7-3",
        "6455-7.1.7-4",
        "6455-7.1.7-5",
        "6455-7.1.7-7",
        "6455-10.7-2",
        "6455-10.7-3",
        "WS-CLOSE-9",
    );
    for role in ROLES {
        let good = from_peer_of(role, &[(0x81, b"before")]);
        let late = from_peer_of(role, &[(0x81, b"late"), (0x89, b"late"), (0x88, b"\x03\xe8")]);
        let unmarked = header_from_peer_of(role, &[0x83, 0]);
        let input = [good.as_slice(), &unmarked, &late].concat();
        let outcome = every_cut(|| open(role, &Config::new()), &input);
        let kind = ProtocolErrorKind::ReservedOpcode(3);
        assert_fault(role, &outcome, &[text("before")], kind, good.len());
        assert_eq!(outcome.frames().len(), 1, "the Close alone");
        let mut ws = open(role, &Config::new());
        feed(&mut ws, [input.as_slice()]);
        assert!(ws.is_closed() && ws.receive_eof().is_none());
    }
}

/// RFC 6455 §5.5.1: only one Close is sent, even if the connection fails after it.
#[test]
fn a_failure_after_an_own_close_sends_no_second_close() {
    rows!("6455-7.1.7-5");
    for role in ROLES {
        let make = || {
            let mut ws = open(role, &Config::new());
            ws.close(CloseCode::NORMAL_CLOSURE, "", &mut Output::new());
            ws
        };
        let outcome = every_cut(make, &header_from_peer_of(role, &[0x83, 0]));
        assert!(outcome.output.is_empty(), "{outcome:x?}");
        let closed = outcome.closed().unwrap();
        assert_eq!((closed.code(), closed.was_clean(), outcome.state), (1006, false, State::Closed));
        assert!(matches!(closed.error(), Some(ConnectionError::Protocol(error)) if error.close_code().get() == 1002));
    }
}

/// WHATWG: "If the user agent was required to fail the WebSocket connection, or if the WebSocket connection was closed
/// after being flagged as full, fire an event named error". Every end that is not clean is a failure: also a lost
/// transport, by RFC 6455 §7.2.1.
#[test]
fn only_unclean_ends_have_an_error() {
    rows!("WS-CLOSE-8", "WS-CLOSE-9");
    for role in ROLES {
        let end = |frames: &[(u8, &[u8])]| {
            let mut ws = open(role, &Config::new());
            let mut events = feed(&mut ws, [from_peer_of(role, frames).as_slice()]).events;
            events.extend(ws.receive_eof());
            match events.pop() {
                Some(Event::Closed(closed)) => closed,
                event => panic!("{event:?}"),
            }
        };
        assert!(end(&[(0x88, b"\x03\xe8")]).error().is_none());
        assert!(end(&[(0x88, b"")]).error().is_none());
        assert_eq!(assert_failed(&end(&[])), &ConnectionError::TransportLost);
        assert!(matches!(assert_failed(&end(&[(0x80, b"")])), ConnectionError::Protocol(_)));
    }
}

#[test]
fn a_failed_handshake_fails_the_client() {
    rows!("6455-7.1.4-2", "6455-7.1.7-1", "6455-7.2.1-1");
    let request = ClientRequest::new("ws://server.example.com/chat");
    let (_, sent) = connecting(&request, Config::new());
    let response = String::from_utf8(response_to(&sent, "")).unwrap().replace("Accept: ", "Accept: A");
    let outcome = every_cut(|| connecting(&request, Config::new()).0, response.as_bytes());
    let closed = outcome.closed().unwrap();
    assert_eq!((closed.code(), closed.was_clean(), outcome.state), (1006, false, State::Closed));
    assert!(matches!(closed.error(), Some(ConnectionError::Handshake(_))));
    assert!(outcome.output.is_empty(), "no Close before there is a WebSocket connection");
}

#[test]
fn a_server_answers_a_bad_handshake_in_http() {
    rows!("6455-7.1.4-2", "6455-7.1.7-3", "6455-10.7-4");
    let outcome = every_cut(|| Connection::server(Config::new()), REQUEST.replace("GET", "G\u{7f}T").as_bytes());
    assert!(outcome.output.starts_with(b"HTTP/1.1 400 "), "{}", String::from_utf8_lossy(&outcome.output));
    let closed = outcome.closed().unwrap();
    assert_eq!((closed.code(), closed.was_clean(), outcome.state), (1006, false, State::Closed));
}

/// RFC 6455 §7.2.2: a server that aborts before accepting just closes.
#[test]
fn a_server_may_abort_the_handshake() {
    rows!("6455-7.2.2-1");
    for received in [0, 20, REQUEST.len()] {
        let (mut server, mut output) = (Connection::server(Config::new()), Output::new());
        let mut request = REQUEST.as_bytes()[..received].to_vec();
        let event = server.receive(&mut Input::new(&mut request), &mut output);
        assert_eq!(matches!(event, Some(Event::Request(_))), received == REQUEST.len());
        server.close(CloseCode::GOING_AWAY, "", &mut output);
        assert!(server.is_closed() && drain(&mut output).is_empty());
        assert_eq!(server.state(), State::Closing);
        assert_ends_by(&ConnectionError::ClosedWhileConnecting, server.receive_eof());
        assert_eq!((server.state(), server.receive_eof()), (State::Closed, None));
    }
}
