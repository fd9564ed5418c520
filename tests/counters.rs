//! [`Connection::counters`]: both ends of a connection have equal counts, and these match the bytes on the wire.

mod shared;

use bytes::Buf;
use shared::wired::{ROLES, drain, open, receive};
use websocket_proto::{
    ClientRequest, CloseCode, Config, Connection, Counters, Event, Input, MessageKind, Output, PreparedMessage, Role,
};

/// A connection, its peer, and the numbers of bytes between them since they opened.
struct Wire {
    own: Connection,
    peer: Connection,
    to_peer: Output,
    to_own: Output,
    sent: u64,
    received: u64,
}

impl Wire {
    fn new(role: Role, own: Config, peer: Config) -> Self {
        let (own, peer) = open(role, own, peer);
        assert_eq!((own.counters(), peer.counters()), (Counters::default(), Counters::default()));
        Self { own, peer, to_peer: Output::new(), to_own: Output::new(), sent: 0, received: 0 }
    }

    /// Writes and reads in pieces of `size` bytes until no bytes wait.
    fn flush(&mut self, size: usize) {
        while !self.to_peer.is_empty() || !self.to_own.is_empty() {
            for piece in drain(&mut self.to_peer).chunks(size) {
                self.sent += piece.len() as u64;
                receive(&mut self.peer, piece, &mut self.to_own);
            }
            for piece in drain(&mut self.to_own).chunks(size) {
                self.received += piece.len() as u64;
                receive(&mut self.own, piece, &mut self.to_peer);
            }
        }
    }

    /// Asserts the counts of both ends when no bytes are in flight.
    #[track_caller]
    fn check(&self, messages: [u64; 2], message_bytes: [u64; 2], pings: [u32; 2]) {
        let (own, peer) = (self.own.counters(), self.peer.counters());
        assert_eq!((own.sent, own.received), (peer.received, peer.sent));
        assert_eq!([own.sent.wire_bytes, own.received.wire_bytes], [self.sent, self.received]);
        assert_eq!([own.sent.messages, own.received.messages], messages);
        assert_eq!([own.sent.message_bytes, own.received.message_bytes], message_bytes);
        assert_eq!([own.sent.pings, own.received.pings], pings);
    }
}

/// The length of a header, with the mask key of a client's frame: RFC 6455 §5.2.
fn header_len(sender: Role, payload: u64) -> u64 {
    let len = match payload {
        0..=125 => 2,
        126..=65_535 => 4,
        _ => 10,
    };
    if sender == Role::Client { len + 4 } else { len }
}

#[test]
fn both_ends_count_messages_bytes_and_pings() {
    for (role, size) in ROLES.into_iter().flat_map(|role| [1, 7, usize::MAX].map(|size| (role, size))) {
        let mut wire = Wire::new(role, Config::new(), Config::new());
        let lengths = [0, 1, 125, 126, 20_000, 65_535, 65_536];
        for len in lengths {
            let data = vec![b'x'; len];
            let words = str::from_utf8(&data).unwrap();
            wire.own.send_text(words, &mut wire.to_peer).unwrap();
            wire.own.send_binary(&data, &mut wire.to_peer).unwrap();
            wire.own.send_prepared(&PreparedMessage::text(words), &mut wire.to_peer).unwrap();
            wire.own.send_bytes(MessageKind::Binary, data.into(), &mut wire.to_peer).unwrap();
        }
        let (messages, bytes) = (4 * lengths.len() as u64, 4 * lengths.iter().sum::<usize>() as u64);
        let headers: u64 = lengths.iter().map(|len| 4 * header_len(role, *len as u64)).sum();
        assert_eq!(wire.own.counters().sent.wire_bytes, bytes + headers);
        wire.flush(size);
        wire.check([messages, 0], [bytes, 0], [0, 0]);
        // The other way, with control frames, up to the Close and its answer. "€" has three bytes.
        wire.peer.send_text("€", &mut wire.to_own).unwrap();
        wire.peer.ping(b"12345", &mut wire.to_own).unwrap();
        wire.own.ping(b"", &mut wire.to_peer).unwrap();
        wire.own.ping(b"1", &mut wire.to_peer).unwrap();
        wire.own.pong(b"unasked", &mut wire.to_peer).unwrap();
        wire.flush(size);
        wire.check([messages, 1], [bytes, 3], [2, 1]);
        wire.own.close(CloseCode::NORMAL_CLOSURE, "bye", &mut wire.to_peer);
        wire.flush(size);
        wire.check([messages, 1], [bytes, 3], [2, 1]);
        let pong = |sender, payload| header_len(sender, payload) + payload;
        let peer = if role == Role::Server { Role::Client } else { Role::Server };
        let own_frames = [0, 1, 7, 5, 5].map(|payload| pong(role, payload)).iter().sum::<u64>();
        let peer_frames = [3, 5, 0, 1, 2].map(|payload| pong(peer, payload)).iter().sum::<u64>();
        assert_eq!([wire.sent - bytes - headers, wire.received], [own_frames, peer_frames]);
    }
}

