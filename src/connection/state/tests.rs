//! Every transition: what each thing that can happen does in each phase.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use bytes::Buf;

use super::*;
use crate::config::Config;
use crate::error::ProtocolErrorKind;
use crate::handshake::{ClientRequest, Reject};
use crate::input::Input;

/// A phase and, in the handshake, its stage.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Situation {
    ReceivingRequest,
    Deciding,
    ReceivingResponse,
    ReceivingRejection,
    Open(Role),
    CloseSent(Role),
    Draining,
    Ended(Role),
    ReportedClean(Role),
    ReportedFailed(Role),
}

use Situation::*;

const SITUATIONS: [Situation; 15] = [
    ReceivingRequest,
    Deciding,
    ReceivingResponse,
    ReceivingRejection,
    Open(Role::Server),
    Open(Role::Client),
    CloseSent(Role::Server),
    CloseSent(Role::Client),
    Draining,
    Ended(Role::Server),
    Ended(Role::Client),
    ReportedClean(Role::Server),
    ReportedClean(Role::Client),
    ReportedFailed(Role::Server),
    ReportedFailed(Role::Client),
];

/// What changes a state, or must not.
#[derive(Clone, Copy, Debug)]
enum Trigger {
    Close,
    CloseReceived,
    InvalidFrame,
    InvalidClose,
    NoMemory,
    Eof,
    OpeningTimeout,
    KeepAliveTimeout,
    ClosingTimeout,
    OutputFull,
    Recycled,
}

use Trigger::*;

const TRIGGERS: [Trigger; 11] = [
    Close,
    CloseReceived,
    InvalidFrame,
    InvalidClose,
    NoMemory,
    Eof,
    OpeningTimeout,
    KeepAliveTimeout,
    ClosingTimeout,
    OutputFull,
    Recycled,
];

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// A frame as the peer of `role` sends it.
fn frame(role: Role, opcode: u8, payload: &[u8]) -> Vec<u8> {
    match role {
        Role::Server => [&[0x80 | opcode, 0x80 | payload.len() as u8, 0, 0, 0, 0], payload].concat(),
        Role::Client => [&[0x80 | opcode, payload.len() as u8], payload].concat(),
    }
}

fn receive(ws: &mut Connection, bytes: &[u8], output: &mut Output) -> Vec<Event<'static>> {
    let mut bytes = bytes.to_vec();
    let mut input = Input::new(&mut bytes);
    core::iter::from_fn(|| ws.receive(&mut input, output).map(Event::into_owned)).collect()
}

fn reach(situation: Situation, output: &mut Output) -> Connection {
    let open = |role| Connection::upgraded(role, Negotiated::default(), Config::new(), [7; 32]);
    let mut ws = match situation {
        ReceivingRequest | Deciding => Connection::server(Config::new()),
        ReceivingResponse | ReceivingRejection => {
            let request = ClientRequest::new("ws://example.com/");
            Connection::client(&request, Config::new(), [7; 32], output).expect("a valid request")
        }
        Open(role) | CloseSent(role) | Ended(role) | ReportedClean(role) | ReportedFailed(role) => open(role),
        Draining => open(Role::Client),
    };
    match situation {
        ReceivingRequest | ReceivingResponse | Open(_) => {}
        Deciding => assert!(matches!(receive(&mut ws, REQUEST, output)[..], [Event::Request(_)])),
        ReceivingRejection => {
            let head = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\npart";
            assert_eq!(receive(&mut ws, head, output), []);
        }
        CloseSent(_) => ws.close(CloseCode::NORMAL_CLOSURE, "", output),
        Draining => {
            receive(&mut ws, &frame(Role::Client, 8, b""), output);
        }
        Ended(_) => ws.time_out(Timeout::KeepAlive, output),
        ReportedClean(role) => {
            receive(&mut ws, &frame(role, 8, b"\x03\xe8bye"), output);
            while ws.receive_eof().is_some() {}
        }
        ReportedFailed(_) => while ws.receive_eof().is_some() {},
    }
    output.advance(output.remaining());
    assert_eq!(ws.phase, phase_of(situation), "{situation:?}");
    ws
}

