//! Sending compressed messages (RFC 7692 §6.1, §7.2.1), decompressed by an independent implementation.

use websocket_proto::{Config, Connection, Deflate, Event, Input, MessageKind, Output, Role};

use crate::deflate::{HELLO, HELLO_AGAIN, Reader, agreed, client, sent, server};
use crate::harness::{self, REQUEST, drain, frames, from_peer_of, server_for_request, text};
use crate::rows;
use crate::shared::data::noise;
use crate::shared::wired::ROLES;

fn open(role: Role, parameters: &str) -> Connection {
    agreed(role, &Deflate::new().threshold(0), parameters)
}

fn send_text(ws: &mut Connection, text: &str) -> Vec<(u8, Vec<u8>)> {
    sent(ws, |ws, output| ws.send_text(text, output).expect("the connection is open"))
}

fn send_binary(ws: &mut Connection, data: &[u8]) -> Vec<u8> {
    let mut frames = sent(ws, |ws, output| ws.send_binary(data, output).expect("the connection is open"));
    assert_eq!((frames.len(), frames[0].0), (1, 0xc2));
    frames.remove(0).1
}

fn send_fragments(ws: &mut Connection, fragments: &[&[u8]]) -> Vec<(u8, Vec<u8>)> {
    sent(ws, |ws, output| {
        for (i, fragment) in fragments.iter().enumerate() {
            ws.send_fragment(MessageKind::Text, fragment, i + 1 == fragments.len(), output)
                .expect("the connection is open");
            ws.ping(b"p", output).expect("the connection is open");
        }
    })
}

#[test]
fn the_rfcs_examples_are_sent_byte_for_byte() {
    rows!("7692-6-1", "7692-6-4", "7692-7.2.1-3", "7692-7.1.1.1-6", "7692-7.1.1.2-5", "6455-6.1-7");
    for role in ROLES {
        let mut keeps = open(role, "");
        assert_eq!(send_text(&mut keeps, "Hello"), [(0xc1, HELLO.to_vec())]);
        assert_eq!(send_text(&mut keeps, "Hello"), [(0xc1, HELLO_AGAIN.to_vec())]);
        assert_eq!(sent(&mut keeps, |ws, output| ws.send_binary(b"Hello", output).unwrap())[0].0, 0xc2);

        let own = if role == Role::Server { "; server_no_context_takeover" } else { "; client_no_context_takeover" };
        let mut forgets = open(role, own);
        for _ in 0..3 {
            assert_eq!(send_text(&mut forgets, "Hello"), [(0xc1, HELLO.to_vec())]);
        }
    }
}

#[test]
fn fragmented_messages_are_compressed() {
    rows!("7692-6-2", "7692-6-5", "7692-6-10", "7692-7.2.1-1", "7692-7.2.1-2", "7692-7.2.1-6");
    let fragmented: &[&[&[u8]]] = &[
        &[b"Hel", b"lo"],
        &[b"", b"Hello"],
        &[b"Hello", b""],
        &[b"Hello", b"", b"", b"Hello", b""],
        &[b"", b""],
        &[b"", b"", b""],
        &[b"caf\xc3", b"\xa9"],
    ];
    for role in ROLES {
        for parameters in ["", "; server_no_context_takeover; client_no_context_takeover"] {
            let (mut ws, mut reader) = (open(role, parameters), Reader::default());
            for fragments in fragmented.iter().cycle().take(20) {
                if !parameters.is_empty() {
                    // A reader without context.
                    reader = Reader::default();
                }
                let frames = send_fragments(&mut ws, fragments);
                let (pings, data): (Vec<_>, Vec<_>) = frames.into_iter().partition(|(first, _)| first & 8 != 0);
                assert!(pings.iter().all(|ping| *ping == (0x89, b"p".to_vec())), "{pings:x?}");
                let last = fragments.len() - 1;
                let marks = data.iter().map(|(first, _)| *first);
                let marked = (0..=last).map(|i| {
                    if i == 0 {
                        0x41
                    } else if i == last {
                        0x80
                    } else {
                        0x00
                    }
                });
                assert!(marks.eq(marked), "{data:x?}");
                let payload: Vec<u8> = data.into_iter().flat_map(|(_, payload)| payload).collect();
                assert_eq!(reader.message(&payload), fragments.concat(), "{payload:x?}");
            }
            let mut reader = if parameters.is_empty() { reader } else { Reader::default() };
            assert_eq!(reader.message(&send_binary(&mut ws, b"after")), b"after");
        }
    }
}

#[test]
fn empty_messages_are_compressed() {
    rows!("7692-7.2.1-8");
    for role in ROLES {
        for parameters in ["", "; server_no_context_takeover; client_no_context_takeover"] {
            let (mut ws, mut reader) = (open(role, parameters), Reader::default());
            for text in ["", "", "Hello", "", "", "Hello"] {
                if !parameters.is_empty() {
                    reader = Reader::default();
                }
                let frames = send_text(&mut ws, text);
                assert_eq!(reader.message(&frames[0].1), text.as_bytes());
                assert!(!text.is_empty() || frames == [(0xc1, vec![0])], "{frames:x?}");
            }
        }
        let mut above = agreed(role, &Deflate::new().threshold(1), "");
        assert_eq!(send_text(&mut above, ""), [(0x81, vec![])]);
    }
}

