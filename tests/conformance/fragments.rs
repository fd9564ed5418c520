//! RFC 6455 §5.4, §5.6, §6 and §8.1: fragmented messages, text and binary, and the order of sent frames.

use websocket_proto::frame::{FrameHeader, FramePiece, FrameReader, Opcode};
use websocket_proto::mask::{apply_mask, rotate_key};
use websocket_proto::{
    ClientRequest, CloseCode, Config, Connection, Event, Input, MessageKind, Output, PreparedMessage,
    ProtocolErrorKind, Role, SendError,
};

use crate::faults::{assert_fault, both_fail_at_last, open, run, short_header_len};
use crate::harness::{
    Outcome, REQUEST, binary, both_roles, connecting, drain, every_cut, feed, frame, frames, from_peer_of, hex, ping,
    text,
};
use crate::rows;
use crate::shared::wired::ROLES;

#[test]
fn messages_arrive_whole_or_in_fragments() {
    rows!("6455-5.4-1", "6455-5.4-2", "6455-5.4-9", "6455-5.4-12", "6455-5.4-13", "6455-6.2-3", "6455-6.2-4");
    let one_after_the_other: &[(u8, &[u8])] = &[
        (0x81, b"whole"),
        (0x01, b"Hel"),
        (0x80, b"lo"),
        (0x02, b"1"),
        (0x00, b"2"),
        (0x00, b""),
        (0x00, b"3"),
        (0x80, b"4"),
        (0x82, b"last"),
    ];
    both_roles(one_after_the_other, |_, outcome| {
        assert_eq!(outcome.events, [text("whole"), text("Hello"), binary(b"1234"), binary(b"last")]);
        assert!(outcome.output.is_empty());
    });
}

#[test]
fn fragments_out_of_order_fail() {
    rows!("6455-5.4-3", "6455-5.4-4");
    for first_byte in [0x00, 0x80] {
        both_fail_at_last(&[(first_byte, b"Hello")], ProtocolErrorKind::UnexpectedContinuation, &[]);
        let finished: &[(u8, &[u8])] = &[(0x01, b"a"), (0x80, b"b"), (first_byte, b"c")];
        both_fail_at_last(finished, ProtocolErrorKind::UnexpectedContinuation, &[text("ab")]);
    }
    for first in [0x01, 0x02] {
        for second in [0x01, 0x02, 0x81, 0x82] {
            let kind = ProtocolErrorKind::MissingContinuation;
            both_fail_at_last(&[(first, b"a"), (second, b"b")], kind, &[]);
            both_fail_at_last(&[(first, b""), (0x00, b""), (0x89, b""), (second, b"")], kind, &[ping(b"")]);
        }
    }
}

#[test]
fn control_frames_may_come_between_fragments() {
    rows!("6455-5.4-5", "6455-5.4-7", "6455-6.2-2");
    both_roles(&[(0x01, b"Hel"), (0x89, b"x"), (0x80, b"lo")], |_, outcome| {
        assert_eq!(outcome.events, [ping(b"x"), text("Hello")]);
        let sent = outcome.frames();
        assert_eq!((sent.len(), sent[0].0.opcode, sent[0].1.as_slice()), (1, Opcode::Pong, b"x".as_slice()));
    });
    for role in ROLES {
        let (mut ws, mut output) = (open(role, &Config::new()), Output::new());
        ws.send_fragment(MessageKind::Text, b"Hel", false, &mut output).unwrap();
        ws.ping(b"x", &mut output).unwrap();
        ws.pong(b"y", &mut output).unwrap();
        ws.send_fragment(MessageKind::Text, b"lo", true, &mut output).unwrap();
        assert_sent(&mut output, &[(0x01, "Hel"), (0x89, "x"), (0x8a, "y"), (0x80, "lo")]);
    }
}

/// Asserts the first bytes and the payloads of the frames in the output.
#[track_caller]
fn assert_sent(output: &mut Output, expected: &[(u8, &str)]) {
    let sent = frames(&drain(output));
    let first_byte = |header: &FrameHeader| u8::from(header.fin) << 7 | header.rsv << 4 | header.opcode as u8;
    let sent: Vec<_> = sent.iter().map(|(header, payload)| (first_byte(header), payload.as_slice())).collect();
    let expected: Vec<_> = expected.iter().map(|(first_byte, payload)| (*first_byte, payload.as_bytes())).collect();
    assert_eq!(sent, expected);
}

