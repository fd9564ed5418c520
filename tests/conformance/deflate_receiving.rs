//! Receiving compressed messages (RFC 7692 §6.2, §7.2.2).

use websocket_proto::{Config, Connection, ConnectionError, Deflate, Event, ProtocolErrorKind, Role, State};

use crate::deflate::{HELLO, HELLO_AGAIN, Writer, agreed, both_in_pieces, client, extensions, server};
use crate::harness::{
    Outcome, REQUEST, binary, client_for_response, every_cut, feed, from_peer_of, ping, pong, server_for_request, text,
};
use crate::http::add;
use crate::rows;
use crate::shared::compression::bomb;
use crate::shared::data::noise;
use crate::shared::wired::ROLES;

/// Both parameters that forbid context takeover.
const NO_TAKEOVER: &str = "; client_no_context_takeover; server_no_context_takeover";

fn open(role: Role) -> Connection {
    agreed(role, &Deflate::new(), "")
}

fn without_takeover(role: Role) -> Connection {
    agreed(role, &Deflate::new(), NO_TAKEOVER)
}

/// Runs the frames with both roles, with context takeover and without it, at every cut.
#[track_caller]
fn received(frames: &[(u8, &[u8])], check: impl Fn(&Outcome)) {
    for role in ROLES {
        for make in [open, without_takeover] {
            check(&every_cut(|| make(role), &from_peer_of(role, frames)));
        }
    }
}

