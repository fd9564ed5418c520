//! RFC 6455 §5.5, §5.5.2 and §5.5.3: pings and pongs.

use websocket_proto::frame::Opcode;
use websocket_proto::{
    CloseCode, Config, Connection, Event, MessageKind, Output, ProtocolErrorKind, Role, SendError, State,
};

use crate::faults::{assert_fault, header_from_peer_of, open};
use crate::harness::{
    both_roles, client, drain, every_cut, every_cut_with, feed, frames, from_peer_of, hex, ping, pong, server, text,
};
use crate::rows;
use crate::shared::wired::ROLES;

/// The first two bytes of the header are enough.
#[test]
fn control_frames_that_are_too_long_fail_on_their_header() {
    rows!("6455-5.5-1");
    for first_byte in [0x88, 0x89, 0x8a] {
        for form in [&[126, 0, 126][..], &[126, 0, 5], &[127, 0, 0, 0, 0, 0, 0, 0, 126]] {
            for role in ROLES {
                let header = header_from_peer_of(role, &[&[first_byte], form].concat());
                for input in [&header, &header[..2]] {
                    let outcome = every_cut(|| open(role, &Config::new()), input);
                    assert_fault(role, &outcome, &[], ProtocolErrorKind::ControlFrameTooLong, 0);
                }
            }
        }
    }
}

#[test]
fn control_frames_that_are_too_long_are_not_sent() {
    rows!("6455-5.5-2");
    for role in ROLES {
        let (mut ws, mut output) = (open(role, &Config::new()), Output::new());
        assert_eq!(ws.ping(&[0; 126], &mut output), Err(SendError::ControlFrameTooLong));
        assert_eq!(ws.pong(&[0; 126], &mut output), Err(SendError::ControlFrameTooLong));
        assert!(output.is_empty());
    }
}

#[test]
fn pings_carry_up_to_125_bytes() {
    rows!("6455-5.5.2-1");
    for role in ROLES {
        let peer = if role == Role::Server { Role::Client } else { Role::Server };
        for payload in [&b""[..], b"Hello", &[0xff; 125]] {
            let mut output = Output::new();
            open(peer, &Config::new()).ping(payload, &mut output).unwrap();
            assert_eq!(every_cut(|| open(role, &Config::new()), &drain(&mut output)).events, [ping(payload)]);
        }
    }
}

#[test]
fn pings_are_answered_with_the_same_payload() {
    rows!("6455-5.5.2-2", "6455-5.5.3-1");
    assert_eq!(every_cut(server, &hex("89 85 37 fa 21 3d 7f 9f 4d 51 58")).output, hex("8a 05 48 65 6c 6c 6f"));
    assert!(every_cut(client, &hex("89 05 48 65 6c 6c 6f")).frames()[0].0.mask.is_some());
    for len in 0..=125_u8 {
        let payload: Vec<u8> = (0..len).map(|i| i.wrapping_mul(37) ^ len).collect();
        both_roles(&[(0x89, &payload)], |_, outcome| {
            assert_eq!(outcome.events, [ping(&payload)]);
            let sent = outcome.frames();
            assert_eq!((sent.len(), sent[0].0.opcode, &sent[0].1), (1, Opcode::Pong, &payload));
        });
    }
}

/// The pong is in the output when the ping is reported: it goes out before anything that the application sends after
/// that, also between two fragments.
#[test]
fn a_pong_goes_out_between_fragments() {
    rows!("6455-5.5.2-2", "6455-5.4-5");
    for role in ROLES {
        let input = from_peer_of(role, &[(0x81, b"go"), (0x89, b"now")]);
        let outcome = every_cut_with(|| open(role, &Config::new()), &input, &|ws, event, output| {
            let fin = matches!(event, Event::Ping(_));
            ws.send_fragment(MessageKind::Text, b"part", fin, output).unwrap();
            Some(event)
        });
        assert_eq!(outcome.events, [text("go"), ping(b"now")]);
        let opcodes = outcome.frames().iter().map(|(header, _)| header.opcode).collect::<Vec<_>>();
        assert_eq!(opcodes, [Opcode::Text, Opcode::Pong, Opcode::Continuation]);
    }
}

#[test]
fn pings_are_sent_and_answered_until_the_peers_close() {
    rows!("6455-5.5.2-2", "6455-5.5.2-4");
    for role in ROLES {
        let closing = || {
            let mut ws = open(role, &Config::new());
            ws.close(CloseCode::NORMAL_CLOSURE, "", &mut Output::new());
            ws
        };
        let outcome = every_cut(closing, &from_peer_of(role, &[(0x89, b"still here?")]));
        assert_eq!((&outcome.events[..], outcome.state), (&[ping(b"still here?")][..], State::Closing));
        assert_eq!(outcome.frames()[0].1, b"still here?");

        let mut output = Output::new();
        closing().ping(b"and you?", &mut output).unwrap();
        assert_eq!(frames(&drain(&mut output))[0].1, b"and you?");

        let after_close =
            every_cut(|| open(role, &Config::new()), &from_peer_of(role, &[(0x88, b""), (0x89, b"late")]));
        assert_eq!(after_close.frames().len(), 1, "the Close alone: {after_close:x?}");
        let mut closed = open(role, &Config::new());
        feed(&mut closed, [from_peer_of(role, &[(0x88, b"")]).as_slice()]);
        assert_eq!(closed.ping(b"", &mut output), Err(SendError::Closing));
        assert_eq!(closed.pong(b"", &mut output), Err(SendError::Closing));
        assert!(output.is_empty());
    }
    let mut connecting = Connection::server(Config::new());
    assert_eq!(connecting.ping(b"", &mut Output::new()), Err(SendError::Connecting));
}

#[test]
fn an_unsolicited_pong_is_reported_without_an_answer() {
    rows!("6455-5.5.3-3");
    both_roles(&[(0x8a, b""), (0x8a, b"heartbeat")], |_, outcome| {
        assert_eq!(outcome.events, [pong(b""), pong(b"heartbeat")]);
        assert!(outcome.output.is_empty());
    });
    for role in ROLES {
        let mut output = Output::new();
        open(role, &Config::new()).pong(b"heartbeat", &mut output).unwrap();
        let sent = frames(&drain(&mut output));
        assert_eq!((sent[0].0.opcode, sent[0].1.as_slice()), (Opcode::Pong, b"heartbeat".as_slice()));
    }
}
