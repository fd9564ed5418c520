//! Bytes in flight, limits and calls at the edges of the contract.

use std::io::ErrorKind;

use bytes::Bytes;
use websocket_proto::handshake::Negotiated;
use websocket_proto::{
    Action, Config, Connection, Event, Input, MessageKind, Output, Role, SendError, Session, SessionConfig, Timeouts,
};

use crate::shared::handshake::REQUEST;
use crate::shared::harness::session::end::{PONG, STALL, VALIDITY, deadlines};

/// A chunk that is in flight at the keep-alive's deadline, and is accepted later, proves the peer alive (rule 2). One that
/// is accepted before proves nothing.
#[test]
fn a_chunk_that_waits_at_a_deadline_proves_the_peer_alive() {
    for (accepted_at, expected) in [(1000, VALIDITY), (VALIDITY + 1000, 2 * VALIDITY + 1000)] {
        let limits = SessionConfig::none().timeouts(Timeouts::none().keep_alive(VALIDITY, PONG));
        let (mut session, mut output) = (Session::new(0, open(), limits), Output::new());
        let _ = session.poll_queued(0, &mut output);
        let (ws, backlog) = session.parts();
        ws.send_text("hello", backlog).expect("the connection is open");
        let _ = session.poll_queued(1, &mut output);
        let chunk = session.take_chunk();
        if accepted_at > VALIDITY {
            let _ = session.poll_queued(VALIDITY, &mut output);
        }
        session.wrote(accepted_at, chunk.len());
        let Action::Wait { deadline, .. } = session.poll_queued(accepted_at, &mut output) else { panic!("it is open") };
        assert_eq!(deadline, Some(expected));
    }
}

fn open() -> Connection {
    Connection::upgraded(Role::Server, Negotiated::default(), Config::new(), [7; 32])
}

/// Chunks that are accepted whole, each within the stall, keep a slow reader alive (rule 2) and restart the grace period
/// (rule 6).
#[test]
fn whole_chunks_are_progress() {
    let mut output = Output::new();
    for is_over in [false, true] {
        let (size, span) = if is_over { (20 << 10, 900) } else { (200 << 10, STALL - 1000) };
        let mut session = Session::new(0_u64, open(), deadlines());
        let (ws, backlog) = session.parts();
        for _ in 0..30 {
            ws.send_bytes(MessageKind::Binary, Bytes::from(vec![0; size]), backlog).expect("the connection is open");
        }
        if is_over {
            let mut fault = *b"\x83\x80\0\0\0\0";
            let mut input = Input::new(&mut fault);
            assert!(matches!(session.receive(&mut input, &mut output), Some(Event::Closed(_))));
        }
        let mut now = 0;
        loop {
            match session.poll_queued(now, &mut output) {
                Action::Wait { write: true, .. } => {}
                Action::Wait { .. } => break assert!(!is_over),
                Action::ShutDown => break assert!(is_over),
                action => panic!("{action:?} at {now}: {} bytes wait", session.waiting()),
            }
            let chunk = session.take_chunk();
            now += if chunk.len() > 100 { span } else { 0 };
            session.wrote(now, chunk.len());
        }
        assert_eq!(session.waiting(), 0);
    }
}

