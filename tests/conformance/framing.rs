//! RFC 6455 §5.1 and §5.2: valid frame headers, and which side masks.

use websocket_proto::frame::Opcode;
use websocket_proto::{CloseCode, Closed, Config, Connection, Input, Output, ProtocolErrorKind, Role, SendError};

use crate::faults::{assert_fault, both_fail_at_last, handshake_len, header_from_peer_of, open};
use crate::harness::{
    REQUEST, binary, both_roles, client, drain, every_cut, feed, frame, frames, from_peer_of, header, hex, ping, pong,
    server, text,
};
use crate::rows;
use crate::shared::wired::ROLES;

#[test]
fn a_server_rejects_unmasked_frames() {
    rows!("6455-5.1-2", "6455-5.1-3");
    for first_byte in [0x81, 0x82, 0x01, 0x88, 0x89, 0x8a] {
        let outcome = every_cut(server, &frame(Role::Server, first_byte, b"Hello"));
        assert_fault(Role::Server, &outcome, &[], ProtocolErrorKind::NotMasked, 0);
        assert_eq!(outcome.output, hex("88 02 03 ea"));
    }
}

#[test]
fn a_client_rejects_masked_frames() {
    rows!("6455-5.1-5", "6455-5.1-6");
    for first_byte in [0x81, 0x82, 0x01, 0x88, 0x89, 0x8a] {
        let outcome = every_cut(client, &frame(Role::Client, first_byte, b"Hello"));
        assert_fault(Role::Client, &outcome, &[], ProtocolErrorKind::Masked, 0);
        let sent = outcome.frames();
        assert_eq!((sent.len(), sent[0].1.as_slice()), (1, hex("03 ea").as_slice()));
        assert!(sent[0].0.mask.is_some());
    }
}

#[test]
fn messages_can_be_sent_from_the_handshake_to_the_close() {
    rows!("6455-5.1-7");
    for role in ROLES {
        let (mut ws, mut output) = (open(role, &Config::new()), Output::new());
        ws.send_text("at once", &mut output).unwrap();
        ws.close(CloseCode::NORMAL_CLOSURE, "", &mut output);
        let before = output.len();
        assert_eq!(ws.send_text("too late", &mut output), Err(SendError::Closing));
        assert_eq!(output.len(), before);
        let sent = frames(&drain(&mut output));
        assert_eq!((sent[0].0.opcode, sent[0].1.as_slice()), (Opcode::Text, b"at once".as_slice()));
    }
}

/// RFC 6455 §5.7, each in the direction that the RFC gives.
#[test]
fn the_rfcs_example_frames_are_received() {
    rows!("6455-5.2-1", "6455-5.2-10", "6455-5.2-12", "6455-5.4-12", "6455-6.2-1", "6455-6.2-6");
    let from_server = [hex("81 05 48 65 6c 6c 6f"), hex("01 03 48 65 6c 80 02 6c 6f")];
    for input in from_server {
        assert_eq!(every_cut(client, &input).events, [text("Hello")]);
    }
    let outcome = every_cut(client, &hex("89 05 48 65 6c 6c 6f"));
    assert_eq!(outcome.events, [ping(b"Hello")]);
    assert_eq!(every_cut(server, &hex("81 85 37 fa 21 3d 7f 9f 4d 51 58")).events, [text("Hello")]);
    assert_eq!(every_cut(server, &hex("8a 85 37 fa 21 3d 7f 9f 4d 51 58")).events, [pong(b"Hello")]);
    let (quarter, whole) = ([7; 256], vec![7; 65_536]);
    assert_eq!(feed(&mut client(), [&[&hex("82 7e 01 00"), &quarter[..]].concat()[..]]).events, [binary(&quarter)]);
    let long = [&hex("82 7f 00 00 00 00 00 01 00 00"), &whole[..]].concat();
    assert_eq!(feed(&mut client(), [&long[..]]).events, [binary(&whole)]);
}

/// All kinds of frames, cut into three at every pair of offsets.
#[test]
fn frames_cut_at_any_two_offsets_have_the_same_outcome() {
    rows!("6455-5.2-12");
    let session: &[(u8, &[u8])] =
        &[(0x81, b"a\xc3\xa9"), (0x02, b"b"), (0x89, b"p"), (0x80, b""), (0x8a, b""), (0x88, b"\x03\xe8bye")];
    both_roles(session, |role, whole| {
        assert_eq!(whole.before_end(), [text("aé"), ping(b"p"), binary(b"b"), pong(b"")]);
        let input = from_peer_of(role, session);
        for first in 0..=input.len() {
            for second in first..=input.len() {
                let pieces = [&input[..first], &input[first..second], &input[second..]];
                let cut = feed(&mut open(role, &Config::new()), pieces);
                assert!(cut == whole, "cut at {first} and {second}: {cut:x?}");
            }
        }
    });
}