fn phase_of(situation: Situation) -> Phase {
    match situation {
        ReceivingRequest | Deciding | ReceivingResponse | ReceivingRejection => Phase::Handshake,
        Open(_) => Phase::Open,
        CloseSent(_) => Phase::CloseSent,
        Draining => Phase::Draining,
        Ended(_) => Phase::Ended,
        ReportedClean(_) | ReportedFailed(_) => Phase::Reported,
    }
}

/// Applies the trigger. Returns the events of the same call.
fn apply(trigger: Trigger, ws: &mut Connection, output: &mut Output) -> Vec<Event<'static>> {
    let role = ws.role;
    match trigger {
        Close => ws.close(CloseCode::GOING_AWAY, "bye", output),
        CloseReceived => return receive(ws, &frame(role, 8, b"\x03\xe8bye"), output),
        InvalidFrame => return receive(ws, &frame(role, 3, b""), output),
        InvalidClose => return receive(ws, &frame(role, 8, b"\x03\xed"), output),
        NoMemory if ws.receives_frames() => return [ws.on_error(Fault::OutOfMemory, output)].into(),
        NoMemory => {}
        Eof => return core::iter::from_fn(|| ws.receive_eof()).collect(),
        OpeningTimeout => ws.time_out(Timeout::Handshake, output),
        KeepAliveTimeout => ws.time_out(Timeout::KeepAlive, output),
        ClosingTimeout => ws.time_out(Timeout::Closing, output),
        OutputFull if ws.phase == Phase::Open => ws.on_output_full(),
        OutputFull => {}
        Recycled => ws.recycle(alloc::vec![0; 10]),
    }
    Vec::new()
}

/// The code of the Close, or the HTTP status, in the output.
fn sent(role: Role, output: &mut Output) -> String {
    let mut bytes = output.copy_to_bytes(output.remaining()).to_vec();
    if bytes.is_empty() {
        return "-".into();
    }
    if bytes.starts_with(b"HTTP/1.1 ") {
        return String::from_utf8_lossy(&bytes[9..12]).into_owned();
    }
    assert_eq!(bytes[0], 0x88, "one Close and nothing else");
    let start = if role == Role::Client {
        let key = [bytes[2], bytes[3], bytes[4], bytes[5]];
        crate::mask::apply_mask(key, &mut bytes[6..]);
        6
    } else {
        2
    };
    let len = usize::from(bytes[1] & 0x7f);
    assert_eq!(bytes.len(), start + len, "one Close and nothing else");
    match bytes[start..] {
        [] => "Close".into(),
        [high, low, ..] => format!("Close {}", u16::from_be_bytes([high, low])),
        [_] => panic!("a payload of one byte"),
    }
}

fn name(event: &Event<'_>) -> String {
    match event {
        Event::Request(_) => "Request".into(),
        Event::Rejected(response) => format!("Rejected {} ({})", response.status(), response.body().len()),
        Event::CloseReceived { status, .. } => format!("CloseReceived {}", status.code()),
        Event::Closed(closed) => match closed.error() {
            None => format!("Closed {}", closed.code()),
            Some(ConnectionError::Protocol(error)) => format!("{:?}", error.kind()),
            Some(ConnectionError::Handshake(error)) => format!("{:?}", error.kind()),
            Some(error) => format!("{error:?}"),
        },
        other => panic!("{other:?}"),
    }
}

/// The phase afterwards, the Close or response, and all events up to the last one.
fn outcome(situation: Situation, trigger: Trigger) -> (Phase, String, Vec<String>) {
    let mut output = Output::new();
    let mut ws = reach(situation, &mut output);
    let mut events = apply(trigger, &mut ws, &mut output);
    let (phase, is_over) = (ws.phase, ws.is_closed());
    if is_over {
        events.extend(core::iter::from_fn(|| ws.receive_eof()));
        assert_eq!((ws.phase, ws.state()), (Phase::Reported, State::Closed));
    }
    assert_eq!(ws.fast_path, matches!(ws.phase, Phase::Open | Phase::CloseSent), "{situation:?}, {trigger:?}");
    (phase, sent(ws.role, &mut output), events.iter().map(name).collect())
}

