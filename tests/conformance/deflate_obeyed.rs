//! The negotiated parameters of permessage-deflate are obeyed, as the bytes on the wire show: every setting against
//! every answer and every offer, and each window to the byte.

use websocket_proto::DeflateParameter::{self, Allow, Prefer, Reject, Require};
use websocket_proto::{Config, Connection, Deflate, Event, MessageKind, Output, PreparedMessage, Role};

use crate::deflate::{HELLO, HELLO_AGAIN, Reader, agreed, extensions, sent};
use crate::harness::{REQUEST, client_for_response, feed, from_peer_of, server_for_request, text};
use crate::http::add;
use crate::rows;
use crate::shared::data::noise;
use crate::shared::wired::ROLES;

const WISHES: [DeflateParameter; 4] = [Reject, Allow, Prefer, Require];

/// A connection of this role after this offer or answer; `None` if it was declined.
fn open(role: Role, deflate: &Deflate, element: &str) -> Option<Connection> {
    let (config, line) = (Config::new().deflate(deflate.clone()), extensions(element));
    let ws = if role == Role::Server {
        server_for_request(config, &add(REQUEST, &line))
    } else {
        client_for_response(config, &line)
    };
    ws.uses_deflate().then_some(ws)
}

/// Whether each message starts with an empty window: the same text twice, read by a decompressor without context.
#[track_caller]
fn forgets(ws: &mut Connection, what: &str) -> bool {
    let words = "Hello, hello, and once more the same words";
    let payloads = [(); 2]
        .map(|()| sent(ws, |ws, output| ws.send_text(words, output).expect("the connection is open")).remove(0).1);
    let mut reader = Reader::default();
    assert!(payloads.iter().all(|payload| reader.message(payload) == words.as_bytes()), "{what}");
    let is_same = payloads[0] == payloads[1];
    assert!(
        is_same || payloads[1].len() < payloads[0].len() / 2,
        "{what}: neither without context nor with a reference"
    );
    is_same
}

/// Whether the peer's messages may refer to the message before.
#[track_caller]
fn expects_context(ws: &mut Connection, what: &str) -> bool {
    let frames = from_peer_of(ws.role(), &[(0xc1, HELLO), (0xc1, HELLO_AGAIN)]);
    let outcome = feed(ws, [&frames[..]]);
    assert_eq!(outcome.events[0], text("Hello"), "{what}");
    match &outcome.events[1..] {
        [Event::Text(text)] if text == "Hello" => true,
        [Event::Closed(_)] => {
            outcome.assert_fails(1007, &[text("Hello")]);
            false
        }
        events => panic!("{what}: {events:?}"),
    }
}

/// The peer's context parameters, in an offer or an answer.
const FRESH: [(bool, bool); 4] = [(false, false), (true, false), (false, true), (true, true)];

fn element((server, client): (bool, bool)) -> String {
    let server = if server { "; server_no_context_takeover" } else { "" };
    let client = if client { "; client_no_context_takeover" } else { "" };
    format!("permessage-deflate{server}{client}")
}

fn every_wish() -> impl Iterator<Item = (DeflateParameter, DeflateParameter, bool)> {
    let pairs = WISHES.into_iter().flat_map(|server| WISHES.map(|client| (server, client)));
    pairs.flat_map(|(server, client)| [false, true].map(|shared| (server, client, shared)))
}

fn wishing((server, client, shared): (DeflateParameter, DeflateParameter, bool)) -> Deflate {
    let deflate = Deflate::new().threshold(0).server_no_context_takeover(server).client_no_context_takeover(client);
    if shared { deflate.shared() } else { deflate }
}

#[test]
fn a_server_obeys_its_answer() {
    rows!("7692-7.1.1.1-6", "7692-7.1.1.2-7", "7692-7.1.1.1-3", "7692-7.1.1.2-3", "7692-7.2.2-4", "7692-7.2.2-5");
    for (wish, offered) in every_wish().flat_map(|wish| FRESH.map(|offered| (wish, offered))) {
        let ((server, client, shared), what) = (wish, format!("{wish:?}, offered {offered:?}"));
        let make = || open(Role::Server, &wishing(wish), &element(offered));
        let Some(mut ws) = make() else {
            // A shared compressor keeps no context, so the server agrees.
            assert!(server == Reject && offered.0 && !shared, "{what}: declined");
            continue;
        };
        let is_fresh = shared || server >= Prefer || offered.0;
        assert_eq!(forgets(&mut ws, &what), is_fresh, "{what}");
        let peer_is_fresh = shared || client >= Prefer || offered.1 && client != Reject;
        assert_eq!(expects_context(&mut make().expect("as before"), &what), !peer_is_fresh, "{what}");
    }
}