#[test]
fn reserved_bits_fail() {
    rows!("6455-5.2-3");
    for rsv in 1..8 {
        for opcode in [1, 2, 8, 9, 10] {
            both_fail_at_last(&[(0x80 | rsv << 4 | opcode, b"\x03\xe8")], ProtocolErrorKind::ReservedBits, &[]);
        }
        both_fail_at_last(&[(0x01, b"a"), (0x80 | rsv << 4, b"b")], ProtocolErrorKind::ReservedBits, &[]);
    }
}

/// An offer that was not accepted negotiates nothing.
#[test]
fn an_extension_not_negotiated_may_not_be_used() {
    rows!("6455-5.2-13", "6455-5.8-1");
    let offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
    let request = [REQUEST.strip_suffix("\r\n").unwrap(), offer].concat();
    let make = || Connection::server(Config::new());
    let outcome = every_cut(make, &[request.as_bytes(), &frame(Role::Client, 0xc1, b"\xf2\x48\x05\0")].concat());
    let (head, close) = outcome.output.split_at(outcome.output.len() - 4);
    let head = std::str::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101 ") && header(head, "Sec-WebSocket-Extensions").is_none(), "{head}");
    assert_eq!(close, hex("88 02 03 ea"));
    let error = outcome.closed().and_then(|closed| closed.error()).unwrap().to_string();
    assert!(error.contains(&format!("at byte {} ", request.len())), "{error}");
}

/// The header alone is enough; the payload is not awaited.
#[test]
fn reserved_opcodes_fail_on_the_header() {
    rows!("6455-5.2-4");
    for opcode in (3..8).chain(11..16) {
        for (role, payload_len) in [(Role::Server, 0), (Role::Server, 5), (Role::Client, 0), (Role::Client, 5)] {
            let header = header_from_peer_of(role, &[0x80 | opcode, payload_len]);
            let outcome = every_cut(|| open(role, &Config::new()), &header);
            assert_fault(role, &outcome, &[], ProtocolErrorKind::ReservedOpcode(opcode), 0);
        }
    }
}

/// Every first byte with every kind of second byte, and zeros for the rest of the frame: valid or not, the outcome is
/// the same whole and byte by byte.
#[test]
fn every_pair_of_first_bytes_is_accepted_or_rejected_by_the_rfc() {
    rows!("6455-5.2-3", "6455-5.2-4", "6455-5.2-9", "6455-5.2-12", "6455-5.4-3", "6455-5.4-6", "6455-5.5-1");
    for role in ROLES {
        let seconds = [0, 1, 2, 125, 126, 127].into_iter().flat_map(|len| [len, 0x80 | len]);
        for (first, second) in seconds.flat_map(|second| (0..=u8::MAX).map(move |first| (first, second))) {
            let (masked, len) = (second & 0x80 != 0, usize::from(second & 0x7f));
            let rest = if len < 126 { len } else { 8 } + if masked { 4 } else { 0 };
            let frame = [&[first, second], &[0; 138][..rest]].concat();
            let whole = feed(&mut open(role, &Config::new()), [&frame[..]]);
            let bytewise = feed(&mut open(role, &Config::new()), frame.chunks(1));
            assert!(bytewise == whole, "{frame:x?} byte by byte: {bytewise:?}\nwhole: {whole:?}");

            // No message is in progress that could continue, and a close code of 0 does not exist.
            let known = matches!(first, 0x01 | 0x02 | 0x81 | 0x82 | 0x89 | 0x8a) || first == 0x88 && len == 0;
            let legal = known && len < 126 && masked == (role == Role::Server);
            if legal {
                assert!(whole.closed().is_none_or(Closed::was_clean), "{frame:x?}: {whole:?}");
            } else {
                whole.assert_fails(1002, &[]);
            }
        }
    }
}

/// Every length form at its borders: the second byte of a server's header, and the bytes of the extended length.
const LENGTHS: [(usize, &[u8]); 9] = [
    (0, &[0]),
    (1, &[1]),
    (125, &[125]),
    (126, &[126, 0, 126]),
    (127, &[126, 0, 127]),
    (256, &[126, 1, 0]),
    (65_535, &[126, 0xff, 0xff]),
    (65_536, &[127, 0, 0, 0, 0, 0, 1, 0, 0]),
    (65_537, &[127, 0, 0, 0, 0, 0, 1, 0, 1]),
];

#[test]
fn lengths_are_sent_in_their_minimal_form() {
    rows!("6455-5.2-6", "6455-5.2-8");
    for (len, form) in LENGTHS {
        for role in ROLES {
            let (mut ws, mut output) = (open(role, &Config::new()), Output::new());
            ws.send_binary(&vec![1; len], &mut output).unwrap();
            let sent = drain(&mut output);
            let mask_bit = if role == Role::Client { 0x80 } else { 0 };
            assert_eq!((sent[0], sent[1], &sent[2..=form.len()]), (0x82, form[0] | mask_bit, &form[1..]));
            assert_eq!(frames(&sent)[0].1, vec![1; len]);
        }
    }
}