#[test]
fn short_and_uncompressed_messages_stay_out_of_the_context() {
    rows!("7692-6-6", "7692-6-7", "7692-6-10", "7692-8-1");
    for role in ROLES {
        let mut ws = agreed(role, &Deflate::new().threshold(5), "");
        assert_eq!(send_text(&mut ws, "Hell"), [(0x81, b"Hell".to_vec())]);
        assert_eq!(send_text(&mut ws, "Hello"), [(0xc1, HELLO.to_vec())]);
        // Uncompressed messages do not become part of the context.
        let plain = sent(&mut ws, |ws, output| {
            ws.send_text_uncompressed("Hello, secret", output).expect("the connection is open");
            ws.send_binary_uncompressed(&[7; 1000], output).expect("the connection is open");
            ws.ping(&[7; 125], output).expect("the connection is open");
            ws.pong(&[7; 125], output).expect("the connection is open");
        });
        let expected = [(0x81, b"Hello, secret".to_vec()), (0x82, vec![7; 1000])];
        assert_eq!(plain, [&expected[..], &[(0x89, vec![7; 125]), (0x8a, vec![7; 125])]].concat());
        assert_eq!(send_text(&mut ws, "Hello"), [(0xc1, HELLO_AGAIN.to_vec())]);
        let code = harness::code(1000);
        let close = sent(&mut ws, |ws, output| ws.close(code, &"x".repeat(120), output));
        assert_eq!(close, [(0x88, [&b"\x03\xe8"[..], &[b'x'; 120]].concat())]);
    }
}

/// The limit is on the decompressed message; the bytes that flush each fragment do not count.
#[test]
fn many_small_fragments_are_within_the_limit() {
    rows!("7692-7.2.2-10", "7692-7.2.2-11", "7692-7.2.1-6");
    let limited = Config::new().max_message_size(1000).deflate(Deflate::new());
    let (mut client, mut output) = (open(Role::Client, ""), Output::new());
    for index in 0..1000 {
        client.send_fragment(MessageKind::Text, b"x", index == 999, &mut output).unwrap();
    }
    let offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
    let request = format!("{}{offer}", REQUEST.trim_end_matches("\r\n").to_owned() + "\r\n");
    let (mut server, mut answer) = (server_for_request(limited, &request), Output::new());
    let mut bytes = drain(&mut output);
    let event = server.receive(&mut Input::new(&mut bytes), &mut answer);
    assert_eq!(event.map(Event::into_owned), Some(text(&"x".repeat(1000))));
}

/// The first fragment decides whether the message is compressed.
#[test]
fn a_fragmented_message_may_stay_uncompressed() {
    rows!("7692-8-1", "7692-6-7");
    for role in ROLES {
        let (mut ws, mut output) = (open(role, ""), Output::new());
        ws.send_fragment_uncompressed(MessageKind::Text, b"secret ", false, &mut output).unwrap();
        ws.send_fragment(MessageKind::Text, b"to the end", true, &mut output).unwrap();
        let frames = frames(&drain(&mut output));
        let sent: Vec<(u8, &[u8])> = frames.iter().map(|(header, payload)| (header.rsv, payload.as_slice())).collect();
        assert_eq!(sent, [(0, b"secret ".as_slice()), (0, b"to the end")]);
    }
}

/// Data with repetitions at every distance, near and far.
fn repetitive() -> Vec<u8> {
    let mut data = noise(400, 5);
    let steps = noise(400, 9);
    for (i, step) in steps.iter().enumerate() {
        let distance = (usize::from(*step) << (i % 9)).clamp(3, data.len());
        let from = data.len() - distance;
        data.extend_from_within(from..from + distance.min(20 + 10 * (i % 9)));
        data.extend(noise(40, u32::from(*step)));
    }
    data
}

#[test]
fn distances_stay_within_the_agreed_window() {
    rows!("7692-7.1.2.1-6", "7692-7.1.2.2-5", "7692-7.1.2-8", "7692-7.2.1-1", "7692-7.2.1-2", "7692-7.2.1-7");
    let data = repetitive();
    assert!(data.len() > 32_768);
    for bits in 8..=15 {
        for level in 0..=9 {
            let role = ROLES[usize::from(level % 2)];
            let own = if role == Role::Server { "server" } else { "client" };
            let deflate = Deflate::new().level(level).memory_level(1 + bits % 9).window_bits(15).threshold(0);
            let mut ws = agreed(role, &deflate, &format!("; {own}_max_window_bits={bits}"));
            let (mut reader, what) = (Reader::default(), format!("{bits} bits, level {level}, {role:?}"));
            for message in [&data[..], b"", b"Hello", &data[data.len() - 2000..]] {
                assert!(reader.message(&send_binary(&mut ws, message)) == message, "{what}");
            }
            assert!(reader.farthest <= 1 << bits, "{} back: {what}", reader.farthest);
            // At levels above 0 the compressor does use long distances.
            assert_eq!(reader.farthest > 1 << (bits - 2), level > 0, "{what}");
        }
    }
}