#[track_caller]
fn receives(frames: &[(u8, &[u8])], events: &[Event<'static>]) {
    received(frames, |outcome| {
        assert_eq!((&outcome.events[..], outcome.state), (events, State::Open), "{frames:x?}");
    });
}

#[track_caller]
fn fails(frames: &[(u8, &[u8])], code: u16, events: &[Event<'static>]) {
    received(frames, |outcome| outcome.assert_fails(code, events));
}

fn hello() -> Event<'static> {
    text("Hello")
}

#[test]
fn compressed_messages_are_received_at_every_cut() {
    rows!("7692-6-1", "7692-6-4", "7692-7.2.1-4", "7692-7.2.1-5", "7692-7.2.2-1");
    let blocks: [(&str, &[u8]); 4] = [
        ("V11", HELLO),
        ("V15, a stored block", b"\0\x05\0\xfa\xffHello\0"),
        ("V16, BFINAL", b"\xf3\x48\xcd\xc9\xc9\x07\0\0"),
        ("V17, two blocks", b"\xf2\x48\x05\0\0\0\xff\xff\xca\xc9\xc9\x07\0"),
    ];
    for (name, payload) in blocks {
        println!("{name}");
        receives(&[(0xc1, payload)], &[hello()]);
        receives(&[(0xc2, payload)], &[binary(b"Hello")]);
        // The next message is intact, compressed or not.
        receives(&[(0xc1, payload), (0xc1, HELLO)], &[hello(), hello()]);
        receives(&[(0xc1, payload), (0x81, b"x"), (0xc1, payload)], &[hello(), text("x"), hello()]);
    }
}

#[test]
fn fragments_are_decompressed_with_control_frames_in_between() {
    rows!("7692-6-8", "7692-6-10", "6455-5.4-8");
    for cut in 0..=HELLO.len() {
        let (head, tail) = HELLO.split_at(cut);
        receives(&[(0x41, head), (0x80, tail)], &[hello()]);
        let frames: &[(u8, &[u8])] =
            &[(0x41, head), (0x89, b"p"), (0, b""), (0x8a, HELLO), (0x80, tail), (0xc1, HELLO)];
        receives(frames, &[ping(b"p"), pong(HELLO), hello(), hello()]);
    }
    let bytes: Vec<(u8, &[u8])> = HELLO.chunks(1).map(|byte| (0, byte)).collect();
    receives(&[&[(0x42, &b""[..])], &bytes[..], &[(0x80, b"")]].concat(), &[binary(b"Hello")]);
}

#[test]
fn context_is_taken_over_unless_agreed_otherwise() {
    rows!("7692-7.2.2-2", "7692-7.2.2-3", "7692-7.2.2-4", "7692-7.2.2-5", "7692-7.1.1.2-7");
    // Control frames and uncompressed messages do not belong to the context.
    let frames: &[(u8, &[u8])] = &[(0xc1, HELLO), (0x89, b""), (0x81, b"xxxxx"), (0xc1, HELLO_AGAIN)];
    for role in ROLES {
        let own_only =
            if role == Role::Server { "; server_no_context_takeover" } else { "; client_no_context_takeover" };
        for parameters in ["", own_only] {
            let outcome = every_cut(|| agreed(role, &Deflate::new(), parameters), &from_peer_of(role, frames));
            assert_eq!(outcome.events, [hello(), ping(b""), text("xxxxx"), hello()]);
        }
        // Without takeover the second message has nothing to refer to.
        let outcome = every_cut(|| without_takeover(role), &from_peer_of(role, frames));
        outcome.assert_fails(1007, &[hello(), ping(b""), text("xxxxx")]);
    }
    // The server ignored a hint: the client still takes over.
    let ignoring = Deflate::new().client_no_context_takeover(websocket_proto::DeflateParameter::Reject);
    let make = || server(ignoring.clone(), "permessage-deflate; client_no_context_takeover");
    let outcome = every_cut(make, &from_peer_of(Role::Server, frames));
    assert_eq!(outcome.events, [hello(), ping(b""), text("xxxxx"), hello()]);
}

#[test]
fn a_last_block_resets_the_context() {
    rows!("7692-7.2.1-5");
    // RFC 1951 §3.2.3: BFINAL marks "the last block of the data set". A message that ends with it may refer to messages
    // before it, and later messages to each other.
    let last = Writer::default().fixed(true).three_from(5).end_last().message();
    let frames: &[(u8, &[u8])] = &[(0xc1, HELLO), (0xc1, &last), (0xc1, HELLO), (0xc1, HELLO_AGAIN)];
    for role in ROLES {
        let outcome = every_cut(|| open(role), &from_peer_of(role, frames));
        assert_eq!(outcome.events, [hello(), text("Hel"), hello(), hello()]);
    }
}

#[test]
fn empty_messages_are_decompressed() {
    rows!("7692-7.2.1-8", "7692-7.2.2-9");
    receives(&[(0xc1, b"\0")], &[text("")]);
    receives(&[(0x41, b""), (0x80, b"\0")], &[text("")]);
    // An empty block with fixed codes, and an empty last block, decompress to nothing.
    receives(&[(0xc1, b"\x02\0"), (0xc2, b"\x03\0\0")], &[text(""), binary(b"")]);
    // A payload of no octets counts as an empty message, and the next message is intact.
    receives(&[(0xc1, b""), (0xc1, HELLO)], &[text(""), hello()]);
    receives(&[(0x42, b""), (0x80, b""), (0xc1, HELLO)], &[binary(b""), hello()]);
    for role in ROLES {
        let frames: &[(u8, &[u8])] = &[(0xc1, HELLO), (0xc1, b""), (0xc1, b"\0"), (0xc1, HELLO_AGAIN)];
        let outcome = every_cut(|| open(role), &from_peer_of(role, frames));
        assert_eq!(outcome.events, [hello(), text(""), text(""), hello()]);
    }
}

#[test]
fn invalid_deflate_data_fails() {
    rows!("7692-7.2.2-6", "7692-7.2.2-7", "7692-7.2.2-8");
    for wrong in [
        &[0xff; 8][..],
        // Truncated: inside a code, after a whole one, in a block header, inside a stored block.
        &HELLO[..1],
        &HELLO[..3],
        &HELLO[..5],
        &HELLO[..6],
        b"\0\x05\0\xfa\xffHel",
        b"\0\x05\0",
        b"\0\x05",
        // LEN and NLEN are not complements.
        b"\0\x05\0\xfa\xfeHello\0",
        // The tail twice, except for its first byte.
        b"\0\0\0\xff\xff",
        // Junk after a last block, and after the end of the message.
        b"\xf3\x48\xcd\xc9\xc9\x07\0\xff\xff",
        b"\xf3\x48\xcd\xc9\xc9\x07\0",
        b"\xf2\x48\xcd\xc9\xc9\x07\0\xff",
        // A distance beyond the start of the data.
        &Writer::default().fixed(false).literals(b"ab").three_from(300).end().message(),
    ] {
        fails(&[(0xc2, wrong)], 1007, &[]);
        let (head, tail) = wrong.split_at(wrong.len() / 2);
        fails(&[(0xc1, HELLO), (0x42, head), (0x80, tail)], 1007, &[hello()]);
    }
}

#[test]
fn rsv1_is_only_for_the_first_frame_of_a_message() {
    rows!("7692-6-2", "7692-6-3", "7692-6-6", "7692-6-7");
    for control in [0xc8, 0xc9, 0xca] {
        fails(&[(control, b"")], 1002, &[]);
        fails(&[(0x41, &HELLO[..3]), (control, b"")], 1002, &[]);
    }
    fails(&[(0x41, &HELLO[..3]), (0xc0, &HELLO[3..])], 1002, &[]);
    fails(&[(0x41, &HELLO[..3]), (0x40, &HELLO[3..])], 1002, &[]);
    fails(&[(0x01, b"He"), (0xc0, b"llo")], 1002, &[]);
    // The other reserved bits stay reserved.
    for rsv in [0xa1, 0x91, 0xb1, 0xe1, 0xd1, 0xf1] {
        fails(&[(rsv, HELLO)], 1002, &[]);
    }
    let uncompressed: &[(u8, &[u8])] = &[(0x81, b"Hello"), (0x01, b"He"), (0x80, b"llo"), (0x82, HELLO)];
    receives(uncompressed, &[hello(), hello(), binary(HELLO)]);
    let mixed = [(0xc1, HELLO), (0x81, &b"Hello"[..])].repeat(10);
    receives(&mixed, &std::array::from_fn::<_, 20, _>(|_| hello()));
}

#[test]
fn a_compressed_frame_without_agreement_fails() {
    rows!("7692-6-3");
    for role in ROLES {
        let make = || match role {
            Role::Server => server_for_request(Config::new().deflate(Deflate::new()), REQUEST),
            Role::Client => client_for_response(Config::new().deflate(Deflate::new()), ""),
        };
        assert!(!make().uses_deflate());
        every_cut(make, &from_peer_of(role, &[(0xc1, HELLO)])).assert_fails(1002, &[]);
    }
}

#[test]
fn decompressed_text_must_be_utf8() {
    rows!("7692-6-9");
    let compressed = |text: &[u8]| Writer::default().fixed(false).literals(text).end().message();
    for wrong in [&b"a\xff"[..], b"\xed\xa0\x80", b"caf\xc3", b"\xf4\x90\x80\x80"] {
        fails(&[(0xc1, &compressed(wrong))], 1007, &[]);
        receives(&[(0xc2, &compressed(wrong))], &[binary(wrong)]);
    }
    // The compressed bytes need not be UTF-8, and fragments need not end at character borders.
    let message = compressed("κόσμε €".as_bytes());
    assert!(std::str::from_utf8(&message).is_err());
    for cut in 0..message.len() {
        receives(&[(0x41, &message[..cut]), (0x80, &message[cut..])], &[text("κόσμε €")]);
    }
    // It fails as soon as the byte is decompressed, even if neither its frame nor its message has ended.
    let stored = Writer::default().stored(false, b"a\xffbcdefgh").bytes();
    for role in ROLES {
        let sender = if role == Role::Server { Role::Client } else { Role::Server };
        for first in [0x41, 0xc1] {
            let mut unfinished = crate::harness::frame(sender, first, &stored);
            unfinished.truncate(unfinished.len() - 3);
            every_cut(|| open(role), &unfinished).assert_fails(1007, &[]);
        }
        // The same in the middle of a fragmented message.
        let frames = from_peer_of(role, &[(0x41, &stored)]);
        every_cut(|| open(role), &frames).assert_fails(1007, &[]);
    }
}

#[test]
fn back_references_reach_32768_bytes() {
    rows!("7692-7.1.2.1-8", "7692-7.1.2.2-7", "7692-7.2.1-7");
    let data = noise(1 << 15, 3);
    let far = Writer::default().fixed(false).three_from(1 << 15).end();
    let within = Writer::default().stored(false, &data).fixed(false).three_from(1 << 15).end().message();
    let first = Writer::default().stored(false, &data).message();
    let expected = [&data[..], &data[..3]].concat();
    let make = |role| match role {
        // The client only got a hint to limit its window.
        Role::Server => {
            let deflate = Deflate::new().client_max_window_bits(websocket_proto::DeflateParameter::Reject);
            server(deflate, "permessage-deflate; client_max_window_bits=10")
        }
        Role::Client => client(Deflate::new(), "permessage-deflate"),
    };
    both_in_pieces(make, &[(0xc2, &within)], |outcome| assert_eq!(outcome.events, [binary(&expected)]));
    let frames: &[(u8, &[u8])] = &[(0xc2, &first), (0xc2, &far.message())];
    both_in_pieces(make, frames, |outcome| assert_eq!(outcome.events, [binary(&data), binary(&data[..3])]));
}

#[test]
fn the_size_limit_holds_while_inflating() {
    rows!("7692-7.2.2-10", "7692-7.2.2-11");
    let bomb = bomb(16 << 20);
    assert!(bomb.len() < 20_000);
    let (head, tail) = bomb.split_at(bomb.len() / 20);
    let make = |role| open(role);
    for frames in [&[(0xc2, &bomb[..])][..], &[(0x42, head), (0x80, tail)], &[(0xc1, &bomb)]] {
        both_in_pieces(make, frames, |outcome| {
            outcome.assert_fails(1009, &[]);
            let Some(ConnectionError::Protocol(error)) = outcome.closed().unwrap().error() else {
                panic!("{outcome:?}")
            };
            assert_eq!(error.kind(), ProtocolErrorKind::MessageTooBig);
        });
    }
}

fn limited(role: Role, limit: usize) -> Connection {
    let config = Config::new().max_message_size(limit).deflate(Deflate::new());
    let line = extensions("permessage-deflate");
    if role == Role::Server {
        server_for_request(config, &add(REQUEST, &line))
    } else {
        client_for_response(config, &line)
    }
}

#[test]
fn the_size_limit_is_exact() {
    rows!("7692-7.2.2-10", "7692-7.2.2-11");
    for role in ROLES {
        // A compressed form that is longer than the limit is no reason to reject a message.
        for frames in [&[(0xc1, HELLO)][..], &[(0x41, &HELLO[..4]), (0x80, &HELLO[4..])]] {
            let input = from_peer_of(role, frames);
            assert_eq!(every_cut(|| limited(role, 5), &input).events, [hello()]);
            every_cut(|| limited(role, 4), &input).assert_fails(1009, &[]);
            every_cut(|| limited(role, 0), &input).assert_fails(1009, &[]);
        }
        assert_eq!(every_cut(|| limited(role, 0), &from_peer_of(role, &[(0xc1, b"\0")])).events, [text("")]);
        // The limit also holds at the borders of the decompression buffer, and again for each message.
        for size in [8191, 8192, 8193, 16_384, 65_536] {
            let zeros = bomb(size);
            let input = from_peer_of(role, &[(0xc2, &zeros)]);
            assert_eq!(feed(&mut limited(role, size), [&input[..]]).events, [binary(&vec![0; size])]);
            assert_eq!(feed(&mut limited(role, size), input.chunks(1)).events, [binary(&vec![0; size])]);
            feed(&mut limited(role, size - 1), [&input[..]]).assert_fails(1009, &[]);
            feed(&mut limited(role, size - 1), input.chunks(1)).assert_fails(1009, &[]);
            let twice = feed(&mut limited(role, size), [&input[..], &input[..]]);
            assert_eq!(twice.events.len(), 2);
        }
    }
}

/// A compressed message fails at the header that makes it longer than the limit plus an eighth of it, 1 KiB, and 16
/// bytes for each earlier fragment.
#[test]
fn a_compressed_frame_too_long_for_the_limit_fails_at_its_header() {
    rows!("7692-7.2.2-10", "6455-10.4-1");
    let limit = 1000;
    let most = limit + limit / 8 + 1024;
    let begun = Writer::default().stored(false, b"begun").bytes();
    for role in ROLES {
        let opens = |before: &[(u8, &[u8])], first_byte, len| {
            let mut input = from_peer_of(role, before);
            let frame = from_peer_of(role, &[(first_byte, &vec![0; len])]);
            input.extend(&frame[..frame.len() - len]);
            let outcome = every_cut(|| limited(role, limit), &input);
            if outcome.closed().is_some() {
                outcome.assert_fails(1009, &[]);
            }
            outcome.events.is_empty()
        };
        assert!(opens(&[], 0xc2, most));
        assert!(!opens(&[], 0xc2, most + 1));
        // Earlier fragments count; each allows 16 more bytes, because its sender may have flushed.
        assert!(opens(&[(0x42, &begun)], 0x80, most + 16 - begun.len()));
        assert!(!opens(&[(0x42, &begun)], 0x80, most + 16 - begun.len() + 1));
        let fragments: [(u8, &[u8]); 3] = [(0x42, &begun), (0x00, &begun), (0x00, &begun)];
        assert!(opens(&fragments, 0x80, most + 3 * (16 - begun.len())));
        assert!(!opens(&fragments, 0x80, most + 3 * (16 - begun.len()) + 1));
        // Uncompressed messages get no such allowance.
        assert!(opens(&[], 0x82, limit) && !opens(&[], 0x82, limit + 1));
    }
}

/// A message that hardly compresses is longer on the wire than one decompression step; it still arrives in parts.
#[test]
fn a_large_read_is_delivered_in_parts() {
    rows!("7692-7.2.2-1");
    let data = noise(20_000, 5);
    let message = data.chunks(7000).fold(Writer::default(), |writer, data| writer.stored(false, data)).message();
    for (role, size) in ROLES.into_iter().flat_map(|role| [(role, 1000), (role, 6000), (role, 1 << 20)]) {
        let config = Config::new().part_size(size).deflate(Deflate::new());
        let line = extensions("permessage-deflate");
        let mut ws = if role == Role::Server {
            server_for_request(config, &add(REQUEST, &line))
        } else {
            client_for_response(config, &line)
        };
        let outcome = feed(&mut ws, [&from_peer_of(role, &[(0xc2, &message), (0xc1, HELLO)])[..]]);
        let (mut parts, mut ends, mut texts) = (Vec::new(), 0, 0);
        for event in outcome.events {
            match event {
                Event::BinaryPart { data: part, first, last } => {
                    assert_eq!((first, part.len() <= size, ends), (parts.is_empty(), true, 0));
                    parts.extend_from_slice(&part);
                    ends += usize::from(last);
                }
                Event::TextPart { text, first: true, last: true } if text == "Hello" => texts += 1,
                event => panic!("{event:?}"),
            }
        }
        assert!(parts == data && (ends, texts) == (1, 1), "parts of {size}");
    }
}
