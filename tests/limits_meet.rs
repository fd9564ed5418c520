//! Combinations of features: a limit and a timer, browser rules and fragments, counters and the end.

use std::time::Duration;

use bytes::Buf;
use websocket_proto::handshake::Negotiated;
use websocket_proto::{
    CloseCode, Config, Connection, Event, Fragments, Input, Output, Role, SendError, Timeout, Timeouts, Timers,
};

fn open(role: Role, config: Config) -> Connection {
    Connection::upgraded(role, Negotiated::default(), config, [7; 32])
}

/// A keep-alive ping is sent however full the output is: without its pong, a live peer would time out.
#[test]
fn a_keep_alive_ping_ignores_the_output_limit() {
    let mut server = open(Role::Server, Config::new().max_output(100));
    let mut output = Output::new();
    server.send_binary(&[0; 86], &mut output).expect("it fits");
    assert_eq!(server.ping(b"", &mut output), Err(SendError::Full));
    let before = output.len();
    let mut timers = Timers::new(Duration::ZERO, Timeouts::new());
    timers.handle_timeout(Duration::ZERO, &mut server, &mut output);
    let due = timers.poll_timeout().expect("keep-alive is on");
    timers.handle_timeout(due, &mut server, &mut output);
    assert_eq!(server.counters().sent.pings, 1);
    assert_eq!(&output.chunk()[before..][..2], b"\x89\x08");
}

/// Under browser rules, fragments after closing are no error, and count as buffered.
#[test]
fn fragments_after_closing_follow_browser_rules() {
    for (browser_rules, sent, buffered) in [(true, Ok(()), 2), (false, Err(SendError::Closing), 0)] {
        let mut client = open(Role::Client, Config::new().browser_rules(browser_rules));
        let mut output = Output::new();
        client.close(CloseCode::NORMAL_CLOSURE, "", &mut output);
        assert_eq!(Fragments::text("abc", 2).send_next(&mut client, &mut output), sent);
        assert_eq!(client.buffered_amount(&output), buffered);
    }
}

/// A failed handshake is not counted.
#[test]
fn a_failed_handshake_counts_nothing() {
    let mut server = Connection::server(Config::new());
    let mut request = *b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let closed = server.receive(&mut Input::new(&mut request), &mut Output::new());
    assert!(matches!(closed, Some(Event::Closed(_))));
    assert_eq!(server.counters(), Connection::server(Config::new()).counters());
}

/// A fault that is found only at the end of the stream sends no Close.
#[test]
fn a_fault_found_at_eof_sends_no_close() {
    let mut server = open(Role::Server, Config::new().part_size(16));
    let mut output = Output::new();
    let mut read = *b"\x81\x83\0\0\0\0ab\xff";
    let part = server.receive(&mut Input::new(&mut read), &mut output);
    assert_eq!(part, Some(Event::TextPart { text: "ab".into(), first: true, last: false }));
    assert!(matches!(server.receive_eof(), Some(Event::Closed(closed)) if closed.error().is_some()));
    assert_eq!((server.counters().sent.wire_bytes, output.len()), (0, 0));
}

/// A timeout at any offset of a frame is the last event.
#[test]
fn a_timeout_in_the_middle_of_a_frame_is_the_last_event() {
    for cut in 1..=10 {
        let mut server = open(Role::Server, Config::new());
        let mut output = Output::new();
        let mut read = b"\x82\x85\0\0\0\0Hello"[..cut].to_vec();
        assert_eq!(server.receive(&mut Input::new(&mut read), &mut output), None);
        server.time_out(Timeout::KeepAlive, &mut output);
        let event = server.receive(&mut Input::default(), &mut output);
        assert!(matches!(event, Some(Event::Closed(_))), "cut at {cut}: {event:?}");
    }
}