#[test]
fn control_frames_are_never_fragmented() {
    rows!("6455-5.4-6", "6455-5.5-3");
    for opcode in [0x08, 0x09, 0x0a] {
        both_fail_at_last(&[(opcode, b"")], ProtocolErrorKind::FragmentedControlFrame, &[]);
        both_fail_at_last(&[(opcode, b"\x03\xe8")], ProtocolErrorKind::FragmentedControlFrame, &[]);
        both_fail_at_last(&[(0x01, b"a"), (opcode, b"b")], ProtocolErrorKind::FragmentedControlFrame, &[]);
    }
    for role in ROLES {
        let (mut ws, mut output) = (open(role, &Config::new()), Output::new());
        ws.ping(&[b'a'; 125], &mut output).unwrap();
        ws.pong(&[b'a'; 125], &mut output).unwrap();
        ws.close(CloseCode::NORMAL_CLOSURE, &"a".repeat(200), &mut output);
        let sent = frames(&drain(&mut output));
        assert!(sent.len() == 3 && sent.iter().all(|(header, payload)| header.fin && payload.len() == 125));
    }
}

#[test]
fn messages_are_sent_one_at_a_time() {
    rows!("6455-5.4-10", "6455-6.1-2", "6455-6.1-3", "6455-6.1-4", "6455-6.1-5");
    for role in ROLES {
        let (mut ws, mut output) = (open(role, &Config::new()), Output::new());
        ws.send_fragment(MessageKind::Text, b"Hel", false, &mut output).unwrap();
        let before = output.len();
        assert_eq!(ws.send_text("b", &mut output), Err(SendError::MessageInProgress));
        assert_eq!(ws.send_binary(b"b", &mut output), Err(SendError::MessageInProgress));
        let other = ws.send_fragment(MessageKind::Binary, b"b", true, &mut output);
        assert_eq!((other, output.len()), (Err(SendError::MessageInProgress), before));
        ws.send_fragment(MessageKind::Text, b"l", false, &mut output).unwrap();
        ws.send_fragment(MessageKind::Text, b"o", true, &mut output).unwrap();
        ws.send_binary(b"whole", &mut output).unwrap();
        ws.send_fragment(MessageKind::Binary, b"only", true, &mut output).unwrap();
        ws.send_fragment(MessageKind::Binary, b"1", false, &mut output).unwrap();
        ws.send_fragment(MessageKind::Binary, b"2", true, &mut output).unwrap();
        let expected =
            [(0x01, "Hel"), (0x00, "l"), (0x80, "o"), (0x82, "whole"), (0x82, "only"), (0x02, "1"), (0x80, "2")];
        assert_sent(&mut output, &expected);
    }
}

#[test]
fn fragments_may_be_empty() {
    rows!("6455-5.4-11");
    let fragments = |empty: usize, last: &'static [u8]| {
        [vec![(0x01, b"".as_slice())], vec![(0x00, b"".as_slice()); empty], vec![(0x80, last)]].concat()
    };
    both_roles(&fragments(20, b""), |_, outcome| assert_eq!(outcome.events, [text("")]));
    both_roles(&fragments(20, b"end"), |_, outcome| assert_eq!(outcome.events, [text("end")]));
    for role in ROLES {
        let input = from_peer_of(role, &fragments(1000, b""));
        assert_eq!(feed(&mut open(role, &Config::new()), [input.as_slice()]).events, [text("")]);
    }
}

/// One message in one, two and three frames, cut at every pair of offsets, also inside characters.
#[test]
fn fragment_borders_do_not_change_the_message() {
    rows!("6455-5.4-14", "6455-5.6-2");
    let message = "aé€😀";
    for role in ROLES {
        let of_fragments = |parts: [&[u8]; 3]| {
            let frames = [(0x01, parts[0]), (0x00, parts[1]), (0x80, parts[2])];
            run(role, &Config::new(), &frames).events
        };
        let bytes = message.as_bytes();
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let parts = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                assert_eq!(of_fragments(parts), [text(message)], "cut at {first} and {second}");
            }
        }
    }
}

