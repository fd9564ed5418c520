//! The last bytes of a compressed message are checked like all others, whether they are inflated with the payload's
//! last byte, later, or only with the four bytes that are not sent (RFC 7692 §7.2.2).

use websocket_proto::{Config, Connection, Deflate, Event, Role};

use crate::deflate::{HELLO, Reader, Writer, extensions};
use crate::harness::{Outcome, REQUEST, client_for_response, every_cut, feed, from_peer_of, server_for_request, text};
use crate::http::add;
use crate::rows;
use crate::shared::wired::ROLES;

fn open(role: Role, config: &Config) -> Connection {
    let (config, line) = (config.clone().deflate(Deflate::new()), extensions("permessage-deflate"));
    if role == Role::Server {
        server_for_request(config, &add(REQUEST, &line))
    } else {
        client_for_response(config, &line)
    }
}

/// Whole messages, and parts of these sizes.
const PARTS: [usize; 6] = [0, 4, 5, 16, 17, 300];

fn config(part_size: usize) -> Config {
    if part_size > 0 { Config::new().part_size(part_size) } else { Config::new() }
}

/// The delivered bytes of the only message other than "Hello", whether it is complete, and the rest of the outcome.
fn delivered(outcome: &Outcome) -> (Vec<u8>, bool) {
    let (mut bytes, mut is_whole) = (Vec::new(), false);
    for event in outcome.before_end() {
        let (part, last): (&[u8], bool) = match event {
            Event::Text(text) => (text.as_bytes(), true),
            Event::Binary(data) => (data, true),
            Event::TextPart { text, last, .. } => (text.as_bytes(), *last),
            Event::BinaryPart { data, last, .. } => (data, *last),
            event => panic!("{event:?}"),
        };
        assert!(!is_whole, "one message");
        bytes.extend_from_slice(part);
        is_whole = last;
    }
    (bytes, is_whole)
}

/// Like [`every_cut`], but for parts, which depend on the cuts: their concatenation does not.
#[track_caller]
fn at_every_cut(role: Role, config: &Config, part_size: usize, input: &[u8]) -> Outcome {
    if part_size == 0 {
        return every_cut(|| open(role, config), input);
    }
    let whole = feed(&mut open(role, config), [input]);
    let ends = |outcome: &Outcome| (delivered(outcome), outcome.closed().cloned(), outcome.output.clone());
    for cut in 0..=input.len() {
        let (head, tail) = input.split_at(cut);
        let split = feed(&mut open(role, config), [head, tail]);
        assert_eq!(ends(&split), ends(&whole), "cut at {cut}");
    }
    let bytewise = feed(&mut open(role, config), input.chunks(1));
    assert_eq!(ends(&bytewise), ends(&whole), "byte by byte");
    whole
}

/// The same bytes in four kinds of blocks; the last one inflates to more than the buffer if the buffer is small.
fn spellings(bytes: &[u8]) -> [Vec<u8>; 4] {
    let (head, tail) = bytes.split_at(bytes.len() - 1);
    [
        Writer::default().stored(false, bytes).message(),
        Writer::default().fixed(false).literals(bytes).end().message(),
        Writer::default().stored(false, head).fixed(false).literals(tail).end().message(),
        Writer::default().stored(false, head).stored(true, tail).message(),
    ]
}

