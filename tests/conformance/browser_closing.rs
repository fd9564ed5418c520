//! The WHATWG's rules for closing, for bindings of the WebSocket API: `close(code, reason)`, its states and events.

use std::cell::Cell;

use websocket_proto::{
    ClientRequest, CloseCode, Config, Connection, ConnectionError, Event, Input, Output, Role, ScriptCloseError,
    SendError, State, Timeout,
};

use crate::faults::open;
use crate::harness::{
    assert_failed, client, connecting, drain, every_cut, every_cut_with, feed, frames, from_peer_of, hex, ping,
    response_to, text,
};
use crate::rows;
use crate::shared::wired::ROLES;

/// Calls `close(code, reason)` as a script does; returns the body of the one Close frame that is sent.
fn script_close(code: Option<u16>, reason: &str) -> Result<Vec<u8>, ScriptCloseError> {
    let (mut ws, mut output) = (client(), Output::new());
    let result = ws.close_from_script(code, reason, &mut output);
    assert_eq!(ws.state(), if result.is_ok() { State::Closing } else { State::Open });
    assert_eq!(result.is_ok(), !output.is_empty(), "an error, but a frame was sent");
    result.map(|()| frames(&drain(&mut output)).remove(0).1)
}

#[test]
fn scripts_may_send_1000_and_3000_to_4999() {
    rows!("WS-CLOSE-1", "WS-CLOSE-6");
    for number in [1000_u16, 3000, 3999, 4000, 4999] {
        assert_eq!(script_close(Some(number), "bye").unwrap(), [&number.to_be_bytes()[..], b"bye"].concat());
    }
    for number in [0, 999, 1001, 1002, 1005, 1006, 1011, 1015, 2999, 5000, 65_535] {
        assert_eq!(script_close(Some(number), ""), Err(ScriptCloseError::InvalidAccess));
    }
}

#[test]
fn a_scripts_reason_has_at_most_123_bytes() {
    rows!("WS-CLOSE-2");
    for (fits, does_not) in [("a".repeat(123), "a".repeat(124)), ("€".repeat(41), "€".repeat(41) + "a")] {
        assert_eq!(script_close(Some(1000), &fits).unwrap()[2..], *fits.as_bytes());
        assert_eq!(script_close(Some(1000), &does_not), Err(ScriptCloseError::Syntax));
        assert_eq!(script_close(None, &does_not), Err(ScriptCloseError::Syntax));
    }
}

/// WHATWG: "If code is null and reason is the empty string, the WebSocket Close frame must not have a body. If reason
/// is non-empty but code is null, then set code to 1000 ("Normal Closure")."
#[test]
fn the_code_is_optional_for_scripts() {
    rows!("WS-CLOSE-5");
    assert_eq!(script_close(None, "").unwrap(), b"");
    assert_eq!(script_close(None, "bye").unwrap(), b"\x03\xe8bye");
}

#[test]
fn closing_twice_does_nothing() {
    rows!("WS-CLOSE-3");
    for role in ROLES {
        let (mut ws, mut output) = (open(role, &Config::new()), Output::new());
        ws.close(CloseCode::NORMAL_CLOSURE, "", &mut output);
        let once = output.len();
        let mut again = |ws: &mut Connection| {
            ws.close(CloseCode::GOING_AWAY, "again", &mut output);
            assert_eq!(ws.close_from_script(Some(1000), "again", &mut output), Ok(()));
            assert_eq!(output.len(), once);
        };
        again(&mut ws);
        feed(&mut ws, [from_peer_of(role, &[(0x88, b"")]).as_slice()]);
        again(&mut ws);
        ws.receive_eof();
        again(&mut ws);
    }
}

/// WHATWG: "Fail the WebSocket connection and set this's ready state to CLOSING (2)." Before the connection is open no
/// Close can be sent, and the server's answer is ignored. The ready state becomes CLOSED, and `error` fires, in the
/// task that fires `close`.
#[test]
fn closing_while_connecting_fails_the_connection() {
    rows!("WS-CLOSE-4", "WS-CLOSE-9", "WS-CLOSE-11", "WS-STATE-2", "WS-STATE-3");
    let ways: [fn(&mut Connection, &mut Output); 4] = [
        |ws, output| ws.close_from_script(None, "", output).unwrap(),
        |ws, output| ws.close_from_script(Some(4000), "bye", output).unwrap(),
        |ws, output| ws.close(CloseCode::GOING_AWAY, "", output),
        Connection::close_without_code,
    ];
    for (close, browser_rules) in ways.into_iter().flat_map(|way| [(way, true), (way, false)]) {
        let request = ClientRequest::new("ws://server.example.com/chat");
        let make = || connecting(&request, Config::new().browser_rules(browser_rules));
        let response = response_to(&make().1, "");
        for cut in 0..response.len() {
            let (mut ws, mut output) = (make().0, Output::new());
            assert_eq!(feed(&mut ws, [&response[..cut]]).events, []);
            assert_eq!(ws.state(), State::Connecting);
            close(&mut ws, &mut output);
            assert_eq!((ws.state(), ws.is_closed(), output.is_empty()), (State::Closing, true, true));
            close(&mut ws, &mut output);
            // A script may send when the ready state is CLOSING, and not when it is CONNECTING.
            let too_late = ws.send_text("late", &mut output);
            assert_eq!(too_late, if browser_rules { Ok(()) } else { Err(SendError::Closing) });
            assert_eq!(ws.state(), State::Closing);
            let mut rest = response[cut..].to_vec();
            let event =
                if cut % 2 == 0 { ws.receive(&mut Input::new(&mut rest), &mut output) } else { ws.receive_eof() };
            let Some(Event::Closed(closed)) = event else { panic!("{event:?}") };
            assert_eq!(assert_failed(&closed), &ConnectionError::ClosedWhileConnecting);
            assert_eq!((ws.state(), ws.is_closed(), ws.received_close()), (State::Closed, true, None));
            assert!(output.is_empty() && ws.receive_eof().is_none());
        }
    }
}