/// An intermediary that understands only headers: decodes frames as they arrive, `size` bytes at a time, and encodes
/// each of them again.
fn pass_through(stream: &[u8], size: usize) -> Vec<u8> {
    let (mut reader, mut key, mut passed) = (FrameReader::new(), [0; 4], Vec::new());
    for read in stream.chunks(size) {
        let mut read = read.to_vec();
        let mut input = Input::new(&mut read);
        while let Some(piece) = reader.next(&mut input).unwrap() {
            match piece {
                FramePiece::Header(header) => {
                    key = header.mask.unwrap_or_default();
                    passed.extend_from_slice(header.encode().as_ref());
                }
                FramePiece::Payload { bytes, .. } => {
                    apply_mask(key, bytes);
                    key = rotate_key(key, bytes.len());
                    passed.extend_from_slice(bytes);
                }
            }
        }
    }
    assert!(reader.is_between_frames());
    passed
}

#[test]
fn a_proxy_passes_frames_on_unchanged() {
    rows!("6455-5.4-15", "6455-5.4-16", "6455-5.4-17", "6455-5.4-18");
    let long = vec![0; 65_536];
    for sender in ROLES {
        let mut stream = Vec::new();
        for rsv in 0..8 {
            for opcode in [0, 1, 2] {
                for (fin, payload) in [(0, &long[..0]), (1, &long[..1]), (0, &long[..126]), (1, &long[..])] {
                    stream.extend(frame(sender, fin << 7 | rsv << 4 | opcode, payload));
                }
            }
            for opcode in [8, 9, 10] {
                stream.extend(frame(sender, 0x80 | rsv << 4 | opcode, &long[..125]));
            }
        }
        for size in [11, 1000, stream.len()] {
            assert!(pass_through(&stream, size) == stream, "{sender:?}, {size} bytes at a time");
        }
    }
}

/// Text that is not UTF-8, with the index of the first invalid byte.
const INVALID: [(&str, usize); 25] = [
    ("ce ba e1 bd b9 cf 83 ce bc ce b5 ed a0 80 65 64 69 74 65 64", 12),
    ("80", 0),
    ("bf", 0),
    ("61 62 80 63", 2),
    ("c3 28", 1),
    ("c3 c3", 1),
    ("e2 28 a1", 1),
    ("e2 82 28", 2),
    ("f0 28 8c bc", 1),
    ("f0 9f 28 bc", 2),
    ("f0 9f 98 28", 3),
    // Overlong forms.
    ("c0 80", 0),
    ("c1 bf", 0),
    ("e0 80 80", 1),
    ("e0 9f bf", 1),
    ("f0 80 80 80", 1),
    ("f0 8f bf bf", 1),
    // Surrogates.
    ("ed a0 80", 1),
    ("ed bf bf", 1),
    // Beyond U+10FFFF.
    ("f4 90 80 80", 1),
    ("f5 80 80 80", 0),
    ("f8 88 80 80 80", 0),
    ("fc 84 80 80 80 80", 0),
    ("fe", 0),
    ("ff", 0),
];

#[test]
fn text_that_is_not_utf8_fails_at_the_byte() {
    rows!("6455-5.6-1", "6455-5.6-5", "6455-8.1-1", "6455-10.7-1");
    for (bytes, index) in INVALID {
        let bytes = hex(bytes);
        for role in ROLES {
            let header_len = short_header_len(role);
            let whole = run(role, &Config::new(), &[(0x81, &bytes)]);
            assert_fault(role, &whole, &[], ProtocolErrorKind::InvalidUtf8, header_len + index);
            for cut in 0..=bytes.len() {
                let (head, tail) = bytes.split_at(cut);
                let fragmented = run(role, &Config::new(), &[(0x01, head), (0x80, tail)]);
                let headers = if index < cut { header_len } else { 2 * header_len };
                assert_fault(role, &fragmented, &[], ProtocolErrorKind::InvalidUtf8, headers + index);
            }
        }
    }
}

#[test]
fn every_unicode_scalar_value_is_text() {
    rows!("6455-5.6-5");
    let mut borders: Vec<u32> =
        vec![0, 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xfdd0, 0xfeff, 0xfffd, 0x1_0000, 0x10_ffff];
    borders.extend((0..=16).flat_map(|plane| [plane << 16 | 0xfffe, plane << 16 | 0xffff]));
    for border in borders {
        let character = char::from_u32(border).unwrap().to_string();
        both_roles(&[(0x81, character.as_bytes())], |_, outcome| {
            assert_eq!(outcome.events, [text(&character)], "U+{border:04X}");
        });
    }
    both_roles(&[(0x81, "\u{feff}κόσμε\0".as_bytes())], |_, outcome| {
        assert_eq!(outcome.events, [text("\u{feff}κόσμε\0")]);
    });
}

