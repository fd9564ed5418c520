//! Every way in which a connection can end: the end is clean or has an error (WHATWG: then `error` fires before
//! `close`), and the state is `Closing` until the end is reported.

use websocket_proto::{
    ClientRequest, CloseCode, Closed, Config, Connection, ConnectionError, Event, HandshakeErrorKind, Input, Output,
    ProtocolErrorKind, Reject, Role, State, Timeout,
};

use crate::faults::{header_from_peer_of, open};
use crate::harness::{REQUEST, assert_failed, connecting, feed, frame, from_peer_of};
use crate::rows;
use crate::shared::wired::ROLES;

/// The cause of an end.
#[derive(Clone, Debug, PartialEq)]
enum Why {
    ClosingHandshake,
    Handshake(HandshakeErrorKind),
    Protocol(ProtocolErrorKind),
    Other(ConnectionError),
}

impl Why {
    /// The cause that the last event reports. An end is clean or has an error.
    #[track_caller]
    fn of(closed: &Closed) -> Self {
        if closed.was_clean() {
            assert_eq!(closed.error(), None, "{closed:?}");
            assert_ne!(closed.code(), 1006);
            return Self::ClosingHandshake;
        }
        match assert_failed(closed) {
            ConnectionError::Handshake(error) => Self::Handshake(error.kind()),
            ConnectionError::Protocol(error) => Self::Protocol(error.kind()),
            error => Self::Other(error.clone()),
        }
    }
}

/// A connection that has ended, or ends with its stream, and its events.
struct Ended {
    ws: Connection,
    output: Output,
    events: Vec<Event<'static>>,
}

impl Ended {
    fn after(ws: Connection, ends: impl FnOnce(&mut Self)) -> Self {
        let mut ended = Self { ws, output: Output::new(), events: Vec::new() };
        ends(&mut ended);
        ended
    }

    fn receives(&mut self, bytes: &[u8]) {
        self.events.extend(feed(&mut self.ws, [bytes]).events);
        self.check_state();
    }

    fn receives_frames(&mut self, frames: &[(u8, &[u8])]) {
        self.receives(&from_peer_of(self.ws.role(), frames));
    }

    fn closes(&mut self) {
        self.ws.close(CloseCode::GOING_AWAY, "", &mut self.output);
        self.check_state();
    }

    fn runs_out_of(&mut self, timeout: Timeout) {
        self.ws.time_out(timeout, &mut self.output);
        self.check_state();
    }

    /// RFC 6455 and WHATWG: CLOSED is the state of a connection whose end has been reported.
    fn check_state(&self) {
        let is_reported = matches!(self.events.last(), Some(Event::Closed(_)));
        assert_eq!(self.ws.state() == State::Closed, is_reported);
        assert!(self.ws.is_closed() || !is_reported);
        // The connection has ended, but the end is not reported.
        assert!(!self.ws.is_closed() || self.ws.state() >= State::Closing);
    }

    /// The end of the stream ends the connection at the latest.
    fn why(mut self) -> Why {
        while let Some(event) = self.ws.receive_eof() {
            self.events.push(event);
            self.check_state();
        }
        assert_eq!((self.ws.state(), self.ws.is_closed()), (State::Closed, true));
        let ends = self.events.iter().filter(|event| matches!(event, Event::Closed(_))).count();
        let Some(Event::Closed(closed)) = self.events.last() else { panic!("{:?}", self.events) };
        assert_eq!(ends, 1, "{:?}", self.events);
        let said = closed.was_clean().then(|| (closed.status(), closed.reason()));
        assert_eq!(self.ws.received_close(), said);
        Why::of(closed)
    }
}