/// A message counts when it ends. Its bytes count with each fragment that is sent; for the receiver, with each part, or
/// all at the end.
#[test]
fn fragments_and_parts_count_bytes_before_the_message_ends() {
    for role in ROLES {
        for (size, config, so_far) in [(3, Config::new(), 0), (3, Config::new().part_size(4), 7)] {
            let mut wire = Wire::new(role, Config::new(), config);
            wire.own.send_fragment(MessageKind::Text, b"abcd", false, &mut wire.to_peer).unwrap();
            wire.own.ping(b"", &mut wire.to_peer).unwrap();
            wire.own.send_fragment(MessageKind::Text, b"efg", false, &mut wire.to_peer).unwrap();
            wire.flush(size);
            let (sent, received) = (wire.own.counters().sent, wire.peer.counters().received);
            assert_eq!((sent.messages, sent.message_bytes), (0, 7));
            assert_eq!((received.messages, received.message_bytes), (0, so_far));
            assert_eq!([sent.wire_bytes, received.wire_bytes], [wire.sent; 2]);
            wire.own.send_fragment(MessageKind::Text, b"", true, &mut wire.to_peer).unwrap();
            wire.flush(size);
            wire.check([1, 0], [7, 0], [1, 0]);
            wire.own.send_text("whole, and longer than a part", &mut wire.to_peer).unwrap();
            wire.flush(size);
            wire.check([2, 0], [36, 0], [1, 0]);
            assert_eq!(wire.sent, 7 + 29 + 5 * header_len(role, 0));
        }
    }
}

/// A pong replaced by a later one was never on the wire.
#[test]
fn replaced_pongs_are_not_counted() {
    for role in ROLES {
        let mut wire = Wire::new(role, Config::new(), Config::new().max_pending_pong_bytes(0));
        for len in [5, 100, 0, 20] {
            wire.own.ping(&vec![0; len], &mut wire.to_peer).unwrap();
        }
        wire.flush(usize::MAX);
        wire.check([0, 0], [0, 0], [4, 0]);
        let without = 4 * header_len(if role == Role::Server { Role::Client } else { Role::Server }, 0) + 125;
        assert!(wire.received < without, "no pong was replaced");
    }
}

/// Rejected messages are not counted, nor are bytes after the end.
#[test]
fn rejected_and_late_messages_are_not_counted() {
    for role in ROLES {
        let mut wire = Wire::new(role, Config::new().max_output(100), Config::new());
        wire.own.send_text(&"x".repeat(101), &mut wire.to_peer).unwrap_err();
        wire.own.send_prepared(&PreparedMessage::text(&"x".repeat(101)), &mut wire.to_peer).unwrap_err();
        wire.own.send_bytes(MessageKind::Text, b"\xff".as_slice().into(), &mut wire.to_peer).unwrap_err();
        wire.own.send_fragment(MessageKind::Text, b"\xff", false, &mut wire.to_peer).unwrap_err();
        wire.own.ping(&[0; 126], &mut wire.to_peer).unwrap_err();
        assert_eq!(wire.own.counters(), Counters::default());
        wire.own.close(CloseCode::NORMAL_CLOSURE, "", &mut wire.to_peer);
        wire.own.send_text("late", &mut wire.to_peer).unwrap_err();
        wire.flush(usize::MAX);
        wire.check([0, 0], [0, 0], [0, 0]);
        wire.own.receive_eof();
        receive(&mut wire.own, b"behind the end", &mut Output::new());
        wire.check([0, 0], [0, 0], [0, 0]);
    }
}

/// The bytes of the handshake do not count; frames sent before the answer count when they are delivered.
#[test]
fn the_handshake_is_not_counted() {
    let mut output = Output::new();
    Connection::client(&ClientRequest::new("ws://example.com/"), Config::new(), [7; 32], &mut output).unwrap();
    let (mut server, mut request) = (Connection::server(Config::new()), drain(&mut output));
    let (start, end) = request.split_at_mut(30);
    assert_eq!(server.receive(&mut Input::new(start), &mut output), None);
    assert_eq!(server.counters(), Counters::default());
    let Some(Event::Request(request)) = server.receive(&mut Input::new(end), &mut output) else { panic!() };
    let mut ahead = *b"\x81\x83\0\0\0\0abc";
    assert_eq!(server.receive(&mut Input::new(&mut ahead), &mut output), None);
    assert_eq!(server.counters(), Counters::default());
    server.accept(request, &mut output);
    assert_eq!(server.counters(), Counters::default());
    assert_eq!(server.receive(&mut Input::default(), &mut output), Some(Event::Text("abc".into())));
    let received = server.counters().received;
    assert_eq!((received.messages, received.message_bytes, received.wire_bytes), (1, 3, 9));
    assert_eq!(server.counters().sent.wire_bytes, 0);
    output.advance(output.len());
}

#[cfg(feature = "deflate")]
#[test]
fn compressed_messages_count_their_original_bytes() {
    use websocket_proto::Deflate;

    let deflate = || Config::new().deflate(Deflate::new());
    for role in ROLES {
        for config in [deflate(), deflate().part_size(100)] {
            let mut wire = Wire::new(role, deflate(), config);
            let words = "compressible ".repeat(100);
            for _ in 0..3 {
                wire.own.send_text(&words, &mut wire.to_peer).unwrap();
                wire.own.send_prepared(&PreparedMessage::text(&words), &mut wire.to_peer).unwrap();
                wire.own.send_fragment(MessageKind::Text, words.as_bytes(), false, &mut wire.to_peer).unwrap();
                wire.own.send_fragment(MessageKind::Text, b"end", true, &mut wire.to_peer).unwrap();
            }
            wire.flush(11);
            wire.check([9, 0], [9 * 1300 + 9, 0], [0, 0]);
            let ratio = wire.own.counters().sent.ratio();
            assert!(ratio > 0.0 && ratio < 0.5, "{ratio}");
            assert!((wire.own.counters().received.ratio() - 1.0).abs() < f64::EPSILON, "there was no message");
        }
    }
}

/// Without compression, headers make the ratio greater than 1.
#[test]
fn uncompressed_messages_take_more_than_their_bytes() {
    let mut wire = Wire::new(Role::Server, Config::new(), Config::new());
    wire.own.send_binary(&[0; 4], &mut wire.to_peer).unwrap();
    wire.flush(1);
    assert!((wire.own.counters().sent.ratio() - 1.5).abs() < f64::EPSILON);
}
