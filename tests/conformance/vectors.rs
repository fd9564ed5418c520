//! The frames of `tests/data/conformance.json`, each with the reaction expected from a server.

use serde_json::Value;
#[cfg(feature = "deflate")]
use websocket_proto::Deflate;
use websocket_proto::frame::{FrameHeader, Opcode};
use websocket_proto::{CloseStatus, Connection, Event, Role, State};

use crate::harness::{Outcome, code, every_cut, feed, frame, frames, hex, ping, server};
use crate::rows;

const VECTORS: &str = include_str!("../data/conformance.json");

#[test]
fn a_server_reacts_to_each_vector_as_expected() {
    rows!("6455-5.2-12", "6455-6.2-1");
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let (mut tested, mut deflate) = (0, 0);
    for vector in vectors["server_frames"].as_array().unwrap() {
        let compressed = vector["deflate"].as_bool().unwrap();
        *(if compressed { &mut deflate } else { &mut tested }) += 1;
        if compressed && !cfg!(feature = "deflate") {
            continue;
        }
        let server = if compressed { deflating } else { server };
        let (name, expected) = (vector["name"].as_str().unwrap(), vector["expect"].as_str().unwrap());
        println!("{name}: {expected}");
        if let Some(input) = vector["in"].as_str() {
            check(&hex(input), &every_cut(server, &hex(input)), expected);
            continue;
        }
        let input = described(name, vector["in_note"].as_str().unwrap());
        let outcome = feed(&mut server(), [input.as_slice()]);
        for len in [1, 1000, 65_537] {
            assert!(feed(&mut server(), input.chunks(len)) == outcome, "{name} in pieces of {len}");
        }
        check(&input, &outcome, expected);
    }
    assert_eq!((tested, deflate), (44, 17));
}

/// An open server that was offered permessage-deflate.
fn deflating() -> Connection {
    #[cfg(feature = "deflate")]
    return crate::deflate::server(Deflate::new(), "permessage-deflate");
    #[cfg(not(feature = "deflate"))]
    unreachable!("not tested without it")
}

/// The input of a vector that is too long for the file.
fn described(name: &str, note: &str) -> Vec<u8> {
    #[cfg(feature = "deflate")]
    if name.starts_with("PMD 16 MiB bomb") {
        let bomb = crate::shared::compression::bomb(16 << 20);
        if name.ends_with("limit 1 MiB") {
            return frame(Role::Client, 0xc2, &bomb);
        }
        let (head, tail) = bomb.split_at(bomb.len() / 2);
        return [frame(Role::Client, 0x42, head), frame(Role::Client, 0x80, tail)].concat();
    }
    assert_eq!(name, "frag total > limit (1MiB+) plain");
    let half = vec![b'a'; 700_000];
    let input = [frame(Role::Client, 0x01, &half), frame(Role::Client, 0x80, &half)].concat();
    assert!(note.starts_with(&format!("{} bytes;", input.len())), "{note}");
    input
}

/// Checks an outcome against words such as `pong:x text:Hello` or `fail 1002`.
#[track_caller]
fn check(input: &[u8], outcome: &Outcome, expected: &str) {
    let words: Vec<&str> = expected.split(' ').collect();
    match words[..] {
        // "now": before the end of the frame or of the message.
        ["fail", "1002/1007"] => outcome.assert_fails(1007, &[]),
        ["fail", number] | ["fail", number, "now"] => outcome.assert_fails(number.parse().unwrap(), &[]),
        ["Hello", "Hello", ..] => assert_eq!(texts(outcome), [b"Hello", b"Hello"]),
        ["text:", "(tail", "only)"] => assert_eq!(texts(outcome), [b""]),
        ["pong", "text:Hello"] => ["pong:p", "text:Hello"].into_iter().for_each(|word| check_word(outcome, word)),
        ["text", "ok"] => assert_eq!(texts(outcome), [payload(input)]),
        _ => words.into_iter().for_each(|word| check_word(outcome, word)),
    }
}

#[track_caller]
fn check_word(outcome: &Outcome, word: &str) {
    let sent = outcome.frames();
    match word.split_once(':').unwrap_or((word, "")) {
        ("text", text) => {
            assert_eq!(texts(outcome), [text.as_bytes()]);
            assert!(outcome.close_sent().is_none());
        }
        ("pong", data) => {
            assert!(outcome.events.contains(&ping(data.as_bytes())));
            assert_eq!((sent.len(), sent[0].0.opcode, sent[0].1.as_slice()), (1, Opcode::Pong, data.as_bytes()));
        }
        ("close", status) => {
            let number = (status != "empty").then(|| status.parse().unwrap());
            assert_eq!(outcome.close_sent(), Some(number));
            let status = number.map_or(CloseStatus::NoStatus, |number| CloseStatus::Code(code(number)));
            let closed = outcome.closed().unwrap();
            assert_eq!((closed.status(), closed.was_clean()), (status, true));
            assert!(outcome.before_end().is_empty(), "{outcome:x?}");
        }
        ("only", _) => assert_eq!(sent.len(), 1, "{outcome:x?}"),
        ("open", _) => assert_eq!(outcome.state, State::Open),
        // The server closes the transport.
        ("FIN", _) => assert_eq!(outcome.state, State::Closed),
        _ => panic!("{word}?"),
    }
}

fn texts<'o>(outcome: &'o Outcome) -> Vec<&'o [u8]> {
    let text = |event: &'o Event<'static>| if let Event::Text(text) = event { Some(text.as_bytes()) } else { None };
    outcome.events.iter().filter_map(text).collect()
}

/// The payloads of all frames of an input, concatenated.
fn payload(input: &[u8]) -> Vec<u8> {
    frames(input).into_iter().flat_map(|(_, payload): (FrameHeader, _)| payload).collect()
}