#[test]
fn lengths_of_every_form_are_received() {
    rows!("6455-5.2-5", "6455-5.2-6", "6455-5.2-11");
    for (len, form) in LENGTHS {
        for role in ROLES {
            let payload: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
            let header = header_from_peer_of(role, &[&[0x82], form].concat());
            let header_len = header.len();
            let input = from_peer_of(role, &[(0x82, &payload), (0x81, b"next")]);
            assert!(input.starts_with(&header));
            let near_the_borders = (0..header_len + 8).chain(input.len().saturating_sub(20)..=input.len());
            for cut in near_the_borders.filter(|&cut| cut <= input.len()) {
                let (head, tail) = input.split_at(cut);
                let outcome = feed(&mut open(role, &Config::new()), [head, tail]);
                assert!(outcome.events == [binary(&payload), text("next")], "{len} bytes, cut at {cut}");
            }
        }
    }
    both_roles(&[(0x81, b""), (0x82, b"")], |_, outcome| assert_eq!(outcome.events, [text(""), binary(b"")]));
}

#[test]
fn the_top_bit_of_a_length_fails() {
    rows!("6455-5.2-7");
    for lengths in [hex("82 7f 80 00 00 00 00 00 00 05"), hex("82 7f ff ff ff ff ff ff ff ff")] {
        for role in ROLES {
            let input = [header_from_peer_of(role, &lengths), b"Hello".to_vec()].concat();
            let outcome = every_cut(|| open(role, &Config::new()), &input);
            assert_fault(role, &outcome, &[], ProtocolErrorKind::LengthTopBitSet, 0);
        }
    }
}

#[test]
fn lengths_not_in_their_minimal_form_fail() {
    rows!("6455-5.2-9");
    let longer_than_need_be: [&[u8]; 7] = [
        &[126, 0, 0],
        &[126, 0, 5],
        &[126, 0, 125],
        &[127, 0, 0, 0, 0, 0, 0, 0, 5],
        &[127, 0, 0, 0, 0, 0, 0, 0, 126],
        &[127, 0, 0, 0, 0, 0, 0, 1, 0],
        &[127, 0, 0, 0, 0, 0, 0, 0xff, 0xff],
    ];
    for form in longer_than_need_be {
        for (role, first_byte) in [(Role::Server, 0x81), (Role::Server, 0x02), (Role::Client, 0x81)] {
            let header = header_from_peer_of(role, &[&[first_byte], form].concat());
            // It fails without the payload as well as with it.
            for payload in [0, 125] {
                let input = [&header, &vec![b'a'; payload][..]].concat();
                let outcome = every_cut(|| open(role, &Config::new()), &input);
                assert_fault(role, &outcome, &[], ProtocolErrorKind::LengthNotMinimal, 0);
            }
        }
    }
}

/// The offset of a second frame's fault counts from the first byte of the connection.
#[test]
fn offsets_count_from_the_start_of_the_connection() {
    rows!("6455-7.1.7-5");
    let all = |role| [from_peer_of(role, &[(0x81, b"one"), (0x89, b"two")]), header_from_peer_of(role, &[0x83, 0])];
    let mut server = Connection::server(Config::new());
    let [before, bad] = all(Role::Server);
    let outcome = feed(&mut server, [REQUEST.as_bytes(), &before, &bad]);
    assert_eq!(outcome.before_end(), [text("one"), ping(b"two")]);
    let offset = REQUEST.len() + before.len();
    assert!(outcome.closed().unwrap().to_string().contains(&format!("at byte {offset} ")), "{outcome:?}");
    for role in ROLES {
        let [before, bad] = all(role);
        let outcome = every_cut(|| open(role, &Config::new()), &[before.as_slice(), &bad].concat());
        let kind = ProtocolErrorKind::ReservedOpcode(3);
        let seen = [text("one"), ping(b"two")];
        assert_fault(role, &outcome, &seen, kind, before.len());
    }
    assert_eq!(handshake_len(Role::Server), REQUEST.len());
}

/// An event consumes its frame and no more: the remaining input is available to others.
#[test]
fn bytes_after_a_frame_stay_in_the_input() {
    for role in ROLES {
        let mut input = from_peer_of(role, &[(0x81, b"one"), (0x82, b"two")]);
        let (mut ws, mut output) = (open(role, &Config::new()), Output::new());
        let mut input = Input::new(&mut input);
        assert_eq!(ws.receive(&mut input, &mut output), Some(text("one")));
        assert_eq!(input.into_rest(), from_peer_of(role, &[(0x82, b"two")]));
    }
}