/// The ready state is CLOSING after either side's Close, and becomes CLOSED with the last event.
#[test]
fn the_ready_state_is_closing_until_the_end_is_reported() {
    rows!("WS-STATE-2", "WS-STATE-3");
    for browser_rules in [true, false] {
        let make = || open(Role::Client, &Config::new().browser_rules(browser_rules));
        let states = Cell::new(0);
        let outcome = every_cut_with(make, &from_peer_of(Role::Client, &[(0x88, b"")]), &|ws, event, _| {
            assert!(matches!(event, Event::CloseReceived { .. }), "{event:?}");
            assert_eq!((ws.state(), ws.is_closed()), (State::Closing, false));
            states.set(states.get() + 1);
            Some(event)
        });
        assert!(outcome.state == State::Closing && states.get() > 3);
        let mut ws = make();
        feed(&mut ws, [from_peer_of(Role::Client, &[(0x88, b"")]).as_slice()]);
        // A driver may stop waiting for the server to close.
        ws.time_out(Timeout::Closing, &mut Output::new());
        assert_eq!((ws.state(), ws.is_closed()), (State::Closing, true));
        assert!(matches!(ws.receive_eof(), Some(Event::Closed(_))));
        assert_eq!((ws.state(), ws.is_closed()), (State::Closed, true));
    }
}

#[test]
fn messages_sent_earlier_precede_the_close() {
    rows!("WS-CLOSE-7", "WS-CLOSE-11");
    for role in ROLES {
        let (mut ws, mut output) = (open(role, &Config::new()), Output::new());
        for message in ["one", "two", "three"] {
            ws.send_text(message, &mut output).unwrap();
        }
        ws.close(CloseCode::GOING_AWAY, "", &mut output);
        let sent: Vec<Vec<u8>> = frames(&drain(&mut output)).into_iter().map(|(_, payload)| payload).collect();
        assert_eq!(sent, [b"one".to_vec(), b"two".to_vec(), b"three".to_vec(), hex("03 e9")]);
    }
}

/// A binding calls this when the page drops an open WebSocket.
#[test]
fn a_dropped_websocket_closes_without_a_status() {
    rows!("WS-CLOSE-12");
    let (mut ws, mut output) = (client(), Output::new());
    ws.close_without_code(&mut output);
    let sent = frames(&drain(&mut output));
    assert_eq!((sent.len(), sent[0].0.opcode as u8, sent[0].1.len()), (1, 8, 0));
}

/// A message that was only partly received before `close` counts as received after it.
#[test]
fn a_browser_discards_messages_once_it_closes() {
    rows!("WS-MSG-1");
    for role in ROLES {
        let frames: &[(u8, &[u8])] =
            &[(0x81, b"late"), (0x82, b"late"), (0x01, b"la"), (0x89, b"p"), (0x80, b"te"), (0x88, b"\x03\xe8")];
        for (browser_rules, expected) in [
            (true, vec![ping(b"p")]),
            (false, vec![text("late"), Event::Binary(b"late".into()), ping(b"p"), text("late")]),
        ] {
            let config = Config::new().browser_rules(browser_rules);
            let make = || {
                let mut ws = open(role, &config);
                ws.close(CloseCode::NORMAL_CLOSURE, "", &mut Output::new());
                ws
            };
            let outcome = every_cut(make, &from_peer_of(role, frames));
            assert_eq!(outcome.before_end(), expected, "{role:?}");
            assert_eq!(outcome.closed().is_some(), role == Role::Server);
            // The peer's Close is not a message, so it is reported.
            assert_eq!(outcome.events.len(), expected.len() + 1);
        }
        let begun = || {
            let mut ws = open(role, &Config::new().browser_rules(true));
            feed(&mut ws, [from_peer_of(role, &[(0x01, b"begun")]).as_slice()]);
            ws.close(CloseCode::NORMAL_CLOSURE, "", &mut Output::new());
            ws
        };
        let outcome = every_cut(begun, &from_peer_of(role, &[(0x80, b"late"), (0x81, b"late")]));
        assert!(outcome.events.is_empty(), "{outcome:x?}");
    }
}

/// A binding adds these bytes to its `bufferedAmount`; they are not sent.
#[test]
fn sending_after_closing_sends_nothing() {
    rows!("WS-SEND-2");
    let (mut ws, mut output) = (client(), Output::new());
    ws.close(CloseCode::NORMAL_CLOSURE, "", &mut Output::new());
    assert_eq!(ws.send_text("late", &mut output), Err(SendError::Closing));
    ws.receive_eof();
    assert_eq!(ws.send_binary(b"late", &mut output), Err(SendError::Closing));
    assert!(output.is_empty());
}

#[test]
fn sending_while_connecting_is_an_error() {
    rows!("WS-SEND-1");
    let (mut ws, _) = connecting(&ClientRequest::new("ws://server.example.com/chat"), Config::new());
    let mut output = Output::new();
    assert_eq!(ws.send_text("early", &mut output), Err(SendError::Connecting));
    assert_eq!(ws.send_binary(b"early", &mut output), Err(SendError::Connecting));
    assert!(output.is_empty());
}
