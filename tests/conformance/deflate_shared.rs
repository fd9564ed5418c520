//! Connections that share a compressor and a decompressor (`Deflate::shared`): no data of one appears at another,
//! wherever one pauses while the other continues.

use websocket_proto::{Config, Connection, Deflate, Event, Input, MessageKind, Output, Role};

use crate::deflate::{Reader, Writer, extensions};
use crate::harness::{REQUEST, client_for_response, drain, frames, from_peer_of, server_for_request};
use crate::http::add;
use crate::rows;
use crate::shared::wired::ROLES;

const FRESH: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// An open connection that delivers parts of this size; 0 for whole messages.
fn open(role: Role, part_size: usize) -> Connection {
    let config = Config::new().deflate(Deflate::new().threshold(0).shared());
    let config = if part_size > 0 { config.part_size(part_size) } else { config };
    let line = extensions(FRESH);
    let ws = if role == Role::Server {
        server_for_request(config, &add(REQUEST, &line))
    } else {
        client_for_response(config, &line)
    };
    assert!(ws.uses_deflate());
    ws
}

/// A connection, and the received bytes of its message in progress.
struct Receiver {
    ws: Connection,
    message: Vec<u8>,
    ended: usize,
}

impl Receiver {
    fn new(role: Role, part_size: usize) -> Self {
        Self { ws: open(role, part_size), message: Vec::new(), ended: 0 }
    }

    #[track_caller]
    fn feed(&mut self, bytes: &[u8], output: &mut Output) {
        let mut bytes = bytes.to_vec();
        let mut input = Input::new(&mut bytes);
        while let Some(event) = self.ws.receive(&mut input, output) {
            let (bytes, last): (&[u8], bool) = match &event {
                Event::Text(text) => (text.as_bytes(), true),
                Event::Binary(data) => (data, true),
                Event::TextPart { text, last, .. } => (text.as_bytes(), *last),
                Event::BinaryPart { data, last, .. } => (data, *last),
                event => panic!("{event:?}"),
            };
            self.message.extend_from_slice(bytes);
            self.ended += usize::from(last);
        }
        assert!(input.is_empty(), "rule 1: None means that every byte was consumed");
    }

    #[track_caller]
    fn assert_received(&self, message: &[u8], what: &str) {
        assert!(self.message == message && self.ended == 1, "{what}: {:x?}", String::from_utf8_lossy(&self.message));
        assert!(!self.ws.is_closed(), "{what}");
    }
}

