//! The WHATWG's rules for sending, for bindings of the WebSocket API: `send(data)` when nothing can be sent, and
//! `bufferedAmount`. Without these rules, `max_output` makes sending fail.

use bytes::Buf;
use websocket_proto::{
    CloseCode, Config, Connection, ConnectionError, Event, MessageKind, Output, PreparedMessage, Role, SendError, State,
};

use crate::faults::open;
use crate::harness::{assert_failed, connecting, drain, every_cut_with, feed, frames, from_peer_of, pong};
use crate::http::offering;
use crate::rows;
use crate::shared::wired::ROLES;

/// The output limit of these tests, in bytes.
const LIMIT: usize = 100;

/// A way to send a message.
type Send = fn(&mut Connection, &mut Output) -> Result<(), SendError>;

fn browser(role: Role) -> Connection {
    open(role, &Config::new().browser_rules(true))
}

/// Every way to send a message, three bytes each.
fn send_in_every_way(ws: &mut Connection, output: &mut Output) -> [Result<(), SendError>; 8] {
    [
        ws.send_text("€", output),
        ws.send_binary(b"bin", output),
        ws.send_text_uncompressed("é1", output),
        ws.send_binary_uncompressed(b"bin", output),
        ws.send_fragment(MessageKind::Text, b"all", true, output),
        ws.send_fragment_uncompressed(MessageKind::Text, b"all", true, output),
        ws.send_bytes(MessageKind::Binary, b"ref".as_slice().into(), output),
        ws.send_prepared(&PreparedMessage::text("ref"), output),
    ]
}

#[test]
fn sending_after_closing_only_counts_bytes() {
    rows!("WS-SEND-2");
    for role in ROLES {
        let (mut ws, mut output) = (browser(role), Output::new());
        ws.close(CloseCode::NORMAL_CLOSURE, "", &mut output);
        let close = output.len();
        assert_eq!((ws.state(), ws.buffered_amount(&output)), (State::Closing, 0));
        assert_eq!(send_in_every_way(&mut ws, &mut output), [Ok(()); 8]);
        assert_eq!((output.len(), ws.buffered_amount(&output)), (close, 8 * 3));
        while ws.receive_eof().is_some() {}
        assert_eq!(ws.state(), State::Closed);
        assert_eq!(send_in_every_way(&mut ws, &mut output), [Ok(()); 8]);
        assert_eq!((output.len(), ws.buffered_amount(&output)), (close, 16 * 3));
        // Invalid UTF-8 is not a message and is not counted.
        let no_text = ws.send_bytes(MessageKind::Text, b"\xff".as_slice().into(), &mut output);
        assert_eq!((no_text, ws.buffered_amount(&output)), (Err(SendError::InvalidUtf8), 16 * 3));
    }
}

/// The peer's Close may have arrived without the page knowing: sending is no error then.
#[test]
fn sending_after_the_peers_close_only_counts_bytes() {
    rows!("WS-SEND-2");
    let make = || browser(Role::Server);
    let outcome = every_cut_with(make, &from_peer_of(Role::Server, &[(0x88, b"\x03\xe8")]), &|ws, event, output| {
        let before = output.len();
        assert_eq!(ws.send_text("late", output), Ok(()));
        assert_eq!((output.len(), ws.buffered_amount(output)), (before, 4));
        Some(event)
    });
    assert_eq!(outcome.close_sent(), Some(Some(1000)));
    assert_eq!(outcome.closed().map(|closed| (closed.code(), closed.was_clean())), Some((1000, true)));
}

#[test]
fn sending_while_connecting_is_an_error_under_browser_rules() {
    rows!("WS-SEND-1");
    let (mut ws, mut output) = (Connection::server(Config::new().browser_rules(true)), Output::new());
    assert_eq!(send_in_every_way(&mut ws, &mut output), [Err(SendError::Connecting); 8]);
    assert_eq!(ws.buffered_amount(&output), 0);
    let (mut ws, _) = connecting(&offering(&[]), Config::new().browser_rules(true));
    assert_eq!(send_in_every_way(&mut ws, &mut output), [Err(SendError::Connecting); 8]);
    assert!(output.is_empty() && ws.buffered_amount(&output) == 0);
}

