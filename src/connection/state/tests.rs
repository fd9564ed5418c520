//! The table of all transitions: each trigger in each situation.

mod table;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use bytes::Buf;

use super::*;
use crate::config::Config;
use crate::error::SendError;
use crate::frame::Opcode;
use crate::handshake::{ClientRequest, Reject, Request, accept_key};
use crate::input::Input;
use crate::mask::apply_mask;

/// A phase and, in the handshake, its stage.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Situation {
    ReceivingRequest,
    Deciding,
    ReceivingResponse,
    /// The body of a 403 has four of nine bytes.
    ReceivingRejection,
    Open(Role),
    /// A server that has accepted late: a ping and half a text are early data.
    EarlyData,
    CloseSent(Role),
    Draining,
    /// By a timeout, which is not reported yet.
    Ended(Role),
    /// By `close` while the body of a 403 was incomplete; nothing is reported yet.
    EndedWithRejection,
    ReportedClean(Role),
    ReportedFailed(Role),
}

/// A cause of a transition, or of none.
#[derive(Clone, Copy, Debug)]
enum Trigger {
    /// A server receives a request, a client the response to its own.
    ReceiveHead,
    Accept,
    Reject,
    ReceiveText,
    ReceivePing,
    /// With code 1000 and a reason.
    ReceiveClose,
    ReceiveReservedOpcode,
    /// With code 1005.
    ReceiveInvalidClose,
    SendText,
    /// More than the limit on the output, under browser rules.
    SendTooMuch,
    SendPing,
    /// With code 1001 and a reason.
    Close,
    Eof,
    HandshakeTimeout,
    KeepAliveTimeout,
    ClosingTimeout,
    Recycle,
}

use table::TABLE;

use Role::{Client, Server};
use Situation::*;
use Trigger::*;

const TRIGGERS: [Trigger; 17] = [
    ReceiveHead,
    Accept,
    Reject,
    ReceiveText,
    ReceivePing,
    ReceiveClose,
    ReceiveReservedOpcode,
    ReceiveInvalidClose,
    SendText,
    SendTooMuch,
    SendPing,
    Close,
    Eof,
    HandshakeTimeout,
    KeepAliveTimeout,
    ClosingTimeout,
    Recycle,
];

#[test]
fn every_trigger_in_every_situation() {
    for (situation, outcomes) in TABLE {
        for trigger in TRIGGERS {
            let listed = outcomes.iter().find(|(listed, _)| *listed as u8 == trigger as u8);
            let unchanged = format!("{:?} | |", phase_of(*situation));
            let expected = listed.map_or(&*unchanged, |(_, outcome)| *outcome);
            assert_eq!(outcome(*situation, trigger), expected, "{trigger:?} in {situation:?}");
        }
    }
}

fn phase_of(situation: Situation) -> Phase {
    match situation {
        ReceivingRequest | Deciding | ReceivingResponse | ReceivingRejection => Phase::Handshake,
        Open(_) | EarlyData => Phase::Open,
        CloseSent(_) => Phase::CloseSent,
        Draining => Phase::Draining,
        Ended(_) | EndedWithRejection => Phase::Ended,
        ReportedClean(_) | ReportedFailed(_) => Phase::Reported,
    }
}

/// The phase after the call, the output, and the events, in the words of the table.
fn outcome(situation: Situation, trigger: Trigger) -> String {
    let mut start = reach(situation);
    let mut names = apply(trigger, &mut start);
    let Start { mut ws, mut output, .. } = start;
    let phase = ws.phase;
    // Early data is left, or half a message is in progress.
    assert_eq!(ws.fast_path, phase == Phase::Open && situation != EarlyData, "{trigger:?} in {situation:?}");
    assert_eq!(ws.state(), state_in(phase));
    if ws.is_closed() {
        names.extend(core::iter::from_fn(|| ws.receive_eof().as_ref().map(name)));
        assert_eq!((ws.phase, ws.state()), (Phase::Reported, State::Closed));
    }
    let was_clean = names.last().is_some_and(|name| name.starts_with("Close"));
    let is_clean = was_clean && !names.iter().any(|name| name == "Closing" || name == "ClosedWhileConnecting");
    let known = matches!(situation, Draining | ReportedClean(_));
    assert_eq!(ws.received_close().is_some(), is_clean || known, "{trigger:?} in {situation:?}");
    let frames = written(ws.role(), &mut output).join(", ");
    let text = format!("{phase:?} | {frames} | {}", names.join(", "));
    String::from(text.replace("|  |", "| |").trim_end())
}