#[test]
fn a_client_obeys_the_answer_and_its_own_settings() {
    rows!("7692-7.1.1.2-5", "7692-7.1.1.2-6", "7692-7.1.1.1-5", "7692-7.2.2-4", "7692-7.2.2-5");
    for (wish, answered) in every_wish().flat_map(|wish| FRESH.map(|answered| (wish, answered))) {
        let ((server, client, shared), what) = (wish, format!("{wish:?}, answered {answered:?}"));
        // Without a parameter that it requires of the server, the client fails.
        if (server == Require || shared) && !answered.0 {
            continue;
        }
        let make = || open(Role::Client, &wishing(wish), &element(answered)).expect("it was answered");
        // RFC 7692 §7.1.1.2: a client may give up its own context, whatever the server answers.
        let is_fresh = shared || client == Require || answered.1;
        assert_eq!(forgets(&mut make(), &what), is_fresh, "{what}");
        assert_eq!(expects_context(&mut make(), &what), !answered.0, "{what}");
    }
}

/// Fragments and prepared messages follow the parameters like whole messages.
#[test]
fn fragments_and_prepared_messages_obey_the_parameters() {
    rows!("7692-7.1.1.1-6", "7692-7.1.1.2-5", "7692-6-5");
    let words = "Hello, hello, and once more the same words";
    for (role, shared) in ROLES.into_iter().flat_map(|role| [(role, false), (role, true)]) {
        let make = || open(role, &wishing((Require, Require, shared)), &element((true, true))).expect("agreed");
        let fragments = |ws: &mut Connection, output: &mut Output| {
            let (head, tail) = words.split_at(20);
            ws.send_fragment(MessageKind::Text, head.as_bytes(), false, output).expect("the connection is open");
            ws.send_fragment(MessageKind::Text, tail.as_bytes(), true, output).expect("the connection is open");
        };
        let prepared = PreparedMessage::text(words);
        let mut ws = make();
        for round in 0..6 {
            let frames = sent(&mut ws, |ws, output| match round % 3 {
                0 => ws.send_text(words, output).expect("the connection is open"),
                1 => fragments(ws, output),
                _ => ws.send_prepared(&prepared, output).expect("the connection is open"),
            });
            let payload: Vec<u8> = frames.into_iter().flat_map(|(_, payload)| payload).collect();
            assert_eq!(Reader::default().message(&payload), words.as_bytes(), "{role:?}, shared: {shared}, {round}");
        }
    }
}

/// The ways in which the window of a connection gets `bits` bits.
fn ways(role: Role, bits: u8) -> Vec<(String, Connection)> {
    let (own, other) = if role == Role::Server { ("server", "client") } else { ("client", "server") };
    let fresh = "; server_no_context_takeover; client_no_context_takeover";
    let largest = Deflate::new().threshold(0).window_bits(15).memory_level(9);
    let configured = largest.clone().window_bits(bits);
    let mut ways = vec![
        ("asked for", largest.clone(), format!("; {own}_max_window_bits={bits}")),
        ("configured", configured.clone(), String::new()),
        ("asked for more", configured.clone(), format!("; {own}_max_window_bits=15")),
        ("shared", largest.clone().shared(), format!("; {own}_max_window_bits={bits}{fresh}")),
        ("shared and configured", configured.clone().shared(), fresh.to_owned()),
    ];
    if role == Role::Server {
        ways.push(("told unasked", configured.server_max_window_bits(Require), String::new()));
        // The limit on the peer's window does not affect this side's.
        ways.push(("beside another", largest, format!("; server_max_window_bits={bits}; {other}_max_window_bits=15")));
    } else {
        let other = format!("; client_max_window_bits={bits}; {other}_max_window_bits=15");
        ways.push(("beside another", largest.server_max_window_bits(Allow), other));
    }
    ways.into_iter().map(|(way, deflate, element)| (way.to_owned(), agreed(role, &deflate, &element))).collect()
}

/// Bytes without a pattern, whose first sixty are repeated at this distance.
fn again(distance: usize) -> Vec<u8> {
    let mut data = noise(distance, 77);
    data.extend_from_within(..60);
    data
}