/// Rule 9, between turns and in the handler of an [`Action::Event`]: the backlog counts although the output is empty.
#[test]
fn the_limit_counts_bytes_that_are_not_in_the_output() {
    let full = |_: &[std::io::IoSlice<'_>]| Err(ErrorKind::WouldBlock.into());
    let mut session = Session::new(0_u64, Connection::server(Config::new().max_output(3000)), deadlines());
    let (mut output, mut request) = (Output::new(), None);
    let mut bytes = [REQUEST, b"\x81\x84\0\0\0\0fast"].concat();
    let mut input = Input::from_read(&mut bytes);
    while let Some(event) = session.receive(&mut input, &mut output) {
        let Event::Request(asked) = event else { panic!("{event:?}") };
        request = Some(asked);
    }
    let _ = session.poll(0, &mut output, full);
    let (ws, backlog) = session.parts();
    ws.accept(request.expect("it is complete"), backlog);
    ws.send_text(&"y".repeat(2700), backlog).expect("the connection is open");
    assert!(matches!(session.poll(0, &mut output, full), Action::Event(Event::Text(_))));
    assert!(output.is_empty() && session.waiting() > 2700);
    assert_eq!(session.connection_mut().send_text(&"x".repeat(2900), &mut output), Err(SendError::Full));
    let _ = session.poll(0, &mut output, full);
    assert_eq!(session.connection_mut().send_text(&"x".repeat(2900), &mut output), Err(SendError::Full));
    let (ws, backlog) = session.parts();
    assert_eq!(ws.send_text("short", backlog), Ok(()));
}

#[test]
fn bytes_in_flight_are_not_overtaken() {
    let (mut session, mut output) = (Session::new(0_u64, open(), deadlines()), Output::new());
    let (ws, backlog) = session.parts();
    ws.send_text("first", backlog).expect("the connection is open");
    let chunk = session.take_chunk();
    let (ws, backlog) = session.parts();
    ws.send_text("second", backlog).expect("the connection is open");
    let mut wire = Vec::new();
    let _ = session.poll_writer(0, &mut output, &mut wire);
    assert!(wire.is_empty() && session.waiting() == chunk.len() + 8);
    session.wrote(0, chunk.len());
    let _ = session.poll_writer(0, &mut output, &mut wire);
    assert_eq!(wire, b"\x81\x06second");
}

/// With room for nothing, a server still reads while nothing waits.
#[test]
fn a_backlog_of_nothing_reads_while_nothing_waits() {
    let (mut session, mut output) = (Session::new(0_u64, open(), deadlines().max_backlog(0)), Output::new());
    assert!(matches!(session.poll_queued(0, &mut output), Action::Wait { read: 1.., .. }));
    let (ws, backlog) = session.parts();
    ws.send_text("hello", backlog).expect("the connection is open");
    assert!(matches!(session.poll_queued(0, &mut output), Action::Wait { read: 0, write: true, .. }));
}

/// The driver's buffer has this many bytes: the session never asks for more. Before the handshake it asks for 4 KiB,
/// because compressed messages may follow the request.
#[test]
fn a_read_is_at_most_as_long_as_configured() {
    for (max_read, expected) in [(0, 1), (1, 1), (1000, 1000), (64 << 10, 64 << 10), (1 << 20, 1 << 20)] {
        let limits = SessionConfig::none().max_read(max_read);
        for (ws, most) in [(open(), usize::MAX), (Connection::server(Config::new()), 4 << 10)] {
            let (mut session, mut output) = (Session::new(0_u64, ws, limits), Output::new());
            let Action::Wait { read, .. } = session.poll_queued(0, &mut output) else { panic!("it is new") };
            assert_eq!(read, expected.min(most));
        }
        let (mut session, mut output) = (Session::new(0_u64, open(), limits), Output::new());
        let mut fault = *b"\x83\x80\0\0\0\0";
        assert!(session.receive(&mut Input::new(&mut fault), &mut output).is_some());
        while let action = session.poll_queued(0, &mut output)
            && action != Action::ShutDown
        {
            let written = session.take_chunk().len();
            session.wrote(0, written);
        }
        let Action::Wait { read, .. } = session.poll_queued(0, &mut output) else { panic!("the peer has not closed") };
        assert_eq!(read, expected, "what is read and discarded, too");
    }
}

#[test]
fn after_its_close_a_session_only_closes() {
    let (mut session, mut output) = (Session::new(0_u64, open(), deadlines()), Output::new());
    while session.receive(&mut Input::from_read(&mut []), &mut output).is_some() {}
    let mut actions = Vec::new();
    for _ in 0..5 {
        actions.push(session.poll_writer(0, &mut output, &mut Vec::new()));
    }
    assert!(matches!(actions[..], [Action::ShutDown, Action::Close, Action::Close, Action::Close, Action::Close]));
}