#[test]
fn text_with_an_invalid_end_fails() {
    rows!("7692-6-9", "6455-8.1-1");
    let endings: [&[u8]; 6] = [b"\xff", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\xed\xa0", b"\xe2\x82x"];
    for (role, part_size) in ROLES.into_iter().flat_map(|role| PARTS.map(|size| (role, size))) {
        for (ending, before) in
            endings.into_iter().flat_map(|ending| ["", "abc", "né, né", "16 bytes of text"].map(|b| (ending, b)))
        {
            let bytes = [before.as_bytes(), ending].concat();
            for payload in spellings(&bytes) {
                let outcome =
                    at_every_cut(role, &config(part_size), part_size, &from_peer_of(role, &[(0xc1, &payload)]));
                let (text, is_whole) = delivered(&outcome);
                assert!(
                    before.as_bytes().starts_with(&text) && !is_whole,
                    "{bytes:x?} in parts of {part_size}: {text:x?}"
                );
                assert!(part_size > 0 || text.is_empty());
                outcome.assert_fails(1007, outcome.before_end());
                // Binary data with the same bytes is valid.
                let outcome =
                    at_every_cut(role, &config(part_size), part_size, &from_peer_of(role, &[(0xc2, &payload)]));
                assert_eq!((delivered(&outcome), outcome.closed()), ((bytes.clone(), true), None));
            }
        }
    }
}

/// Messages whose last bytes are one match of three to 258 bytes, for all sizes around each part size and around the
/// limit.
#[test]
fn the_limit_holds_for_the_last_bytes() {
    rows!("7692-7.2.2-10", "7692-7.2.2-11");
    for (role, part_size) in ROLES.into_iter().flat_map(|role| PARTS.map(|size| (role, size))) {
        for matches in [1, 2, 5, 6, 33, 100] {
            let writer = Writer::default().fixed(false).literals(b"xyz");
            let payload = (0..matches).fold(writer, |writer, _| writer.three_from(3)).end().message();
            let (input, len) = (from_peer_of(role, &[(0xc1, &payload)]), 3 * (matches + 1));
            for limit in [len - 3, len - 2, len - 1, len, len + 1] {
                let config = config(part_size).max_message_size(limit);
                let outcome = at_every_cut(role, &config, part_size, &input);
                let (text, is_whole) = delivered(&outcome);
                assert!(b"xyz".repeat(matches + 1).starts_with(&text), "{text:x?}");
                assert!(text.len() <= limit, "{} of at most {limit} bytes", text.len());
                if limit < len {
                    outcome.assert_fails(1009, outcome.before_end());
                    assert!(!is_whole);
                } else {
                    assert_eq!((text.len(), is_whole, outcome.closed()), (len, true, None));
                }
            }
        }
    }
}

/// A match needs a few bits and becomes up to 258 bytes, for which the buffer may be too short after the last bit was
/// read.
#[test]
fn bytes_inflated_after_the_last_read_are_delivered() {
    rows!("7692-7.2.2-1", "7692-7.2.2-10");
    let zeros = |count: usize| {
        // 285 is the code of a length of 258, here at a distance of one byte.
        let writer = (0..count).fold(Writer::default().fixed(false).literals(b"a"), |writer, _| {
            writer.code(0xc0 + 285 - 280, 8).code(0, 5)
        });
        writer.end().message()
    };
    for (role, part_size) in ROLES.into_iter().flat_map(|role| PARTS.map(|size| (role, size))) {
        for count in [1, 2, 3, 10] {
            let (payload, len) = (zeros(count), 1 + 258 * count);
            assert_eq!(Reader::default().message(&payload), vec![b'a'; len]);
            let input = from_peer_of(role, &[(0xc1, &payload)]);
            let outcome = at_every_cut(role, &config(part_size), part_size, &input);
            assert_eq!((delivered(&outcome), outcome.closed()), ((vec![b'a'; len], true), None), "{part_size}");
            for limit in [len - 258, len - 257, len - 1] {
                let outcome = at_every_cut(role, &config(part_size).max_message_size(limit), part_size, &input);
                let (text, is_whole) = delivered(&outcome);
                assert!(text.len() <= limit && !is_whole);
                outcome.assert_fails(1009, outcome.before_end());
            }
        }
    }
}

/// Starts a block with its own codes (RFC 1951 §3.2.7): the codes of the literals 'a' to 'n' have 1 to 14 bits, all
/// ones and then a zero; those of 'o' and of the end have 15 bits, and the end's are all ones.
fn own_codes() -> Writer {
    const ORDER: [u32; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

    let mut lengths = [0_u32; 257];
    for (symbol, len) in (b'a'..=b'o').zip(1..) {
        lengths[usize::from(symbol)] = len;
    }
    lengths[256] = 15;
    // 257 literals and one distance, whose code is unused; the lengths by 13 codes of four bits and six of five.
    let header = Writer::default().number(0b100, 3).number(0, 5).number(0, 5).number(15, 4);
    let header = ORDER.iter().fold(header, |writer, symbol| writer.number(if *symbol < 13 { 4 } else { 5 }, 3));
    lengths.iter().chain(&[0]).fold(header, |writer, len| match len {
        0..13 => writer.code(*len, 4),
        _ => writer.code(26 + len - 13, 5),
    })
}

/// A literal of such a block.
fn own_literal(writer: Writer, byte: u8) -> Writer {
    let len = u32::from(byte - b'a') + 1;
    writer.code((1 << len) - 2, len)
}

/// In a block with such codes, the four bytes that are not sent decode to sixteen times 'a' and the end, with one bit
/// left over. A message that is cut there does not end at the end of a block, although zlib stops at one, with all four
/// bytes read: accepting it would lose the sixteen bytes, or deliver bytes that were not sent.
#[test]
fn an_end_inside_the_removed_tail_is_invalid() {
    rows!("7692-7.2.2-1", "7692-7.2.1-3", "7692-7.2.2-6");
    for fill in 0..8 {
        // The literals that fill the last byte.
        let written = (0..fill).fold(own_codes(), |writer, _| own_literal(writer, b'a'));
        if !written.is_aligned() {
            continue;
        }
        let payload = written.bytes();
        // The independent reader confirms this for a valid ending: the end's code, and a stored block.
        let ended = (0..fill).fold(own_codes(), |writer, _| own_literal(writer, b'a'));
        let ended = (0..16).fold(ended, |writer, _| own_literal(writer, b'a')).code((1 << 15) - 1, 15).message();
        assert_eq!(Reader::default().message(&ended), vec![b'a'; fill + 16]);
        for (role, part_size) in ROLES.into_iter().flat_map(|role| PARTS.map(|size| (role, size))) {
            for (first, limit) in [(0xc1, 1 << 20), (0xc2, 1 << 20), (0xc1, fill), (0xc1, fill + 16)] {
                let config = config(part_size).max_message_size(limit);
                let input = from_peer_of(role, &[(first, &payload)]);
                let outcome = at_every_cut(role, &config, part_size, &input);
                let (bytes, is_whole) = delivered(&outcome);
                assert!(bytes.len() <= fill && !is_whole, "{bytes:x?}, {part_size}");
                outcome.assert_fails(1007, outcome.before_end());
                let whole =
                    at_every_cut(role, &self::config(part_size), part_size, &from_peer_of(role, &[(first, &ended)]));
                assert_eq!((delivered(&whole), whole.closed()), ((vec![b'a'; fill + 16], true), None));
            }
        }
        return;
    }
    panic!("no number of literals ends at the border of a byte");
}

/// A payload may end with a last block; then the four bytes start another one.
#[test]
fn a_payload_may_end_with_a_last_block() {
    rows!("7692-7.2.2-1", "7692-7.2.1-5");
    for (role, part_size) in ROLES.into_iter().flat_map(|role| PARTS.map(|size| (role, size))) {
        for bytes in ["x", "text", "né, né, né, né, né"] {
            let good = Writer::default().fixed(true).literals(bytes.as_bytes()).end_last().message();
            let input = from_peer_of(role, &[(0xc1, &good)]);
            let outcome = at_every_cut(role, &config(part_size), part_size, &input);
            assert_eq!((delivered(&outcome), outcome.closed()), ((bytes.as_bytes().to_vec(), true), None));
            // Without the first bits of the block that the four bytes complete, they form no block.
            let cut = &good[..good.len() - 1];
            let outcome = at_every_cut(role, &config(part_size), part_size, &from_peer_of(role, &[(0xc1, cut)]));
            outcome.assert_fails(1007, outcome.before_end());
            assert!(!delivered(&outcome).1);
        }
    }
    // The next message is intact.
    for role in ROLES {
        let good = Writer::default().fixed(true).literals(b"one").end_last().message();
        let input = from_peer_of(role, &[(0xc1, &good), (0xc1, HELLO)]);
        let outcome = every_cut(|| open(role, &Config::new()), &input);
        assert_eq!(outcome.events, [text("one"), text("Hello")]);
    }
}