fn state_in(phase: Phase) -> State {
    match phase {
        Phase::Handshake => State::Connecting,
        Phase::Open => State::Open,
        Phase::CloseSent | Phase::Draining | Phase::Ended => State::Closing,
        Phase::Reported => State::Closed,
    }
}

/// A connection in its situation.
struct Start {
    ws: Connection,
    output: Output,
    /// In [`Deciding`], the connection's own request; otherwise that of another connection.
    request: Request,
    /// The head that the connection waits for in its handshake.
    head: Vec<u8>,
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

const REJECTION: &[u8] = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\npart";

/// Rules and limits that every trigger can meet.
fn config() -> Config {
    Config::new().browser_rules(true).max_output(200)
}

/// A server that waits for the answer to this request.
fn deciding() -> (Connection, Request) {
    let mut ws = Connection::server(config());
    let mut head = REQUEST.to_vec();
    match ws.receive(&mut Input::new(&mut head), &mut Output::new()) {
        Some(Event::Request(request)) => (ws, request),
        event => panic!("{event:?}"),
    }
}

/// A client that waits for this response.
fn connecting() -> (Connection, Vec<u8>) {
    let mut output = Output::new();
    let request = ClientRequest::new("ws://example.com/");
    let ws = Connection::client(&request, config(), [7; 32], &mut output).expect("a valid request");
    let head = String::from_utf8(output.copy_to_bytes(output.remaining()).to_vec()).expect("a request is text");
    let (_, rest) = head.split_once("Sec-WebSocket-Key: ").expect("a key");
    let accept = accept_key(&rest.as_bytes()[..24]);
    let accept = core::str::from_utf8(&accept).expect("base64");
    let head =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ";
    (ws, format!("{head}{accept}\r\n\r\n").into_bytes())
}

fn reach(situation: Situation) -> Start {
    let open = |role| Connection::upgraded(role, Negotiated::default(), config(), [7; 32]);
    let (own, request) = deciding();
    let mut start = Start { ws: open(Server), output: Output::new(), request: deciding().1, head: REQUEST.to_vec() };
    match situation {
        ReceivingRequest => start.ws = Connection::server(config()),
        Deciding => (start.ws, start.request) = (own, request),
        ReceivingResponse => (start.ws, start.head) = connecting(),
        ReceivingRejection | EndedWithRejection => {
            (start.ws, start.head) = connecting();
            assert!(start.receive(REJECTION).is_empty());
        }
        Open(role) => start.ws = open(role),
        EarlyData => {
            start.ws = own;
            let early = [frame(Server, 0x89, b"early"), frame(Server, 0x01, b"half")].concat();
            assert!(start.receive(&early).is_empty());
            start.ws.accept(request, &mut start.output);
        }
        CloseSent(role) => {
            start.ws = open(role);
            start.ws.close(CloseCode::NORMAL_CLOSURE, "", &mut start.output);
        }
        Draining => {
            start.ws = open(Client);
            start.receive(&frame(Client, 0x88, b""));
        }
        Ended(role) => {
            start.ws = open(role);
            start.ws.time_out(Timeout::KeepAlive, &mut start.output);
        }
        ReportedClean(role) => {
            start.ws = open(role);
            start.receive(&frame(role, 0x88, b"\x03\xe8bye"));
            while start.ws.receive_eof().is_some() {}
        }
        ReportedFailed(role) => {
            start.ws = open(role);
            while start.ws.receive_eof().is_some() {}
        }
    }
    if situation == EndedWithRejection {
        start.ws.close(CloseCode::NORMAL_CLOSURE, "", &mut start.output);
    }
    start.output = Output::new();
    assert_eq!(start.ws.phase, phase_of(situation), "{situation:?}");
    start
}

impl Start {
    /// The names of the events.
    fn receive(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut bytes = bytes.to_vec();
        let mut input = Input::new(&mut bytes);
        core::iter::from_fn(|| self.ws.receive(&mut input, &mut self.output).as_ref().map(name)).collect()
    }
}

/// Applies the trigger. Returns the names of the events, or of the error, of the same call.
fn apply(trigger: Trigger, start: &mut Start) -> Vec<String> {
    let role = start.ws.role();
    match trigger {
        ReceiveHead => return start.receive(&start.head.clone()),
        ReceiveText => return start.receive(&frame(role, 0x81, b"four")),
        ReceivePing => return start.receive(&frame(role, 0x89, b"four")),
        ReceiveClose => return start.receive(&frame(role, 0x88, b"\x03\xe8bye")),
        ReceiveReservedOpcode => return start.receive(&frame(role, 0x83, b"")),
        ReceiveInvalidClose => return start.receive(&frame(role, 0x88, b"\x03\xed")),
        Eof => return core::iter::from_fn(|| start.ws.receive_eof().as_ref().map(name)).collect(),
        _ => {}
    }
    let Start { ws, output, request, .. } = start;
    let own = core::mem::replace(request, deciding().1);
    match trigger {
        Accept => ws.accept(own, output),
        Reject => ws.reject(own, &Reject::forbidden(), output),
        SendText => return error_name(ws.send_text("text", output)),
        SendTooMuch => return error_name(ws.send_binary(&[0; 300], output)),
        SendPing => return error_name(ws.ping(b"ping", output)),
        Close => ws.close(CloseCode::GOING_AWAY, "bye", output),
        HandshakeTimeout => ws.time_out(Timeout::Handshake, output),
        KeepAliveTimeout => ws.time_out(Timeout::KeepAlive, output),
        ClosingTimeout => ws.time_out(Timeout::Closing, output),
        _ => ws.recycle(alloc::vec![0; 10]),
    }
    Vec::new()
}

fn error_name(sent: Result<(), SendError>) -> Vec<String> {
    sent.err().map(|error| format!("{error:?}")).into_iter().collect()
}

/// A frame as the peer of `role` sends it.
fn frame(role: Role, first: u8, payload: &[u8]) -> Vec<u8> {
    match role {
        Server => [&[first, 0x80 | payload.len() as u8, 0, 0, 0, 0], payload].concat(),
        Client => [&[first, payload.len() as u8], payload].concat(),
    }
}

/// The response or the frames in the output.
fn written(role: Role, output: &mut Output) -> Vec<String> {
    let bytes = output.copy_to_bytes(output.remaining());
    if bytes.starts_with(b"HTTP/1.1 ") {
        return [String::from_utf8_lossy(&bytes[9..12]).into_owned()].into();
    }
    let (mut rest, mut names) = (&bytes[..], Vec::new());
    while let Some((header, len)) = FrameHeader::decode(rest).expect("a valid header") {
        assert_eq!(header.mask.is_some(), role == Client);
        let end = len + header.payload_len as usize;
        let mut payload = rest[len..end].to_vec();
        apply_mask(header.mask.unwrap_or_default(), &mut payload);
        names.push(match (header.opcode, &payload[..]) {
            (Opcode::Close, [high, low, ..]) => format!("Close {}", u16::from_be_bytes([*high, *low])),
            (opcode, _) => format!("{opcode:?}"),
        });
        rest = &rest[end..];
    }
    assert!(rest.is_empty());
    names
}

fn name(event: &Event<'_>) -> String {
    match event {
        Event::Request(_) => "Request".into(),
        Event::Open(_) => "Open".into(),
        Event::Rejected(response) => format!("Rejected {} ({})", response.status(), response.body().len()),
        Event::Text(_) => "Text".into(),
        Event::Ping(_) => "Ping".into(),
        Event::CloseReceived { status, reason } => format!("CloseReceived {} {reason}", status.code()),
        Event::Closed(closed) => match closed.error() {
            None => String::from(format!("Closed {} {}", closed.code(), closed.reason()).trim_end()),
            Some(ConnectionError::Protocol(error)) => format!("{:?}", error.kind()),
            Some(ConnectionError::Handshake(error)) => format!("{:?}", error.kind()),
            Some(error) => format!("{error:?}"),
        },
        other => panic!("{other:?}"),
    }
}

/// Without memory, the peer is told if there is room for that, and the event needs no memory.
#[test]
fn a_connection_without_memory_fails() {
    for (situation, frames) in [(Open(Server), "Close 1011"), (Open(Client), "Close 1011"), (CloseSent(Server), "")] {
        let Start { mut ws, mut output, .. } = reach(situation);
        let event = ws.on_error(Fault::OutOfMemory, &mut output);
        assert_eq!((&*name(&event), ws.phase, ws.receive_eof()), ("OutOfMemory", Phase::Reported, None));
        assert_eq!(written(ws.role(), &mut output).join(", "), frames);
    }
}