/// The expected outcome, in the order of `state.rs`.
fn expected(situation: Situation, trigger: Trigger) -> (Phase, String, Vec<String>) {
    let unchanged = (phase_of(situation), "-", &[][..]);
    let (phase, sent, events) = match (situation, trigger) {
        // A buffer is memory, not a transition.
        (_, Recycled) => unchanged,

        // The handshake.
        (ReceivingRequest, Close) => (Phase::Ended, "-", &["ClosedWhileConnecting"][..]),
        (ReceivingRequest, CloseReceived | InvalidFrame | InvalidClose) => {
            (Phase::Reported, "400", &["MalformedHttp"][..])
        }
        (ReceivingRequest, Eof) => (Phase::Reported, "-", &["MissingRequest"][..]),
        (ReceivingRequest, OpeningTimeout) => (Phase::Ended, "408", &["Timeout(Handshake)"][..]),
        (Deciding, Close) => (Phase::Ended, "-", &["ClosedWhileConnecting"][..]),
        (Deciding, CloseReceived | InvalidFrame | InvalidClose) => unchanged,
        (Deciding, Eof) => (Phase::Reported, "-", &["TransportLost"][..]),
        (Deciding, OpeningTimeout) => (Phase::Ended, "503", &["Timeout(Handshake)"][..]),
        (ReceivingResponse, Close) => (Phase::Ended, "-", &["ClosedWhileConnecting"][..]),
        (ReceivingResponse, CloseReceived | InvalidFrame | InvalidClose) => {
            (Phase::Reported, "-", &["MalformedHttp"][..])
        }
        (ReceivingResponse, Eof) => (Phase::Reported, "-", &["IncompleteHead"][..]),
        (ReceivingResponse, OpeningTimeout) => (Phase::Ended, "-", &["Timeout(Handshake)"][..]),
        // The body of the rejection is complete with five bytes more.
        (ReceivingRejection, CloseReceived) => (Phase::Reported, "-", &["Rejected 403 (9)", "Rejected(403)"][..]),
        (ReceivingRejection, InvalidFrame | InvalidClose) => unchanged,
        (ReceivingRejection, Close | OpeningTimeout) => (Phase::Ended, "-", &["Rejected 403 (4)", "Rejected(403)"][..]),
        (ReceivingRejection, Eof) => (Phase::Reported, "-", &["Rejected 403 (4)", "Rejected(403)"][..]),
        (
            ReceivingRequest | Deciding | ReceivingResponse | ReceivingRejection,
            KeepAliveTimeout | ClosingTimeout | NoMemory | OutputFull,
        ) => unchanged,

        // Open.
        (Open(_), Close) => (Phase::CloseSent, "Close 1001", &[][..]),
        (Open(Role::Server), CloseReceived) => (Phase::Reported, "Close 1000", &["Closed 1000"][..]),
        (Open(Role::Client), CloseReceived) => (Phase::Draining, "Close 1000", &["CloseReceived 1000"][..]),
        (Open(_), InvalidFrame) => (Phase::Reported, "Close 1002", &["ReservedOpcode(3)"][..]),
        (Open(_), InvalidClose) => (Phase::Reported, "Close 1002", &["InvalidCloseCode(1005)"][..]),
        (Open(_), NoMemory) => (Phase::Reported, "Close 1011", &["OutOfMemory"][..]),
        (Open(_), Eof) => (Phase::Reported, "-", &["TransportLost"][..]),
        (Open(_), KeepAliveTimeout) => (Phase::Ended, "Close 3008", &["Timeout(KeepAlive)"][..]),
        (Open(_), OutputFull) => (Phase::Ended, "-", &["Full"][..]),
        (Open(_), OpeningTimeout | ClosingTimeout) => unchanged,

        // This side's Close is sent once.
        (CloseSent(Role::Server), CloseReceived) => (Phase::Reported, "-", &["Closed 1000"][..]),
        (CloseSent(Role::Client), CloseReceived) => (Phase::Draining, "-", &["CloseReceived 1000"][..]),
        (CloseSent(_), InvalidFrame) => (Phase::Reported, "-", &["ReservedOpcode(3)"][..]),
        (CloseSent(_), InvalidClose) => (Phase::Reported, "-", &["InvalidCloseCode(1005)"][..]),
        (CloseSent(_), NoMemory) => (Phase::Reported, "-", &["OutOfMemory"][..]),
        (CloseSent(_), Eof) => (Phase::Reported, "-", &["TransportLost"][..]),
        (CloseSent(_), KeepAliveTimeout) => (Phase::Ended, "-", &["Timeout(KeepAlive)"][..]),
        (CloseSent(_), ClosingTimeout) => (Phase::Ended, "-", &["Timeout(Closing)"][..]),
        (CloseSent(_), Close | OpeningTimeout | OutputFull) => unchanged,

        // A client waits for the server to close the transport.
        (Draining, Eof) => (Phase::Reported, "-", &["Closed 1005"][..]),
        (Draining, KeepAliveTimeout | ClosingTimeout) => (Phase::Ended, "-", &["Closed 1005"][..]),
        (Draining, Close | CloseReceived | InvalidFrame | InvalidClose | NoMemory | OpeningTimeout | OutputFull) => {
            unchanged
        }

        // Over: nothing changes what is reported.
        (Ended(_), CloseReceived | InvalidFrame | InvalidClose | Eof) => {
            (Phase::Reported, "-", &["Timeout(KeepAlive)"][..])
        }
        (Ended(_), Close | NoMemory | OpeningTimeout | KeepAliveTimeout | ClosingTimeout | OutputFull) => {
            (Phase::Ended, "-", &["Timeout(KeepAlive)"][..])
        }
        (ReportedClean(_) | ReportedFailed(_), _) => unchanged,
    };
    // The last event of one that is over already is reported after the call.
    let events = match (situation, trigger) {
        (Ended(_), Recycled) => &["Timeout(KeepAlive)"][..],
        _ => events,
    };
    (phase, sent.into(), events.iter().map(|name| (*name).into()).collect())
}

