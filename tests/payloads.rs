//! The kind of an event, its payload, and the payload's place in the read buffer.

mod shared;

use std::borrow::Cow;

use shared::frames::from_peer_of;
use shared::wired::{self, ROLES};
use websocket_proto::{CloseCode, Config, Connection, Event, EventKind, Input, Output, Role};

/// Binary, text in two fragments with a ping between them, a pong, an empty text, a text, a Close.
fn stream(role: Role) -> Vec<u8> {
    let mut close = CloseCode::NORMAL_CLOSURE.get().to_be_bytes().to_vec();
    close.extend(b"bye");
    from_peer_of(
        role,
        &[
            (0x82, &[0, 1, 2, 255]),
            (0x01, "héll".as_bytes()),
            (0x89, b"?"),
            (0x80, "ö€".as_bytes()),
            (0x8a, b"!"),
            (0x81, b""),
            (0x81, b"last"),
            (0x88, &close),
        ],
    )
}

fn open(role: Role, part_size: usize) -> Connection {
    let config = if part_size > 0 { Config::new().part_size(part_size) } else { Config::new() };
    wired::open(role, config, Config::new()).0
}

/// Every payload that borrows the buffer is found in it, after the event is gone; a payload with memory of its own is
/// not. At every split of the stream.
#[test]
fn a_payload_is_found_in_the_buffer() {
    for (role, part_size) in [ROLES[0], ROLES[1]].into_iter().flat_map(|role| [(role, 0), (role, 3)]) {
        let bytes = stream(role);
        for cut in 0..=bytes.len() {
            let (mut ws, mut output, mut found) = (open(role, part_size), Output::new(), 0);
            for piece in [&bytes[..cut], &bytes[cut..]] {
                // A read does not begin where its buffer begins.
                let mut buffer = [b"before", piece].concat();
                let mut places = Vec::new();
                let mut input = Input::new(&mut buffer[6..]);
                while let Some(event) = ws.receive(&mut input, &mut output) {
                    let Some(payload) = event.payload() else { continue };
                    let is_borrowed = match &event {
                        Event::Text(text) | Event::TextPart { text, .. } => matches!(text, Cow::Borrowed(_)),
                        Event::Binary(data)
                        | Event::BinaryPart { data, .. }
                        | Event::Ping(data)
                        | Event::Pong(data) => matches!(data, Cow::Borrowed(_)),
                        event => panic!("{event:?} has no payload"),
                    };
                    match input.range_of(payload) {
                        Some(range) => places.push((range, payload.to_vec())),
                        None => assert!(!is_borrowed, "{event:?}"),
                    }
                }
                for (range, payload) in places {
                    assert_eq!(buffer[6..][range], payload);
                    found += 1;
                }
            }
            assert!(found >= 3, "{role:?} {cut}");
        }
    }
}

/// Memory outside the buffer, before it and after it, is in no range, and neither is memory that only begins inside.
#[test]
fn other_memory_is_not_in_the_buffer() {
    let mut memory = [7; 30];
    let (before, rest) = memory.split_at_mut(10);
    let (buffer, after) = rest.split_at_mut(10);
    let other = [7; 10];
    let input = Input::new(buffer);
    for outside in [&*before, &*after, &before[9..], &after[..1], &other] {
        assert_eq!(input.range_of(outside), None);
    }
    assert_eq!(input.range_of(&[]), Some(0..0));
    assert_eq!(Input::default().range_of(&other), None);
}

#[test]
fn kinds_and_payloads_of_all_events() {
    for (role, part_size) in [ROLES[0], ROLES[1]].into_iter().flat_map(|role| [(role, 0), (role, 3)]) {
        let events = wired::receive(&mut open(role, part_size), &stream(role), &mut Output::new());
        for event in events {
            let (kind, payload) = match &event {
                Event::Text(text) => (EventKind::Text, Some(text.as_bytes())),
                Event::Binary(data) => (EventKind::Binary, Some(&**data)),
                Event::TextPart { text, first, last } => {
                    (EventKind::TextPart { first: *first, last: *last }, Some(text.as_bytes()))
                }
                Event::BinaryPart { data, first, last } => {
                    (EventKind::BinaryPart { first: *first, last: *last }, Some(&**data))
                }
                Event::Ping(data) => (EventKind::Ping, Some(&**data)),
                Event::Pong(data) => (EventKind::Pong, Some(&**data)),
                Event::CloseReceived { .. } => (EventKind::CloseReceived, None),
                Event::Closed(_) => (EventKind::Closed, None),
                event => panic!("{event:?}"),
            };
            assert_eq!((event.kind(), event.payload()), (kind, payload));
        }
    }
}