/// "flag the WebSocket as full and then close the WebSocket connection"
#[test]
fn a_full_output_closes_under_browser_rules() {
    rows!("WS-SEND-3", "WS-BUF-2", "WS-STATE-2", "WS-CLOSE-9");
    for role in ROLES {
        let config = Config::new().browser_rules(true).max_output(LIMIT);
        let too_much: [Send; 4] = [
            |ws, output| ws.send_text(&"x".repeat(LIMIT), output),
            |ws, output| ws.send_fragment(MessageKind::Binary, &[0; LIMIT], false, output),
            |ws, output| ws.send_bytes(MessageKind::Text, vec![b'x'; LIMIT].into(), output),
            |ws, output| ws.send_prepared(&PreparedMessage::binary(&[0; LIMIT]), output),
        ];
        for send in too_much {
            let (mut ws, mut output) = (open(role, &config), Output::new());
            ws.send_text("fits", &mut output).unwrap();
            let fits = output.len();
            assert_eq!(send(&mut ws, &mut output), Ok(()));
            assert_eq!((output.len(), ws.state(), ws.is_closed()), (fits, State::Closing, true));
            assert_eq!(ws.buffered_amount(&output), 4 + LIMIT as u64);
            // The peer's further frames change nothing.
            let outcome = feed(&mut ws, [from_peer_of(role, &[(0x81, b"late")]).as_slice()]);
            let [Event::Closed(closed)] = outcome.events.as_slice() else { panic!("{outcome:?}") };
            assert_eq!(assert_failed(closed), &ConnectionError::Full);
            assert_eq!(ws.state(), State::Closed);
            assert!(outcome.output.is_empty() && ws.receive_eof().is_none());
            output.advance(fits);
            assert_eq!(ws.buffered_amount(&output), LIMIT as u64);
        }
    }
}

#[test]
fn a_full_output_is_an_error_without_browser_rules() {
    rows!("WS-SEND-3");
    for role in ROLES {
        let (mut ws, mut output) = (open(role, &Config::new().max_output(LIMIT)), Output::new());
        ws.send_binary(&[1; LIMIT / 2], &mut output).unwrap();
        let waiting = output.len();
        let too_much = [0; LIMIT / 2];
        assert_eq!(ws.send_binary(&too_much, &mut output), Err(SendError::Full));
        assert_eq!(ws.send_binary_uncompressed(&too_much, &mut output), Err(SendError::Full));
        assert_eq!(ws.send_fragment(MessageKind::Binary, &too_much, false, &mut output), Err(SendError::Full));
        assert_eq!(ws.send_bytes(MessageKind::Binary, too_much.to_vec().into(), &mut output), Err(SendError::Full));
        assert_eq!(ws.send_prepared(&PreparedMessage::binary(&too_much), &mut output), Err(SendError::Full));
        assert_eq!(ws.ping(&too_much, &mut output), Err(SendError::Full));
        assert_eq!(ws.pong(&too_much, &mut output), Err(SendError::Full));
        assert_eq!((output.len(), ws.state(), ws.counters().sent.pings), (waiting, State::Open, 0));
        // The limit is on waiting bytes, not on bytes sent over time: once they are written, there is room again.
        output.advance(waiting);
        ws.send_binary(&too_much, &mut output).unwrap();
        assert_eq!(ws.buffered_amount(&output), 0, "counted only under browser rules");
        output.advance(output.len());
        // The rejected fragment started no message.
        ws.send_text("next", &mut output).unwrap();
        assert_eq!(output.chunk()[0], 0x81);
        // A rejected fragment does not end a message either.
        ws.send_fragment(MessageKind::Binary, b"to be ", false, &mut output).unwrap();
        assert_eq!(ws.send_fragment(MessageKind::Binary, &[0; LIMIT], true, &mut output), Err(SendError::Full));
        ws.send_fragment(MessageKind::Binary, b"continued", true, &mut output).unwrap();
        assert_eq!(frames(&drain(&mut output))[2].1, b"continued");
    }
}

/// A payload longer than the limit never fits; a payload that fits with the longest possible header always does.
#[test]
fn the_longest_header_counts_against_the_limit() {
    rows!("WS-SEND-3");
    for role in ROLES {
        let sent = |len| open(role, &Config::new().max_output(1000)).send_binary(&vec![0; len], &mut Output::new());
        let longest_header = websocket_proto::frame::FrameHeader::MAX_LEN;
        assert_eq!((sent(1000 - longest_header), sent(1001)), (Ok(()), Err(SendError::Full)));
        let unlimited = open(role, &Config::new()).send_binary(&vec![0; 1 << 20], &mut Output::new());
        assert_eq!(unlimited, Ok(()));
    }
}

/// Pongs and the Close reply are always sent: the limit does not apply to them.
#[test]
fn pongs_and_the_close_ignore_the_limit() {
    rows!("WS-SEND-3");
    for role in ROLES {
        for browser_rules in [false, true] {
            let make = || open(role, &Config::new().max_output(0).browser_rules(browser_rules));
            let input = from_peer_of(role, &[(0x89, b"ping"), (0x8a, b"pong"), (0x88, b"\x03\xe8")]);
            let outcome = every_cut_with(make, &input, &|_, event, _| Some(event));
            assert_eq!(outcome.before_end()[1], pong(b"pong"));
            assert_eq!(outcome.frames()[0].1, b"ping");
            assert_eq!(outcome.close_sent(), Some(Some(1000)));
        }
    }
}