/// The first byte and the payload of each frame.
type Frames<'f> = &'f [(u8, &'f [u8])];

/// Messages that refer to themselves, in one frame and in several, with their contents.
fn messages(role: Role) -> [(Vec<u8>, Vec<u8>); 4] {
    let first = Writer::default().fixed(false).literals(b"alpha").three_from(3).three_from(5).end().message();
    let second = Writer::default().fixed(false).literals(b"BRAVO-").three_from(6).three_from(1).end().message();
    let stored = Writer::default().stored(false, b"charlie").fixed(true).three_from(7).end_last().message();
    let (start, end) = first.split_at(4);
    let frames: [(Frames<'_>, &[u8]); 4] = [
        (&[(0xc1, &first)], &first),
        (&[(0xc2, &second)], &second),
        (&[(0x41, start), (0x00, b""), (0x80, end)], &first),
        (&[(0xc1, &stored)], &stored),
    ];
    frames.map(|(frames, payload)| (from_peer_of(role, frames), Reader::default().message(payload)))
}

/// Two connections take turns, at every cut of one message and every cut of the other.
#[test]
fn two_interleaved_messages_arrive_at_every_pair_of_cuts() {
    rows!("7692-7.2.2-3", "7692-7.2.2-5", "7692-6-8");
    for (role, part_size) in ROLES.into_iter().flat_map(|role| [0, 4, 7].map(|size| (role, size))) {
        let messages = messages(role);
        for (one, other) in (0..4).flat_map(|one| (0..4).map(move |other| (one, other))) {
            let ((one, its_text), (other, its_own)) = (&messages[one], &messages[other]);
            let cuts = (0..=one.len()).step_by(2).flat_map(|cut| (0..=other.len()).step_by(3).map(move |at| (cut, at)));
            for (cut, at) in cuts {
                let what = format!("{role:?}, parts of {part_size}, cut at {cut} and {at}");
                let (mut first, mut second) = (Receiver::new(role, part_size), Receiver::new(role, part_size));
                let mut output = Output::new();
                first.feed(&one[..cut], &mut output);
                second.feed(&other[..at], &mut output);
                first.feed(&one[cut..], &mut output);
                second.feed(&other[at..], &mut output);
                first.assert_received(its_text, &what);
                second.assert_received(its_own, &what);
            }
        }
    }
}

/// Three connections receive a byte each in turn; one of them goes away in the middle of its message.
#[test]
fn three_messages_arrive_byte_by_byte_in_turns() {
    rows!("7692-7.2.2-3", "7692-7.2.2-5");
    for (role, part_size) in ROLES.into_iter().flat_map(|role| [0, 5].map(|size| (role, size))) {
        let messages = messages(role);
        let mut output = Output::new();
        let mut receivers: Vec<_> = messages.iter().map(|_| Receiver::new(role, part_size)).collect();
        let mut leaving = Receiver::new(role, part_size);
        leaving.feed(&messages[0].0[..messages[0].0.len() - 2], &mut output);
        let mut leaving = Some(leaving);
        for index in 0..messages.iter().map(|(bytes, _)| bytes.len()).max().unwrap_or_default() {
            if index == 8 {
                leaving.take();
            }
            for (receiver, (bytes, _)) in receivers.iter_mut().zip(&messages) {
                receiver.feed(bytes.get(index..=index).unwrap_or_default(), &mut output);
            }
        }
        for (receiver, (_, message)) in receivers.iter().zip(&messages) {
            receiver.assert_received(message, &format!("{role:?}, parts of {part_size}"));
        }
    }
}

/// During a message the application reacts to a part with a read of another connection.
#[test]
fn another_connection_can_receive_between_two_parts() {
    rows!("7692-7.2.2-3", "7692-7.2.2-5");
    for role in ROLES {
        let messages = messages(role);
        let (mut first, mut output) = (open(role, 4), Output::new());
        let mut bytes = messages[0].0.clone();
        let (mut input, mut text) = (Input::new(&mut bytes), String::new());
        while let Some(event) = first.receive(&mut input, &mut output) {
            let Event::TextPart { text: part, .. } = event else { panic!("{event:?}") };
            text.push_str(&part);
            for (bytes, message) in &messages {
                let mut other = Receiver::new(role, 0);
                other.feed(bytes, &mut output);
                other.assert_received(message, "between two parts");
            }
        }
        assert_eq!(text.as_bytes(), messages[0].1);
    }
}

/// A connection with an invalid message leaves no data to the next one.
#[test]
fn a_fault_does_not_affect_other_connections() {
    rows!("7692-7.2.2-6", "7692-7.2.2-5");
    let broken: [&[u8]; 4] = [
        b"\xf2\x48\xcd",
        b"\0\x05\0\xfa\xfeHello\0",
        &Writer::default().fixed(false).literals(b"secret").three_from(300).end().message(),
        &Writer::default().fixed(false).literals(b"secret\xff").end().message(),
    ];
    for (role, part_size) in ROLES.into_iter().flat_map(|role| [0, 4].map(|size| (role, size))) {
        for payload in broken {
            let (mut ws, mut output) = (open(role, part_size), Output::new());
            let mut bytes = from_peer_of(role, &[(0xc1, payload)]);
            let mut input = Input::new(&mut bytes);
            let mut last = None;
            while let Some(event) = ws.receive(&mut input, &mut output) {
                last = Some(event.into_owned());
            }
            assert!(matches!(last, Some(Event::Closed(_))), "{last:?}");
            drain(&mut output);
            for (bytes, message) in messages(role) {
                let mut next = Receiver::new(role, part_size);
                next.feed(&bytes, &mut output);
                next.assert_received(&message, &format!("after {payload:x?}"));
            }
        }
    }
}

/// Sends the next fragment, and returns its payload.
fn send(ws: &mut Connection, fragment: &[u8], fin: bool, output: &mut Output) -> Vec<u8> {
    ws.send_fragment(MessageKind::Binary, fragment, fin, output).expect("the connection is open");
    let [(header, payload)] = &frames(&drain(output))[..] else { panic!("one frame") };
    assert_eq!(header.fin, fin);
    payload.clone()
}

/// Fragments of one connection between those of another, and whole messages, with equal and with different contents:
/// nothing refers to data of another connection.
#[test]
fn interleaved_fragments_do_not_refer_to_each_other() {
    rows!("7692-7.1.1.1-6", "7692-7.1.1.2-5", "7692-6-5");
    let words: [&[u8]; 3] = [b"the words of one, the words of one", b"another's words, quite other words", b""];
    for role in ROLES {
        for (one, other) in words.iter().flat_map(|one| words.iter().map(move |other| (*one, *other))) {
            let (mut first, mut second, mut third) = (open(role, 0), open(role, 0), open(role, 0));
            let (mut output, mut sent) = (Output::new(), [const { Vec::new() }; 2]);
            for fin in [false, false, true] {
                sent[0].extend(send(&mut first, one, fin, &mut output));
                third.send_binary(one, &mut output).expect("the connection is open");
                let whole = frames(&drain(&mut output)).remove(0).1;
                assert_eq!(Reader::default().message(&whole), one, "a whole message in between");
                sent[1].extend(send(&mut second, other, fin, &mut output));
            }
            for (payload, words) in sent.iter().zip([one, other]) {
                let message = Reader::default().message(payload);
                assert_eq!(message, words.repeat(3), "{role:?}");
            }
        }
    }
}

/// The bytes that a connection sends do not depend on others' messages: their length would reveal something of these.
#[test]
fn a_messages_length_does_not_depend_on_other_connections() {
    rows!("7692-8-1", "7692-7.1.1.1-6");
    let secret = "a secret of some length, and another one";
    for role in ROLES {
        let alone = {
            let (mut ws, mut output) = (open(role, 0), Output::new());
            ws.send_text(secret, &mut output).expect("the connection is open");
            frames(&drain(&mut output)).remove(0).1
        };
        for fragments in [&[secret][..], &["a secret of", " some length"], &[]] {
            let (mut other, mut ws, mut output) = (open(role, 0), open(role, 0), Output::new());
            for (index, fragment) in fragments.iter().enumerate() {
                // The last message may be incomplete.
                let fin = fragments.len() == 1 && index == 0;
                send(&mut other, fragment.as_bytes(), fin, &mut output);
            }
            ws.send_text(secret, &mut output).expect("the connection is open");
            assert_eq!(frames(&drain(&mut output)).remove(0).1, alone, "{role:?}, after {fragments:?}");
        }
    }
}
