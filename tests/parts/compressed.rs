//! Compressed messages in parts.

use bytes::Buf;
use websocket_proto::{Deflate, MessageKind};

use super::*;
use crate::shared::handshake::{OFFER, request_with};

fn deflate() -> Config {
    Config::new().deflate(Deflate::new().threshold(0))
}

/// A sender, and a receiver of parts.
fn pair(receiver: Role, config: Config) -> (Connection, Connection) {
    let (receiver, sender) = open(receiver, config, deflate());
    assert!(sender.uses_deflate());
    (sender, receiver)
}

/// Some of it compresses well, some does not; it is longer than one block of input inflates to.
fn words() -> String {
    let number = |i: u32| format!("{} €", i.wrapping_mul(2_654_435_761) >> 7);
    (0..700).map(number).collect::<String>() + &"x".repeat(50_000) + &"€".repeat(10_000)
}

#[test]
fn compressed_messages_arrive_in_parts() {
    let words = words();
    for role in ROLES {
        for (size, read) in [(SMALLEST, 100_000), (5, 1), (100, 13), (1000, 1), (4096, 4096), (1 << 20, 100_000)] {
            let (mut sender, mut receiver) = pair(role, deflate().part_size(size));
            let mut output = Output::new();
            let (start, end) = words.as_bytes().split_at(words.len() / 2 + 1);
            sender.send_text(&words, &mut output).unwrap();
            sender.send_fragment(MessageKind::Binary, start, false, &mut output).unwrap();
            sender.send_fragment(MessageKind::Binary, end, true, &mut output).unwrap();
            sender.send_text("", &mut output).unwrap();
            sender.send_text_uncompressed("as it is", &mut output).unwrap();
            let received = feed(&mut receiver, drain(&mut output).chunks(read));
            let expected = [words.as_bytes(), words.as_bytes(), b"", b"as it is"];
            assert!(received.messages(size) == expected, "{role:?}, {size}, {read}");
            let ends: Vec<bool> = received.parts.iter().filter(|part| part.last).map(|part| part.is_text).collect();
            assert_eq!(ends, [true, false, true, true]);
            assert!(received.others.is_empty());
        }
    }
}

/// The limit alone decides, not the cuts: the bytes within the limit are delivered.
#[test]
fn a_compressed_message_over_the_limit_fails_after_its_parts() {
    for role in ROLES {
        let make = || pair(role, deflate().max_message_size(1000).part_size(64));
        let mut output = Output::new();
        make().0.send_text(&"too long ".repeat(200), &mut output).unwrap();
        every_cut(
            || make().1,
            &drain(&mut output),
            |received| {
                assert!(received.messages(64) == ["too long ".repeat(200).as_bytes()[..1000].to_vec()]);
                assert!(received.parts.iter().all(|part| !part.last));
                let Some(ConnectionError::Protocol(error)) = received.closed().error() else { panic!("{received:?}") };
                assert_eq!(error.kind(), ProtocolErrorKind::MessageTooBig);
            },
        );
        let mut output = Output::new();
        make().0.send_text(&"x".repeat(1000), &mut output).unwrap();
        every_cut(
            || make().1,
            &drain(&mut output),
            |received| assert!(received.messages(64) == [[b'x'; 1000]] && received.others.is_empty()),
        );
    }
}

/// Stored blocks (RFC 1951 §3.2.4), so that all data is known before the invalid block.
#[test]
fn parts_before_a_fault_in_a_compressed_message_are_delivered() {
    let stored = b"\x00\x0a\x00\xf5\xffgood start\x07";
    let broken_text = b"\x00\x0e\x00\xf1\xffgood start\xffend\x00";
    for role in ROLES {
        for (payload, kind) in
            [(&stored[..], ProtocolErrorKind::InvalidDeflate), (broken_text, ProtocolErrorKind::InvalidUtf8)]
        {
            let input = from_peer_of(role, &[(0xc1, payload)]);
            let events = receive(&mut pair(role, deflate()).1, &input, &mut Output::new());
            let [Event::Closed(expected)] = events.as_slice() else { panic!("{events:?}") };
            assert!(matches!(expected.error(), Some(ConnectionError::Protocol(error)) if error.kind() == kind));
            every_cut(
                || pair(role, deflate().part_size(SMALLEST)).1,
                &input,
                |received| {
                    assert_eq!(received.messages(SMALLEST), [b"good start"]);
                    assert_eq!(received.closed(), expected);
                },
            );
        }
    }
}

/// The next part is decompressed into a recycled buffer.
#[test]
fn compressed_parts_use_a_recycled_buffer() {
    let (mut sender, mut receiver) = pair(Role::Server, deflate().part_size(1000));
    let (mut output, mut answers) = (Output::new(), Output::new());
    sender.send_binary(&[7; 5000], &mut output).unwrap();
    sender.send_binary(&[7; 5000], &mut output).unwrap();
    let mut read = drain(&mut output);
    let mut input = Input::new(&mut read);
    // Larger than any part needs.
    receiver.recycle(Vec::with_capacity(1 << 16));
    let mut bytes = 0;
    while let Some(event) = receiver.receive(&mut input, &mut answers) {
        let Event::BinaryPart { data: Cow::Owned(data), .. } = event else { panic!("{event:?}") };
        assert!(data.capacity() >= 1 << 16 && data.len() <= 1000, "{}", data.capacity());
        bytes += data.len();
        receiver.recycle(data);
    }
    assert_eq!(bytes, 10_000);
}

#[test]
fn compressed_early_data_is_delivered_before_the_end() {
    let (words, mut output) = (words(), Output::new());
    pair(Role::Server, deflate()).0.send_text(&words, &mut output).unwrap();
    let request = request_with(OFFER);
    for size in [SMALLEST, 1000, 1 << 20] {
        let config = deflate().part_size(size);
        let (server, _) = sent_ahead(config, &request, output.chunk());
        assert!(server.uses_deflate());
        assert_delivered_before_the_end(server, size, words.as_bytes(), 1006);
    }
}