#[test]
fn every_trigger_in_every_phase() {
    for situation in SITUATIONS {
        for trigger in TRIGGERS {
            assert_eq!(outcome(situation, trigger), expected(situation, trigger), "{trigger:?} in {situation:?}");
        }
    }
}

/// An answer to the request opens or ends the connection, once, and only while the request waits.
#[test]
fn the_request_is_answered_once() {
    let mut output = Output::new();
    for accepts in [true, false] {
        let mut ws = reach(ReceivingRequest, &mut output);
        let events = receive(&mut ws, REQUEST, &mut output);
        let Ok([Event::Request(request)]) = <[_; 1]>::try_from(events) else { panic!("no request") };
        let mut other = reach(Deciding, &mut output);
        let answer = |ws: &mut Connection, request, output: &mut Output| {
            if accepts {
                ws.accept(request, output);
            } else {
                ws.reject(request, &Reject::forbidden(), output);
            }
        };
        let equal = receive(&mut reach(ReceivingRequest, &mut output), REQUEST, &mut output);
        let Ok([Event::Request(equal)]) = <[_; 1]>::try_from(equal) else { panic!("no request") };
        answer(&mut other, equal, &mut output);
        assert_eq!((other.phase, output.len()), (Phase::Handshake, 0), "a request of another connection");
        answer(&mut ws, request, &mut output);
        let phase = if accepts { Phase::Open } else { Phase::Ended };
        assert_eq!((ws.phase, sent(Role::Server, &mut output)), (phase, if accepts { "101" } else { "403" }.into()));
    }
}

/// A fault's kind is what the peer is told by.
#[test]
fn every_fault_has_its_close_code() {
    for (kind, code) in [
        (ProtocolErrorKind::InvalidUtf8, "Close 1007"),
        (ProtocolErrorKind::MessageTooBig, "Close 1009"),
        (ProtocolErrorKind::TooManyFragments, "Close 1008"),
        (ProtocolErrorKind::ReservedBits, "Close 1002"),
    ] {
        let mut output = Output::new();
        let mut ws = reach(Open(Role::Server), &mut output);
        let event = ws.on_error(ProtocolError { kind, offset: 0 }.into(), &mut output);
        assert_eq!((name(&event), sent(Role::Server, &mut output)), (format!("{kind:?}"), code.into()));
    }
}
