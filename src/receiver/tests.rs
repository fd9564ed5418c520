//! The results of a `Receiver` alone: there is no `Output` and no `Connection` here.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use super::*;
use crate::error::Fault;
use crate::frame::{FIN, FrameHeader, Opcode};
use crate::input::Input;
use crate::mask::apply_mask;

type State = Option<Box<ReceiverState>>;

/// A receiver whose peer masks its frames or does not, and its state.
fn start(expects_mask: bool, config: &Config) -> (Receiver, State) {
    let mut receiver = Receiver::new(expects_mask, config);
    receiver.start(0, None);
    (receiver, None)
}

/// A frame, and the length of its header.
fn frame(is_masked: bool, first: u8, payload: &[u8]) -> (Vec<u8>, usize) {
    let mask = is_masked.then_some([1, 2, 3, 4]);
    let opcode = Opcode::new(first & 0xf).expect("a known opcode");
    let header =
        FrameHeader { fin: first & FIN != 0, rsv: 0, opcode, mask, payload_len: payload.len() as u64 }.encode();
    let mut frame = [header.as_ref(), payload].concat();
    apply_mask(mask.unwrap_or_default(), &mut frame[header.as_ref().len()..]);
    (frame, header.as_ref().len())
}

/// Received, with payloads that are independent of the input.
#[derive(Debug, PartialEq)]
enum Item {
    Message(Event<'static>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Vec<u8>),
}

/// Receives pieces as a connection does, with the fast path first, or by the full parser alone.
fn receive(
    receiver: &mut Receiver,
    state: &mut State,
    pieces: &[&[u8]],
    with_fast_path: bool,
) -> (Vec<Item>, Option<Fault>) {
    let mut items = Vec::new();
    for piece in pieces {
        let mut bytes = piece.to_vec();
        let mut input = Input::new(&mut bytes);
        loop {
            let step = receive_next(receiver, state, &mut input, with_fast_path);
            match step {
                Ok(Some(item)) => items.push(item),
                Ok(None) => break,
                Err(fault) => return (items, Some(fault)),
            }
        }
        assert!(input.is_empty(), "`None` means that every byte is consumed");
    }
    (items, None)
}

fn receive_next(
    receiver: &mut Receiver,
    state: &mut State,
    input: &mut Input<'_>,
    with_fast_path: bool,
) -> Result<Option<Item>, Fault> {
    if with_fast_path
        && receiver.is_at_message_start(state)
        && let Some(event) = receiver.take_message(state, input)
    {
        return Ok(Some(Item::Message(event.into_owned())));
    }
    if with_fast_path && receiver.is_reassembling() {
        if receiver.append_short_read(state, input) {
            return Ok(None);
        }
        if let Some(event) = receiver.continue_message(state, input)? {
            return Ok(Some(Item::Message(event.into_owned())));
        }
    }
    let received = receiver.receive(state, input, &mut None)?;
    Ok(received.map(|received| match received {
        Received::Message(event) => Item::Message(event.into_owned()),
        Received::Ping(payload) => Item::Ping(payload.into_owned()),
        Received::Pong(payload) => Item::Pong(payload.into_owned()),
        Received::Close(payload) => Item::Close(payload.into_owned()),
    }))
}

/// A stream with every kind of frame, and the results.
fn session(is_masked: bool) -> (Vec<u8>, Vec<Item>) {
    let frames = [
        (0x81, &b"whole"[..]),
        (0x82, &[0xff; 130]),
        (0x01, "cut ins\u{20ac}".as_bytes()),
        (0x89, b"ping"),
        (0x00, b""),
        (0x8a, b""),
        (0x80, b"ide"),
        (0x81, b""),
        (0x88, b"\x03\xe8bye"),
    ];
    let stream = frames.iter().flat_map(|(first, payload)| frame(is_masked, *first, payload).0).collect();
    let items = vec![
        Item::Message(Event::Text("whole".into())),
        Item::Message(Event::Binary(vec![0xff; 130].into())),
        Item::Ping(b"ping".to_vec()),
        Item::Pong(Vec::new()),
        Item::Message(Event::Text("cut ins\u{20ac}ide".into())),
        Item::Message(Event::Text("".into())),
        Item::Close(b"\x03\xe8bye".to_vec()),
    ];
    (stream, items)
}

#[test]
fn any_split_gives_the_same_results_with_and_without_the_fast_path() {
    for is_masked in [true, false] {
        let (stream, items) = session(is_masked);
        for with_fast_path in [true, false] {
            for cut in 0..=stream.len() {
                let (mut receiver, mut state) = start(is_masked, &Config::new());
                let (first, second) = stream.split_at(cut);
                let (received, fault) = receive(&mut receiver, &mut state, &[first, second], with_fast_path);
                assert_eq!((&received, fault), (&items, None), "cut at {cut}, fast path {with_fast_path}");
                assert_eq!(receiver.position(), stream.len() as u64);
                assert!(receiver.is_at_message_start(&state) && state.is_none_or(|state| state.is_empty()));
            }
            let bytes: Vec<&[u8]> = stream.chunks(1).collect();
            let (mut receiver, mut state) = start(is_masked, &Config::new());
            let (received, fault) = receive(&mut receiver, &mut state, &bytes, with_fast_path);
            assert_eq!((&received, fault), (&items, None), "byte by byte, fast path {with_fast_path}");
        }
    }
}

/// Both readings of each header rule reject the same headers.
#[test]
fn both_parsers_have_the_same_rules() {
    let config = Config::new().max_message_size(1000).max_frame_size(500).max_fragments(2);
    for is_masked in [true, false] {
        for (first, payload, kind) in [
            (0x81, &[b'x'; 500][..], None),
            (0x81, &[b'x'; 501], Some(ProtocolErrorKind::FrameTooBig)),
            (0x81, &[b'x'; 1001], Some(ProtocolErrorKind::MessageTooBig)),
            (0x80, b"continuation", Some(ProtocolErrorKind::UnexpectedContinuation)),
        ] {
            for with_fast_path in [true, false] {
                let (mut receiver, mut state) = start(is_masked, &config);
                let (bytes, _) = frame(is_masked, first, payload);
                let (_, fault) = receive(&mut receiver, &mut state, &[&bytes], with_fast_path);
                assert_eq!(fault, kind.map(|kind| Fault::Peer(ProtocolError { kind, offset: 0 })), "{first:x}");
            }
        }
        let (other, _) = frame(!is_masked, 0x81, b"masked or not, as it must not be");
        let kind = if is_masked { ProtocolErrorKind::NotMasked } else { ProtocolErrorKind::Masked };
        for with_fast_path in [true, false] {
            let (mut receiver, mut state) = start(is_masked, &config);
            let (_, fault) = receive(&mut receiver, &mut state, &[&other], with_fast_path);
            assert_eq!(fault, Some(Fault::Peer(ProtocolError { kind, offset: 0 })));
        }
    }
}

#[test]
fn fast_path_takes_complete_messages() {
    for (is_masked, len) in every([0, 1, 125, 126, 1000, 65_535]) {
        let payload = "a".repeat(len);
        // The longest that is allowed.
        let (mut receiver, mut state) = start(is_masked, &Config::new().max_message_size(len).max_frame_size(len));
        for (first, event) in
            [(0x81, Event::Text(Cow::Borrowed(&*payload))), (0x82, Event::Binary(Cow::Borrowed(payload.as_bytes())))]
        {
            let (mut bytes, _) = frame(is_masked, first, payload.as_bytes());
            let mut input = Input::new(&mut bytes);
            assert_eq!(receiver.take_message(&mut state, &mut input), Some(event));
            assert!(input.is_empty() && state.is_none() && receiver.is_at_message_start(&state));
        }
    }
}

#[test]
fn fast_path_ignores_fragments_and_control_frames() {
    for is_masked in [true, false] {
        for (bytes, _) in [
            frame(is_masked, 0x82, &[0; 1001]),
            frame(is_masked, 0x01, b"a fragment"),
            frame(is_masked, 0x80, b"a continuation"),
            frame(is_masked, 0x89, b"a ping"),
            frame(!is_masked, 0x81, b"a wrong mask bit"),
        ] {
            let (mut receiver, mut state) = start(is_masked, &Config::new().max_message_size(1000));
            let mut read = bytes.clone();
            let mut input = Input::new(&mut read);
            assert_eq!(receiver.take_message(&mut state, &mut input), None);
            assert_eq!((input.into_rest(), receiver.position()), (&mut bytes.clone()[..], 0));
            assert!(receiver.is_at_message_start(&state));
        }
    }
}

/// A header of more than 2 bytes of length is for the full parser; the payload after it is not.
#[test]
fn a_cut_message_is_reassembled() {
    for (is_masked, len) in every([10, 1000, 70_000]) {
        let (bytes, header) = frame(is_masked, 0x81, "a".repeat(len).as_bytes());
        for cut in 1..header + 5 {
            let (mut receiver, mut state) = start(is_masked, &Config::new());
            assert_eq!(receive(&mut receiver, &mut state, &[&bytes[..cut]], true), (Vec::new(), None));
            assert_eq!(receiver.is_reassembling(), cut > header, "{len} bytes cut at {cut}");
            let (items, fault) = receive(&mut receiver, &mut state, &[&bytes[cut..]], true);
            assert_eq!((items, fault), (vec![Item::Message(Event::Text("a".repeat(len).into()))], None));
            assert!(!receiver.is_reassembling());
        }
    }
}

#[test]
fn the_next_fragment_is_begun_without_the_full_parser() {
    for is_masked in [true, false] {
        for (first, payload, is_begun) in [
            (0x00, &b"more"[..], true),
            (0x80, b"and the last", true),
            (0x80, &[b'x'; 995], true),
            (0x80, &[b'x'; 996], false),
            (0x89, b"a ping", false),
        ] {
            let config = Config::new().max_message_size(1000).max_fragments(2);
            let (mut receiver, mut state) = start(is_masked, &config);
            receive(&mut receiver, &mut state, &[&frame(is_masked, 0x01, b"begun").0], true);
            let (bytes, header) = frame(is_masked, first, payload);
            let mut cut = bytes[..header - 1].to_vec();
            assert!(!receiver.begin_fragment(&state, &mut Input::new(&mut cut)));
            let mut complete = bytes[..header].to_vec();
            let mut input = Input::new(&mut complete);
            let begun = receiver.begin_fragment(&state, &mut input);
            assert_eq!((begun, input.is_empty()), (is_begun, is_begun), "{first:x}");
        }
    }
}

#[test]
fn short_reads_inside_a_payload_are_appended() {
    for (is_masked, first) in every([0x81, 0x82]) {
        let (bytes, header) = frame(is_masked, first, &[b'a'; 100]);
        let (mut receiver, mut state) = start(is_masked, &Config::new());
        receive(&mut receiver, &mut state, &[&bytes[..header + 60]], true);
        let mut append = |payload: Range<usize>| {
            let mut read = bytes[header..][payload].to_vec();
            let mut input = Input::new(&mut read);
            (receiver.append_short_read(&mut state, &mut input), input.len())
        };
        assert_eq!(append(60..76), (false, 16));
        assert_eq!(append(60..75), (true, 0));
        assert_eq!(append(75..76), (true, 0));
        // The end of the message needs a further look.
        assert_eq!(append(76..90), (true, 0));
        assert_eq!(append(90..100), (false, 10));
        assert_eq!((receiver.position(), receiver.is_reassembling()), ((header + 90) as u64, true));
    }
}

fn every<T: Copy>(values: impl IntoIterator<Item = T> + Clone) -> impl Iterator<Item = (bool, T)> {
    [true, false].into_iter().flat_map(move |is_masked| values.clone().into_iter().map(move |value| (is_masked, value)))
}

/// An idle connection has both in 128 bytes with its sender.
#[test]
fn an_idle_receiver_is_small() {
    assert!(size_of::<FrameParser>() <= 16, "{}", size_of::<FrameParser>());
    assert!(size_of::<Receiver>() <= 72, "{}", size_of::<Receiver>());
}