/// The ends of a connection that is not open yet.
fn before_it_is_open(role: Role, config: &Config) -> Vec<(&'static str, Ended, Why)> {
    use HandshakeErrorKind::{EarlyDataTooLarge, IncompleteHead, MissingRequest, MissingUpgrade, Rejected};
    let request = ClientRequest::new("ws://server.example.com/chat");
    let after = |ends: &dyn Fn(&mut Ended)| match role {
        Role::Server => Ended::after(Connection::server(config.clone()), ends),
        Role::Client => Ended::after(connecting(&request, config.clone()).0, ends),
    };
    let half: &[u8] = if role == Role::Server { b"GET / HT" } else { b"HTTP/1.1 101 Sw" };
    let nothing = if role == Role::Server { MissingRequest } else { IncompleteHead };
    let mut ends = vec![
        ("nothing came", after(&|_| {}), Why::Handshake(nothing)),
        ("half a head came", after(&|ended| ended.receives(half)), Why::Handshake(IncompleteHead)),
        ("closed at once", after(&Ended::closes), Why::Other(ConnectionError::ClosedWhileConnecting)),
        (
            "closed in the middle of a head",
            after(&|ended| {
                ended.receives(half);
                ended.closes();
            }),
            Why::Other(ConnectionError::ClosedWhileConnecting),
        ),
        (
            "a head took too long",
            after(&|ended| ended.runs_out_of(Timeout::Handshake)),
            Why::Other(Timeout::Handshake.into()),
        ),
    ];
    if role == Role::Client {
        let rejected = |head: &'static [u8], waits: bool| {
            after(&move |ended| {
                ended.receives(head);
                if waits {
                    ended.runs_out_of(Timeout::Handshake);
                }
            })
        };
        let whole = b"HTTP/1.1 503 \r\nContent-Length: 0\r\n\r\n";
        let half = b"HTTP/1.1 503 \r\nContent-Length: 9\r\n\r\nback";
        ends.extend([
            ("a wrong response", rejected(b"HTTP/1.1 101 \r\n\r\n", false), Why::Handshake(MissingUpgrade)),
            ("a rejection", rejected(whole, false), Why::Handshake(Rejected(503))),
            ("a rejection that is cut short", rejected(half, false), Why::Handshake(Rejected(503))),
            ("a rejection that took too long", rejected(half, true), Why::Handshake(Rejected(503))),
        ]);
        return ends;
    }
    let deciding = |ends: &dyn Fn(&mut Ended)| {
        after(&|ended| {
            let mut read = REQUEST.as_bytes().to_vec();
            let event = ended.ws.receive(&mut Input::new(&mut read), &mut ended.output);
            assert!(matches!(event, Some(Event::Request(_))));
            ends(ended);
        })
    };
    let rejected = after(&|ended| {
        let mut read = REQUEST.as_bytes().to_vec();
        let event = ended.ws.receive(&mut Input::new(&mut read), &mut ended.output);
        let Some(Event::Request(request)) = event else { panic!("{event:?}") };
        ended.ws.reject(request, &Reject::not_found(), &mut ended.output);
        ended.check_state();
    });
    let too_long = Why::Other(Timeout::Handshake.into());
    ends.extend([
        (
            "a wrong request",
            after(&|ended| ended.receives(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")),
            Why::Handshake(MissingUpgrade),
        ),
        ("rejected", rejected, Why::Other(ConnectionError::RequestRejected(404))),
        ("the client did not wait for the decision", deciding(&|_| {}), Why::Other(ConnectionError::TransportLost)),
        ("closed without a decision", deciding(&Ended::closes), Why::Other(ConnectionError::ClosedWhileConnecting)),
        ("the decision took too long", deciding(&|ended| ended.runs_out_of(Timeout::Handshake)), too_long),
        (
            "too much early data",
            deciding(&|ended| ended.receives(&vec![0; 20 << 10])),
            Why::Handshake(EarlyDataTooLarge),
        ),
    ]);
    ends
}

/// The ends of an open connection.
fn when_it_is_open(role: Role, config: &Config) -> Vec<(&'static str, Ended, Why)> {
    use ProtocolErrorKind::{InvalidCloseCode, InvalidUtf8, ReservedOpcode};
    let after = |ends: &dyn Fn(&mut Ended)| Ended::after(open(role, config), ends);
    let lost = || Why::Other(ConnectionError::TransportLost);
    let closed_then = |ends: &dyn Fn(&mut Ended)| {
        after(&|ended| {
            ended.closes();
            ends(ended);
        })
    };
    let unknown = header_from_peer_of(role, &[0x83, 0]);
    let fault = |ended: &mut Ended| ended.receives(&unknown);
    let close = |ended: &mut Ended| ended.receives_frames(&[(0x88, b"\x03\xe8bye")]);
    let close_then = |timeout| {
        after(&move |ended| {
            close(ended);
            ended.runs_out_of(timeout);
        })
    };
    let out_of = |timeout| move |ended: &mut Ended| ended.runs_out_of(timeout);
    let (keep_alive, closing) = (Timeout::KeepAlive, Timeout::Closing);
    vec![
        ("the stream ended", after(&|_| {}), lost()),
        ("it ended in a header", after(&|ended| ended.receives(b"\x81")), lost()),
        ("it ended in a message", after(&|ended| ended.receives_frames(&[(0x01, b"half")])), lost()),
        ("it ended after our Close alone", closed_then(&|_| {}), lost()),
        ("a fault", after(&fault), Why::Protocol(ReservedOpcode(3))),
        ("a fault after our Close", closed_then(&fault), Why::Protocol(ReservedOpcode(3))),
        ("no text", after(&|ended| ended.receives_frames(&[(0x81, b"\xff")])), Why::Protocol(InvalidUtf8)),
        (
            "a wrong Close",
            after(&|ended| ended.receives_frames(&[(0x88, b"\x03\xed")])),
            Why::Protocol(InvalidCloseCode(1005)),
        ),
        ("a silent peer", after(&out_of(keep_alive)), Why::Other(keep_alive.into())),
        ("a silent peer after our Close", closed_then(&out_of(keep_alive)), Why::Other(keep_alive.into())),
        ("no answer to our Close", closed_then(&out_of(closing)), Why::Other(closing.into())),
        ("a Close", after(&close), Why::ClosingHandshake),
        ("a Close without a code", after(&|ended| ended.receives_frames(&[(0x88, b"")])), Why::ClosingHandshake),
        ("Closes that cross", closed_then(&close), Why::ClosingHandshake),
        ("a Close, and an end that does not come", close_then(closing), Why::ClosingHandshake),
        ("a Close, and silence", close_then(keep_alive), Why::ClosingHandshake),
    ]
}

#[test]
fn an_end_is_clean_or_has_an_error() {
    rows!(
        "6455-7.1.4-1",
        "6455-7.1.4-2",
        "6455-7.1.5-1",
        "6455-7.1.5-3",
        "6455-7.2.1-1",
        "6455-7.2.1-2",
        "6455-7.2.2-1",
        "WS-STATE-2",
        "WS-STATE-3",
        "WS-CLOSE-4",
        "WS-CLOSE-8",
        "WS-CLOSE-9",
    );
    for (role, browser_rules) in ROLES.into_iter().flat_map(|role| [(role, false), (role, true)]) {
        let config = Config::new().browser_rules(browser_rules);
        for (what, ended, why) in before_it_is_open(role, &config).into_iter().chain(when_it_is_open(role, &config)) {
            assert_eq!(ended.why(), why, "{what}, {role:?}");
        }
        let full = Ended::after(open(role, &config.max_output(9)), |ended| {
            let sent = ended.ws.send_text("does not fit", &mut ended.output);
            assert_eq!(sent.is_ok(), browser_rules);
            ended.check_state();
        });
        assert_eq!(
            full.why(),
            Why::Other(if browser_rules { ConnectionError::Full } else { ConnectionError::TransportLost }),
            "{role:?}"
        );
    }
}

/// Early data is received after the decision and may contain a fault or a Close, also when the stream has already
/// ended.
#[test]
fn an_end_by_early_data_is_clean_or_has_an_error() {
    rows!("6455-7.1.4-1", "6455-4.2.1-16", "WS-CLOSE-9");
    let cases = [
        (frame(Role::Client, 0x88, b"\x03\xe8"), Why::ClosingHandshake),
        (header_from_peer_of(Role::Server, &[0x83, 0]), Why::Protocol(ProtocolErrorKind::ReservedOpcode(3))),
        (frame(Role::Client, 0x81, b"early"), Why::Other(ConnectionError::TransportLost)),
    ];
    for (ahead, why) in cases {
        let ended = Ended::after(Connection::server(Config::new()), |ended| {
            let mut read = [REQUEST.as_bytes(), &ahead].concat();
            let mut input = Input::new(&mut read);
            let event = ended.ws.receive(&mut input, &mut ended.output);
            let Some(Event::Request(request)) = event else { panic!("{event:?}") };
            assert_eq!(ended.ws.receive(&mut input, &mut ended.output), None);
            ended.ws.accept(request, &mut ended.output);
            ended.check_state();
        });
        assert_eq!(ended.why(), why);
    }
}
