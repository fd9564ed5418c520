//! What the hot path takes, and that it leaves everything else as it is.

use alloc::vec::Vec;

use super::*;
use crate::config::Config;
use crate::frame::FrameHeader;
use crate::handshake::Negotiated;

const ROLES: [Role; 2] = [Role::Server, Role::Client];

fn open(role: Role, config: Config) -> Connection {
    let ws = Connection::upgraded(role, Negotiated::default(), config, [7; 32]);
    assert!(!ws.busy);
    ws
}

/// A frame as the peer of this role sends it, and how much of it is the header.
fn frame(role: Role, first: u8, payload: &[u8]) -> (Vec<u8>, usize) {
    let mask = (role == Role::Server).then_some([1, 2, 3, 4]);
    let opcode = Opcode::new(first & 0xf).expect("a known one");
    let header =
        FrameHeader { fin: first & FIN != 0, rsv: 0, opcode, mask, payload_len: payload.len() as u64 }.encode();
    let mut frame = [header.as_ref(), payload].concat();
    apply_mask(mask.unwrap_or_default(), &mut frame[header.as_ref().len()..]);
    (frame, header.as_ref().len())
}

fn is_gathering(ws: &Connection) -> bool {
    ws.busy && matches!(ws.reading, Reading::Payload(Frame { is_gathered: true, .. }))
}

/// Gives bytes to the connection, which are to bring no event.
fn push(ws: &mut Connection, bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    assert_eq!(ws.receive(&mut Input::new(&mut bytes), &mut Output::new()), None);
}

#[test]
fn a_whole_message_is_taken() {
    for (role, len) in ROLES.into_iter().flat_map(|role| [0, 1, 125, 126, 1000, 65_535].map(|len| (role, len))) {
        let payload = "a".repeat(len);
        // The longest that is allowed.
        let mut ws = open(role, Config::new().max_message_size(len).max_frame_size(len));
        for (first, event) in
            [(0x81, Event::Text(Cow::Borrowed(&*payload))), (0x82, Event::Binary(Cow::Borrowed(payload.as_bytes())))]
        {
            let (mut bytes, _) = frame(role, first, payload.as_bytes());
            let mut input = Input::new(&mut bytes);
            assert_eq!(ws.receive_whole(&mut input, &mut Output::new()), Some(event));
            assert!(input.is_empty() && !ws.busy);
        }
    }
}

#[test]
fn what_is_unusual_is_left() {
    for role in ROLES {
        let other = if role == Role::Server { Role::Client } else { Role::Server };
        for (bytes, _) in [
            frame(role, 0x82, &[0; 1001]),
            frame(role, 0x01, b"a fragment"),
            frame(role, 0x80, b"a continuation"),
            frame(role, 0x89, b"a ping"),
            frame(other, 0x81, b"masked as it must not be"),
        ] {
            let mut ws = open(role, Config::new().max_message_size(1000));
            let mut read = bytes.clone();
            let mut input = Input::new(&mut read);
            assert_eq!(ws.receive_whole(&mut input, &mut Output::new()), None);
            assert_eq!((input.into_rest(), ws.position, ws.busy), (&mut bytes.clone()[..], 0, false));
        }
    }
}

#[test]
fn a_message_that_is_cut_is_gathered() {
    for (role, len) in ROLES.into_iter().flat_map(|role| [10, 1000, 70_000].map(|len| (role, len))) {
        let (bytes, header) = frame(role, 0x81, "a".repeat(len).as_bytes());
        for cut in 1..header + 5 {
            let mut ws = open(role, Config::new().browser_rules(true));
            push(&mut ws, &bytes[..cut]);
            // A long one's header is not for the hot path; what follows is.
            assert_eq!(is_gathering(&ws), cut > header, "{len} bytes cut at {cut}");
            let mut rest = bytes[cut..].to_vec();
            let event = ws.receive(&mut Input::new(&mut rest), &mut Output::new());
            assert!(matches!(event, Some(Event::Text(text)) if text.len() == len));
            assert!(!ws.busy);
        }
    }
}

#[test]
fn the_next_fragment_begins_at_once() {
    for role in ROLES {
        for (first, payload, begins) in [
            (0x00, &b"more"[..], true),
            (0x80, b"and the last", true),
            (0x80, &[b'x'; 995], true),
            (0x80, &[b'x'; 996], false),
            (0x89, b"a ping", false),
        ] {
            let mut ws = open(role, Config::new().max_message_size(1000).max_fragments(2));
            push(&mut ws, &frame(role, 0x01, b"begun").0);
            let (bytes, header) = frame(role, first, payload);
            let mut cut = bytes[..header - 1].to_vec();
            assert!(!ws.begin_fragment(&mut Input::new(&mut cut)));
            let mut whole = bytes[..header].to_vec();
            let mut input = Input::new(&mut whole);
            assert_eq!((ws.begin_fragment(&mut input), input.is_empty()), (begins, begins), "{first:x}");
        }
    }
}

#[test]
fn few_bytes_are_taken_out_of_the_middle() {
    for (role, first) in ROLES.into_iter().flat_map(|role| [(role, 0x81), (role, 0x82)]) {
        let (bytes, header) = frame(role, first, &[b'a'; 100]);
        let mut ws = open(role, Config::new());
        push(&mut ws, &bytes[..header + 60]);
        let mut take = |from: usize, count: usize| {
            let mut few = bytes[header + from..][..count].to_vec();
            let mut input = Input::new(&mut few);
            (ws.receive_few(&mut input), input.len())
        };
        assert_eq!(take(60, 16), (false, 16));
        assert_eq!(take(60, 15), (true, 0));
        assert_eq!(take(75, 1), (true, 0));
        assert_eq!((ws.position, is_gathering(&ws)), ((header + 76) as u64, true));
    }
}
