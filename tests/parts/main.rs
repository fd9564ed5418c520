//! Messages in parts: delivered as bytes arrive, never longer than configured, borrowed from the read, and complete
//! when reassembled.

#[cfg(feature = "deflate")]
mod compressed;
#[path = "../shared/mod.rs"]
mod shared;

use std::borrow::Cow;

use shared::frames::from_peer_of;
use shared::handshake::REQUEST;
use shared::wired::{ROLES, drain, open, receive};
use websocket_proto::{Closed, Config, Connection, ConnectionError, Event, Input, Output, ProtocolErrorKind, Role};

/// The smallest size of a part: the longest character.
const SMALLEST: usize = 4;

/// Frames: first byte and payload.
type Frames<'f> = &'f [(u8, &'f [u8])];

/// A part, and whether it was borrowed.
#[expect(clippy::struct_excessive_bools, reason = "each is an answer of its own")]
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    is_text: bool,
    data: Vec<u8>,
    first: bool,
    last: bool,
    borrowed: bool,
}

/// The result of an input.
#[derive(Debug, Default)]
struct Received {
    parts: Vec<Part>,
    /// Every other event, with the number of parts before it.
    others: Vec<(usize, Event<'static>)>,
    output: Vec<u8>,
}

impl Received {
    /// Records an event; a borrowed part must be inside the read.
    fn note(&mut self, event: Event<'_>, read: std::ops::Range<*const u8>) {
        let (is_text, data, first, last) = match event {
            Event::TextPart { text: Cow::Borrowed(text), first, last } => {
                (true, Cow::Borrowed(text.as_bytes()), first, last)
            }
            Event::TextPart { text: Cow::Owned(text), first, last } => (true, text.into_bytes().into(), first, last),
            Event::BinaryPart { data, first, last } => (false, data, first, last),
            other => return self.others.push((self.parts.len(), other.into_owned())),
        };
        let borrowed = matches!(data, Cow::Borrowed(_));
        let bounds = data.as_ptr_range();
        assert!(!borrowed || data.is_empty() || (read.start <= bounds.start && bounds.end <= read.end));
        self.parts.push(Part { is_text, data: data.into_owned(), first, last, borrowed });
    }

    /// The reassembled messages; the last may be incomplete.
    fn messages(&self, size: usize) -> Vec<Vec<u8>> {
        let mut messages = Vec::<Vec<u8>>::new();
        let mut is_in_progress = false;
        for part in &self.parts {
            assert!(part.data.len() <= size, "{part:?}");
            assert!(part.last || !part.data.is_empty(), "{part:?}");
            assert_eq!(part.first, !is_in_progress, "{part:?}");
            is_in_progress = !part.last;
            if part.first {
                messages.push(Vec::new());
            }
            messages.last_mut().unwrap().extend(&part.data);
        }
        messages
    }

    fn closed(&self) -> &Closed {
        match self.others.last() {
            Some((after, Event::Closed(closed))) if *after == self.parts.len() => closed,
            _ => panic!("not closed: {self:?}"),
        }
    }
}

fn feed<'p>(ws: &mut Connection, pieces: impl IntoIterator<Item = &'p [u8]>) -> Received {
    let (mut received, mut output) = (Received::default(), Output::new());
    for piece in pieces {
        let mut piece = piece.to_vec();
        let bounds = piece.as_ptr_range();
        let mut input = Input::new(&mut piece);
        while let Some(event) = ws.receive(&mut input, &mut output) {
            received.note(event, bounds.clone());
        }
        assert!(input.is_empty(), "None means that every byte was consumed");
    }
    received.output = drain(&mut output);
    received
}

/// Receives the input whole, byte by byte, and at every split into two.
fn every_cut(make: impl Fn() -> Connection, input: &[u8], check: impl Fn(Received)) {
    check(feed(&mut make(), [input]));
    check(feed(&mut make(), input.chunks(1)));
    for cut in 1..input.len() {
        check(feed(&mut make(), [&input[..cut], &input[cut..]]));
    }
}

fn in_parts(role: Role, size: usize) -> Connection {
    with(role, Config::new().part_size(size))
}

fn with(role: Role, config: Config) -> Connection {
    open(role, config, Config::new()).0
}

#[test]
fn parts_are_borrowed_from_the_read() {
    for role in ROLES {
        let input = from_peer_of(role, &[(0x81, b"0123456789"), (0x02, b"abcdef"), (0x80, b"ghijk"), (0x82, b"lmno")]);
        let received = feed(&mut in_parts(role, SMALLEST), [input.as_slice()]);
        assert_eq!(received.messages(SMALLEST), [&b"0123456789"[..], b"abcdefghijk", b"lmno"]);
        assert!(received.parts.iter().all(|part| part.borrowed), "{received:?}");
        assert!(received.others.is_empty() && received.output.is_empty());
        let is_text: Vec<bool> = received.parts.iter().filter(|part| part.last).map(|part| part.is_text).collect();
        assert_eq!(is_text, [true, false, false]);
    }
}

/// Bytes of a read are delivered at once, not when the part is full.
#[test]
fn parts_are_delivered_as_bytes_arrive() {
    for role in ROLES {
        let mut ws = in_parts(role, 1000);
        let input = from_peer_of(role, &[(0x82, b"0123456789")]);
        let (start, end) = input.split_at(input.len() - 3);
        assert_eq!(feed(&mut ws, [start]).messages(1000), [b"0123456"]);
        let rest = feed(&mut ws, [end]);
        assert_eq!(rest.parts[0].data, b"789");
        assert_eq!((rest.parts.len(), rest.parts[0].first, rest.parts[0].last), (1, false, true));
    }
}

#[test]
fn an_empty_message_is_one_part() {
    for role in ROLES {
        let empty: [Frames<'_>; 4] =
            [&[(0x81, b"")], &[(0x82, b"")], &[(0x01, b""), (0x80, b"")], &[(0x02, b""), (0x00, b""), (0x80, b"")]];
        for message in empty {
            every_cut(
                || in_parts(role, SMALLEST),
                &from_peer_of(role, message),
                |received| {
                    let [part] = received.parts.as_slice() else { panic!("{received:?}") };
                    let expected = (message[0].0 & 0xf == 1, true, true, true);
                    assert_eq!((part.is_text, part.data.is_empty(), part.first, part.last), expected);
                },
            );
        }
    }
}

#[test]
fn text_is_cut_between_characters() {
    let words = "😀aé€😀😀bé😀";
    for role in ROLES {
        for size in [0, 1, SMALLEST, 5, 6, 7, 100] {
            for fragment in 1..words.len() {
                let pieces: Vec<&[u8]> = words.as_bytes().chunks(fragment).collect();
                let last = pieces.len() - 1;
                let message: Vec<(u8, &[u8])> = pieces
                    .iter()
                    .enumerate()
                    .map(|(i, piece)| (u8::from(i == 0) | u8::from(i == last) << 7, *piece))
                    .collect();
                let input = from_peer_of(role, &message);
                for read in [1, 3, input.len()] {
                    let received = feed(&mut in_parts(role, size), input.chunks(read));
                    assert_eq!(received.messages(size.max(SMALLEST)), [words.as_bytes()], "{size}, {fragment}, {read}");
                    assert!(received.parts.iter().all(|part| str::from_utf8(&part.data).is_ok()));
                    assert!(received.others.is_empty());
                }
            }
        }
    }
}

/// RFC 6455 §5.4: "Control frames MAY be injected in the middle of a fragmented message."
#[test]
fn control_frames_are_reported_between_parts() {
    for role in ROLES {
        let input =
            from_peer_of(role, &[(0x01, b"be"), (0x89, b"ping"), (0x00, b"tween"), (0x8a, b"pong"), (0x80, b" parts")]);
        every_cut(
            || in_parts(role, SMALLEST),
            &input,
            |received| {
                assert_eq!(received.messages(SMALLEST), [b"between parts"]);
                let [(before_ping, ping), (before_pong, pong)] = received.others.as_slice() else { panic!() };
                assert_eq!((ping, pong), (&Event::Ping(b"ping".into()), &Event::Pong(b"pong".into())));
                let before = |parts: usize| -> Vec<u8> {
                    received.parts[..parts].iter().flat_map(|part| part.data.clone()).collect()
                };
                assert_eq!((before(*before_ping), before(*before_pong)), (b"be".to_vec(), b"between".to_vec()));
            },
        );
    }
}

/// Data before a fault is delivered; the fault and its offset are the same as without parts.
#[test]
fn parts_before_a_fault_are_delivered() {
    let broken: [(Frames<'_>, &[u8], ProtocolErrorKind); 6] = [
        (&[(0x01, b"good "), (0x80, b"start\xffend")], b"good start", ProtocolErrorKind::InvalidUtf8),
        (&[(0x81, b"good start\xe2\x82")], b"good start", ProtocolErrorKind::InvalidUtf8),
        (&[(0x81, b"good start\xe2\x28\xa1")], b"good start", ProtocolErrorKind::InvalidUtf8),
        (&[(0x01, b"good start\xe2"), (0x80, b"")], b"good start", ProtocolErrorKind::InvalidUtf8),
        (&[(0x02, b"good start"), (0x81, b"text")], b"good start", ProtocolErrorKind::MissingContinuation),
        (&[(0x02, b"good start"), (0xa0, b"end")], b"good start", ProtocolErrorKind::ReservedBits),
    ];
    for role in ROLES {
        for (message, good, kind) in broken {
            let input = from_peer_of(role, message);
            let (mut whole, mut close) = (with(role, Config::new()), Output::new());
            let events = receive(&mut whole, &input, &mut close);
            let [Event::Closed(expected)] = events.as_slice() else { panic!("{events:?}") };
            let Some(ConnectionError::Protocol(error)) = expected.error() else { panic!("{expected:?}") };
            assert_eq!(error.kind(), kind);
            let close = drain(&mut close);
            for size in [SMALLEST, 7, 1000] {
                every_cut(
                    || in_parts(role, size),
                    &input,
                    |received| {
                        assert_eq!(received.messages(size), [good], "{kind:?}");
                        assert!(received.parts.iter().all(|part| !part.last));
                        assert_eq!(received.closed(), expected);
                        assert_eq!(received.others.len(), 1);
                        assert_eq!(received.output, close);
                    },
                );
            }
        }
    }
}

/// RFC 6455 §7.4.1: 1009 is for "a message that is too big for it to process".
#[test]
fn a_message_over_the_limit_fails_after_its_parts() {
    for role in ROLES {
        let config = || Config::new().max_message_size(10).part_size(SMALLEST);
        let cases: [(Frames<'_>, &[&[u8]]); 3] = [
            (&[(0x01, b"012345"), (0x80, b"6789x")], &[b"012345"]),
            (&[(0x02, b"0123456789"), (0x00, b""), (0x80, b"x")], &[b"0123456789"]),
            (&[(0x82, b"0123456789x")], &[]),
        ];
        for (message, delivered) in cases {
            every_cut(
                || with(role, config()),
                &from_peer_of(role, message),
                |received| {
                    assert_eq!(received.messages(SMALLEST), delivered);
                    let Some(ConnectionError::Protocol(error)) = received.closed().error() else {
                        panic!("{received:?}")
                    };
                    assert_eq!(error.kind(), ProtocolErrorKind::MessageTooBig);
                    let mut peer = open(role, Config::new(), Config::new()).1;
                    let told = receive(&mut peer, &received.output, &mut Output::new());
                    let told = told.into_iter().chain(peer.receive_eof()).last();
                    assert!(matches!(told, Some(Event::Closed(closed)) if closed.code() == 1009));
                },
            );
        }
        let fits = from_peer_of(role, &[(0x01, b"012345"), (0x80, b"6789")]);
        every_cut(
            || with(role, config()),
            &fits,
            |received| {
                assert_eq!(received.messages(SMALLEST), [b"0123456789"]);
                assert!(received.parts.last().unwrap().last && received.others.is_empty());
            },
        );
    }
}

#[test]
fn a_message_longer_than_memory_arrives_in_parts() {
    for role in ROLES {
        let mut ws = with(role, Config::new().max_message_size(usize::MAX).part_size(64));
        let mask: &[u8] = if role == Role::Server { &[0; 4] } else { &[] };
        let masked = if role == Role::Server { 0x80 } else { 0 };
        let header = [&[0x02, 127 | masked][..], &(1_u64 << 40).to_be_bytes(), mask].concat();
        let mut start = feed(&mut ws, [header.as_slice()]);
        assert!(start.parts.is_empty() && start.others.is_empty());
        for _ in 0..10 {
            let next = feed(&mut ws, [[b'x'; 1000].as_slice()]);
            assert!(next.others.is_empty());
            start.parts.extend(next.parts);
        }
        assert_eq!(start.messages(64), [[b'x'; 10_000]]);
        assert!(!ws.is_closed());
    }
}

/// A server that has received these frames before the caller decided on the request.
fn sent_ahead(config: Config, request: &[u8], frames: &[u8]) -> (Connection, Output) {
    let (mut server, mut output, mut read) = (Connection::server(config), Output::new(), request.to_vec());
    let mut input = Input::new(&mut read);
    let Some(Event::Request(request)) = server.receive(&mut input, &mut output) else { panic!() };
    for piece in frames.chunks(7) {
        assert_eq!(server.receive(&mut Input::new(&mut piece.to_vec()), &mut output), None);
    }
    server.accept(request, &mut output);
    (server, output)
}

/// Asserts that early data is delivered before the end of the stream.
#[track_caller]
fn assert_delivered_before_the_end(mut server: Connection, size: usize, message: &[u8], code: u16) {
    let (mut received, mut gone) = (Received::default(), std::iter::repeat_with(|| server.receive_eof()));
    while let Some(Some(event)) = gone.next() {
        received.note(event, [].as_ptr_range());
    }
    assert!(received.messages(size) == [message]);
    assert_eq!(received.closed().code(), code);
    assert_eq!(received.others.len(), 1);
}

#[test]
fn early_data_is_delivered_before_the_end() {
    let message: Frames<'_> = &[(0x01, b"sent "), (0x00, b"much too"), (0x80, b" early")];
    for (end, code) in [(vec![], 1006), (vec![(0x88, &b"\x03\xe8"[..])], 1000)] {
        let frames = from_peer_of(Role::Server, &[message, &end].concat());
        let config = Config::new().part_size(SMALLEST);
        let (server, _) = sent_ahead(config.clone(), REQUEST, &frames);
        assert_delivered_before_the_end(server, SMALLEST, b"sent much too early", code);
        let (mut server, mut output) = sent_ahead(config, REQUEST, &frames);
        let mut received = Received::default();
        while let Some(event) = server.receive(&mut Input::default(), &mut output) {
            received.note(event, [].as_ptr_range());
        }
        assert_eq!(received.messages(SMALLEST), [b"sent much too early"]);
        assert_eq!(received.others.len(), end.len());
    }
}