#[test]
fn only_message_bytes_count_as_buffered() {
    rows!("WS-BUF-1");
    for role in ROLES {
        let (mut ws, mut output) = (browser(role), Output::new());
        assert_eq!(ws.buffered_amount(&output), 0);
        for (text, expected) in [("x".repeat(100), 100), ("é".repeat(100), 300), (String::new(), 300)] {
            ws.send_text(&text, &mut output).unwrap();
            assert_eq!(ws.buffered_amount(&output), expected);
        }
        ws.send_binary(&vec![0; 70_000], &mut output).unwrap();
        assert_eq!(ws.buffered_amount(&output), 70_300);
        ws.ping(b"not of a message", &mut output).unwrap();
        ws.pong(b"not of a message", &mut output).unwrap();
        assert_eq!(ws.buffered_amount(&output), 70_300);
        assert_eq!(send_in_every_way(&mut ws, &mut output), [Ok(()); 8]);
        ws.send_bytes(MessageKind::Binary, vec![0; 20_000].into(), &mut output).unwrap();
        assert_eq!(ws.buffered_amount(&output), 90_300 + 8 * 3);
        output.advance(output.len());
        assert_eq!(ws.buffered_amount(&output), 0);
    }
}

/// However the transport takes the bytes, only waiting payload bytes count.
#[test]
fn written_bytes_do_not_count_as_buffered() {
    rows!("WS-BUF-1");
    for role in ROLES {
        let (mut ws, mut output) = (browser(role), Output::new());
        // For each byte of the wire, whether a message counts it.
        let mut counts = Vec::new();
        for len in [5, 0, 130] {
            let before = output.len();
            ws.send_binary(&vec![0; len], &mut output).unwrap();
            counts.resize(before + (output.len() - before - len), false);
            counts.resize(output.len(), true);
            ws.ping(b"ping", &mut output).unwrap();
            counts.resize(output.len(), false);
        }
        for written in 0..=counts.len() {
            let waiting = counts[written..].iter().filter(|counted| **counted).count();
            assert_eq!(ws.buffered_amount(&output), waiting as u64, "{role:?}, {written} bytes written");
            output.advance(1);
        }
    }
}

#[cfg(feature = "deflate")]
#[test]
fn buffered_bytes_are_counted_before_compression() {
    rows!("WS-BUF-1");
    let config = || Config::new().browser_rules(true).deflate(websocket_proto::Deflate::new());
    let agreed = crate::deflate::extensions("permessage-deflate");
    for mut ws in [
        crate::harness::server_for_request(config(), &crate::http::add(crate::harness::REQUEST, &agreed)),
        crate::harness::client_for_response(config(), &agreed),
    ] {
        assert!(ws.uses_deflate());
        let mut output = Output::new();
        ws.send_text(&"x".repeat(1000), &mut output).unwrap();
        ws.send_prepared(&PreparedMessage::text(&"x".repeat(1000)), &mut output).unwrap();
        assert!(output.len() < 1000);
        assert_eq!(ws.buffered_amount(&output), 2000);
        output.advance(output.len());
        assert_eq!(ws.buffered_amount(&output), 0);
    }
}

/// "this attribute's value will only increase with each call to the `send()` method. (The number does not reset to zero
/// once the connection closes.)"
#[test]
fn closing_does_not_reset_the_buffered_amount() {
    rows!("WS-BUF-2");
    for role in ROLES {
        let (mut ws, mut output) = (browser(role), Output::new());
        ws.send_text(&"x".repeat(100), &mut output).unwrap();
        ws.close(CloseCode::NORMAL_CLOSURE, "", &mut output);
        assert_eq!(ws.buffered_amount(&output), 100);
        ws.send_text("late", &mut output).unwrap();
        feed(&mut ws, [from_peer_of(role, &[(0x88, b"\x03\xe8")]).as_slice()]);
        assert_eq!(ws.buffered_amount(&output), 104);
        while ws.receive_eof().is_some() {}
        assert_eq!((ws.state(), ws.buffered_amount(&output)), (State::Closed, 104));
        // Bytes written after closing no longer wait; bytes that were never sent still count.
        output.advance(output.len());
        assert_eq!(ws.buffered_amount(&output), 4);
        ws.send_text("later", &mut output).unwrap();
        assert_eq!(ws.buffered_amount(&output), 9);
    }
}