/// RFC 7692 §7.1.2.1: "the LZ77 sliding window size", to the byte: no reference exceeds it, and data well within it is
/// referred to.
#[test]
fn no_reference_exceeds_the_negotiated_window() {
    rows!("7692-7.1.2.1-6", "7692-7.1.2.2-5", "7692-7.1.2-8", "7692-7.1.2.1-3");
    for (role, bits) in ROLES.into_iter().flat_map(|role| (8..=15).map(move |bits| (role, bits))) {
        let window = 1_usize << bits;
        // zlib leaves 262 bytes of its window unused, and uses one of 9 bits for 8.
        let within = (1 << bits.max(9)) - 262;
        for (way, mut ws) in ways(role, bits) {
            // The following data repeats nothing in it.
            let filler = noise(1 << 15, bits.into());
            for (distance, is_near) in
                [(within, true), (within / 2, true), (window + 1, false), (window + window / 4, false)]
            {
                let (what, data) = (format!("{role:?}, {bits} bits, {way}, {distance} back"), again(distance));
                let mut reader = Reader::default();
                let payloads = [&filler, &data].map(|message| {
                    let payload =
                        sent(&mut ws, |ws, output| ws.send_binary(message, output).expect("the connection is open"))
                            .remove(0)
                            .1;
                    assert!(reader.message(&payload) == *message, "{what}");
                    payload
                });
                assert!(reader.farthest <= window, "{what}: {}", reader.farthest);
                // Without the repetition, the data does not compress.
                assert_eq!(payloads[1].len() < data.len(), is_near, "{what}");
            }
        }
    }
}

/// The window spans fragments, and messages with context takeover, and ends at the negotiated size.
#[test]
fn the_window_spans_fragments_and_messages_with_takeover() {
    rows!("7692-7.1.2.1-6", "7692-7.1.2.2-5", "7692-7.2.1-7", "7692-7.1.1.1-6");
    for (role, bits) in ROLES.into_iter().flat_map(|role| (8..=15).map(move |bits| (role, bits))) {
        let own = if role == Role::Server { "server" } else { "client" };
        let own_bits = format!("; {own}_max_window_bits={bits}");
        let deflate = Deflate::new().threshold(0).window_bits(15).memory_level(9);
        let within = (1 << bits.max(9)) - 262;
        for (distance, is_near) in [(within, true), ((1 << bits) + 1, false)] {
            for (is_fragmented, is_fresh) in [(false, false), (true, false), (true, true), (false, true)] {
                let fresh = if is_fresh { format!("; {own}_no_context_takeover") } else { String::new() };
                let what = format!("{role:?}{own_bits}{fresh}, {distance} back, fragmented: {is_fragmented}");
                let (mut ws, data) = (agreed(role, &deflate, &format!("{own_bits}{fresh}")), again(distance));
                let (head, tail) = data.split_at(distance);
                let frames = sent(&mut ws, |ws, output| {
                    for (part, fin) in [(head, !is_fragmented), (tail, true)] {
                        ws.send_fragment(MessageKind::Binary, part, fin, output).expect("the connection is open");
                    }
                });
                let payloads: Vec<Vec<u8>> = frames.into_iter().map(|(_, payload)| payload).collect();
                let mut reader = Reader::default();
                let messages = if is_fragmented { vec![payloads.concat()] } else { payloads.clone() };
                let read: Vec<u8> = messages.iter().flat_map(|payload| reader.message(payload)).collect();
                assert!(read == data, "{what}");
                assert!(reader.farthest <= 1 << bits, "{what}: {}", reader.farthest);
                let may_be_found = is_near && (is_fragmented || !is_fresh);
                assert_eq!(payloads[1].len() < 40, may_be_found, "{what}");
            }
        }
    }
}

/// Every level and every memory level, one byte beyond the window.
#[test]
fn the_window_holds_at_every_level() {
    rows!("7692-7.1.2.1-6", "7692-7.1.2.2-5");
    for (role, bits) in ROLES.into_iter().flat_map(|role| (8..=14).map(move |bits| (role, bits))) {
        let own = if role == Role::Server { "server" } else { "client" };
        for level in 0..=9 {
            let deflate = Deflate::new().threshold(0).level(level).memory_level(level.clamp(1, 9)).window_bits(15);
            let mut ws = agreed(role, &deflate, &format!("; {own}_max_window_bits={bits}"));
            let mut reader = Reader::default();
            for distance in [(1 << bits) + 1, (1 << bits) + 64, (1 << (bits + 1)) - 262] {
                let data = again(distance);
                let frames = sent(&mut ws, |ws, output| ws.send_binary(&data, output).expect("the connection is open"));
                assert!(reader.message(&frames[0].1) == data);
            }
            assert!(reader.farthest <= 1 << bits, "{role:?}, {bits} bits, level {level}: {} back", reader.farthest);
        }
    }
}