/// A message that ends inside a character fails at the offset after its last byte.
#[test]
fn a_message_may_not_end_inside_a_character() {
    rows!("6455-5.6-3");
    for unfinished in ["6f 6b c3", "6f 6b e2 82", "f0 9f 98", "f0"] {
        let bytes = hex(unfinished);
        for role in ROLES {
            let header_len = short_header_len(role);
            let whole = run(role, &Config::new(), &[(0x81, &bytes)]);
            assert_fault(role, &whole, &[], ProtocolErrorKind::InvalidUtf8, header_len + bytes.len());
            let fragmented = run(role, &Config::new(), &[(0x01, &bytes), (0x80, b"")]);
            assert_fault(role, &fragmented, &[], ProtocolErrorKind::InvalidUtf8, 2 * header_len + bytes.len());
        }
    }
}

/// The failure comes with the byte that makes it certain, not at the end of the frame or the message.
#[test]
fn text_fails_as_soon_as_it_cannot_become_valid() {
    rows!("6455-5.6-6");
    for (bytes, index) in INVALID {
        // The frame announces more bytes than arrive, or more fragments.
        let payload = [hex(bytes), vec![b'a'; 100 - hex(bytes).len()]].concat();
        for (role, first_byte) in
            [(Role::Server, 0x81), (Role::Server, 0x01), (Role::Client, 0x81), (Role::Client, 0x01)]
        {
            let input = from_peer_of(role, &[(first_byte, &payload)]);
            let bad = short_header_len(role) + index;
            let make = || open(role, &Config::new());
            let before: Outcome = every_cut(make, &input[..bad]);
            assert!(before.events.is_empty() && before.output.is_empty(), "{before:x?}");
            assert_fault(role, &every_cut(make, &input[..=bad]), &[], ProtocolErrorKind::InvalidUtf8, bad);
        }
    }
}

#[test]
fn binary_payloads_may_be_any_bytes() {
    rows!("6455-5.6-7");
    both_roles(&[(0x82, b"\xff"), (0x02, b"\xed\xa0"), (0x80, b"\x80\0")], |_, outcome| {
        assert_eq!(outcome.events, [binary(b"\xff"), binary(b"\xed\xa0\x80\0")]);
    });
}

#[test]
fn text_fragments_sent_must_be_utf8() {
    rows!("6455-5.6-4");
    for role in ROLES {
        let (mut ws, mut output) = (open(role, &Config::new()), Output::new());
        let mut fragment = |bytes: &[u8], fin| {
            let before = output.len();
            let result = ws.send_fragment(MessageKind::Text, bytes, fin, &mut output);
            assert!(result.is_ok() || output.len() == before, "an error, but a frame was sent");
            result
        };
        for (bytes, index) in INVALID {
            assert_eq!(fragment(&hex(bytes), true), Err(SendError::InvalidUtf8), "{bytes} at {index}");
            assert_eq!(fragment(&hex(bytes), false), Err(SendError::InvalidUtf8), "{bytes} at {index}");
        }
        assert_eq!(fragment(b"\xe2\x82", true), Err(SendError::InvalidUtf8));
        fragment(b"a\xe2", false).unwrap();
        assert_eq!(fragment(b"\x28", false), Err(SendError::InvalidUtf8));
        assert_eq!(fragment(b"\x82", true), Err(SendError::InvalidUtf8));
        fragment(b"\x82", false).unwrap();
        fragment(b"\xac", true).unwrap();
        // The next message is checked from its own start.
        fragment("é".as_bytes(), true).unwrap();
        let payloads: Vec<u8> = frames(&drain(&mut output)).into_iter().flat_map(|(_, payload)| payload).collect();
        assert_eq!(payloads, "a€é".as_bytes());
        for (bytes, _) in INVALID {
            // Copied, and by reference.
            for bytes in [hex(bytes), [vec![b'a'; 1 << 16], hex(bytes)].concat()] {
                let sent = ws.send_bytes(MessageKind::Text, bytes.into(), &mut output);
                assert_eq!((sent, output.len()), (Err(SendError::InvalidUtf8), 0));
            }
        }
    }
}