#[test]
fn distances_stay_within_the_configured_window() {
    rows!("7692-7.1.2.1-6", "7692-7.1.2.2-5");
    for role in ROLES {
        for bits in 8..=15 {
            let mut ws = agreed(role, &Deflate::new().window_bits(bits).threshold(0), "");
            let mut reader = Reader::default();
            let data = repetitive();
            assert!(reader.message(&send_binary(&mut ws, &data)) == data);
            assert!(reader.farthest <= 1 << bits, "{} back, {bits} bits", reader.farthest);
        }
    }
}

#[test]
fn incompressible_and_large_messages_round_trip() {
    rows!("7692-7.2.1-1", "7692-7.2.1-2");
    for role in ROLES {
        let (mut ws, mut reader) = (open(role, ""), Reader::default());
        for len in [1, 63, 64, 65, 1000, 16_384, 65_535, 65_536, 100_000] {
            let data = noise(len, 11);
            assert!(reader.message(&send_binary(&mut ws, &data)) == data, "{len}");
            assert!(reader.message(&send_binary(&mut ws, &vec![0; len])) == vec![0; len], "{len}");
        }
    }
}

#[test]
fn shared_compressors_produce_the_same_bytes_as_own_ones() {
    rows!("7692-7.1.1.1-6", "7692-7.1.1.2-5");
    let fresh = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    let shared = Deflate::new().threshold(0).shared();
    // Another window and level, to which the shared compressor must switch.
    let other = shared.clone().window_bits(9).level(1);
    let make = || {
        [
            server(shared.clone(), "permessage-deflate"),
            server(other.clone(), "permessage-deflate"),
            client(shared.clone(), fresh),
            client(other.clone(), fresh),
        ]
    };
    let (mut connections, mut output) = (make(), Output::new());
    let data = repetitive();
    for round in 0..3 {
        for (ws, mut alone) in connections.iter_mut().zip(make()) {
            let messages: [&[u8]; 3] = [b"Hello", &data, b""];
            for message in messages {
                ws.send_binary(message, &mut output).expect("the connection is open");
                let frames = frames(&drain(&mut output));
                // Each connection's own level and window apply, as if the compressor were not shared.
                let by_itself =
                    sent(&mut alone, |ws, output| ws.send_binary(message, output).expect("the connection is open"));
                assert!(frames[0].1 == by_itself[0].1, "round {round}");
                // No context is taken over from earlier messages, of this connection or another.
                assert!(Reader::default().message(&frames[0].1) == message, "round {round}");
            }
            let mut input = from_peer_of(ws.role(), &[(0xc1, HELLO)]);
            let mut input = Input::new(&mut input);
            assert_eq!(ws.receive(&mut input, &mut output), Some(Event::Text("Hello".into())));
        }
    }
}

#[test]
fn fragments_of_two_shared_connections_may_interleave() {
    rows!("7692-7.1.1.1-6", "7692-6-5");
    let shared = Deflate::new().threshold(0).shared();
    let mut connections = [server(shared.clone(), "permessage-deflate"), server(shared, "permessage-deflate")];
    let (mut output, mut payloads) = (Output::new(), [const { Vec::new() }; 2]);
    for (fragment, fin) in [("Hello, ", false), ("Hello, ", false), ("Hello", true)] {
        for (ws, payload) in connections.iter_mut().zip(&mut payloads) {
            ws.send_fragment(MessageKind::Text, fragment.as_bytes(), fin, &mut output).expect("the connection is open");
            payload.extend(frames(&drain(&mut output)).remove(0).1);
        }
    }
    for payload in payloads {
        assert_eq!(Reader::default().message(&payload), b"Hello, Hello, Hello");
    }
}

#[test]
fn messages_can_be_recompressed_for_another_connection() {
    rows!("7692-9-1");
    // Messages received with one set of parameters are sent with another.
    let mut inner = client(Deflate::new().threshold(0), "permessage-deflate; client_no_context_takeover");
    let (mut outer, mut output) = (server(Deflate::new(), "permessage-deflate"), Output::new());
    let mut frames = from_peer_of(Role::Server, &[(0xc1, HELLO), (0xc1, HELLO_AGAIN)]);
    let mut input = Input::new(&mut frames);
    while let Some(event) = outer.receive(&mut input, &mut Output::new()) {
        let Event::Text(text) = event else { panic!("{event:?}") };
        inner.send_text(&text, &mut output).expect("the connection is open");
    }
    let passed_on = harness::frames(&drain(&mut output));
    assert!(passed_on.iter().map(|(_, payload)| &payload[..]).eq([HELLO, HELLO]), "{passed_on:x?}");
}