/// RFC 6455 §8.1 holds "both during the opening handshake and during subsequent data exchange".
#[test]
fn a_request_that_is_not_utf8_is_rejected() {
    rows!("6455-8.1-1");
    let request = REQUEST.replace("/chat", "/ch\u{0}").into_bytes();
    let request: Vec<u8> = request.into_iter().map(|byte| if byte == 0 { 0xff } else { byte }).collect();
    let outcome = every_cut(|| Connection::server(Config::new()), &request);
    assert!(outcome.output.starts_with(b"HTTP/1.1 400 "), "{}", String::from_utf8_lossy(&outcome.output));
    assert!(outcome.closed().and_then(|closed| closed.error()).is_some());
}

#[test]
fn data_is_sent_only_while_open() {
    rows!("6455-6.1-1");
    let refuses = |ws: &mut Connection, error: SendError| {
        let mut output = Output::new();
        assert_eq!(ws.send_text("a", &mut output), Err(error));
        assert_eq!(ws.send_binary(b"a", &mut output), Err(error));
        assert_eq!(ws.send_text_uncompressed("a", &mut output), Err(error));
        assert_eq!(ws.send_binary_uncompressed(b"a", &mut output), Err(error));
        for kind in [MessageKind::Text, MessageKind::Binary] {
            assert_eq!(ws.send_fragment(kind, b"a", true, &mut output), Err(error));
            assert_eq!(ws.send_fragment_uncompressed(kind, b"a", false, &mut output), Err(error));
            // Copied, and by reference.
            assert_eq!(ws.send_bytes(kind, b"a".as_slice().into(), &mut output), Err(error));
            assert_eq!(ws.send_bytes(kind, vec![b'a'; 1 << 16].into(), &mut output), Err(error));
        }
        for len in [1, 1 << 16] {
            assert_eq!(ws.send_prepared(&PreparedMessage::text(&"a".repeat(len)), &mut output), Err(error));
        }
        assert!(output.is_empty());
    };
    refuses(&mut Connection::server(Config::new()), SendError::Connecting);
    let (mut connecting, _) = connecting(&ClientRequest::new("ws://server.example.com/"), Config::new());
    refuses(&mut connecting, SendError::Connecting);
    for role in ROLES {
        let mut closing = open(role, &Config::new());
        closing.close(CloseCode::NORMAL_CLOSURE, "", &mut Output::new());
        refuses(&mut closing, SendError::Closing);

        let mut closed_by_peer = open(role, &Config::new());
        feed(&mut closed_by_peer, [from_peer_of(role, &[(0x88, b"")]).as_slice()]);
        refuses(&mut closed_by_peer, SendError::Closing);

        let mut lost = open(role, &Config::new());
        assert!(lost.receive_eof().is_some());
        refuses(&mut lost, SendError::Closing);
    }
}

/// A character cut by a frame or a read becomes a part of its own; the text around it is delivered by reference.
#[test]
fn a_cut_character_becomes_a_part_of_its_own() {
    rows!("6455-5.6-2");
    let words = "aé€😀z";
    let config = Config::new().part_size(100);
    for role in ROLES {
        for cut in (1..words.len()).filter(|cut| !words.is_char_boundary(*cut)) {
            let start = (0..cut).rfind(|at| words.is_char_boundary(*at)).unwrap();
            let end = (cut..words.len()).find(|at| words.is_char_boundary(*at)).unwrap();
            let (head, tail) = words.as_bytes().split_at(cut);
            let input = from_peer_of(role, &[(0x01, head), (0x80, tail)]);
            let part = |text: &str, first, last| Event::TextPart { text: text.to_owned().into(), first, last };
            let expected = [
                part(&words[..start], true, false),
                part(&words[start..end], false, false),
                part(&words[end..], false, true),
            ];
            assert_eq!(feed(&mut open(role, &config), [&input[..]]).events, expected, "cut at {cut}");
        }
    }
}

/// Sizes out of range become the nearest in range; the largest is 1 GiB.
#[test]
fn part_sizes_are_clamped() {
    let sized = |bytes| Config::new().part_size(bytes);
    for small in 0..4 {
        assert_eq!(sized(small), sized(4));
    }
    assert_eq!(sized(usize::MAX), sized(1 << 30));
    for within in [4, 5, (1 << 30) - 1] {
        assert_ne!(sized(within), sized(within + 1));
    }
    assert_ne!(sized(4), Config::new());
}
