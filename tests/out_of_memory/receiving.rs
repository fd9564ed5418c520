//! Receiving without memory: earlier messages are delivered, the peer gets a Close, and the last event has the cause.

use websocket_proto::{CloseStatus, Config, Connection, ConnectionError, Event, Input, MessageKind, Output, Role};

use crate::shared::allocator::{Failing, has_failed, plan, under};
use crate::shared::data::noise;
use crate::shared::wired::{ROLES, drain};
use crate::{CODEC, MODES, Mode, assert_passes, at_each_allocation, open, verse};

const BEFORE: &str = "a message before";

/// The message that is received while memory fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Compressed.
    Text,
    Noise,
    Fragments,
    /// Uncompressed, cut by a read.
    PlainText,
    PlainBinary,
}

const WAYS: [Way; 5] = [Way::Text, Way::Noise, Way::Fragments, Way::PlainText, Way::PlainBinary];

/// The sizes of the pieces in which a message arrives, and of the parts in which it is delivered.
const SIZES: [(usize, usize); 5] = [(usize::MAX, 0), (100, 0), (1, 0), (100, 50), (7, 13)];

/// Sends the message after a short one, and returns it.
fn send(way: Way, peer: &mut Connection, output: &mut Output) -> (MessageKind, Vec<u8>) {
    let (text, noise) = (verse(), noise(600, 1));
    peer.send_text_uncompressed(BEFORE, output).unwrap();
    match way {
        Way::Text => peer.send_text(&text, output).unwrap(),
        Way::Noise => peer.send_binary(&noise, output).unwrap(),
        Way::Fragments => {
            for fragment in text.as_bytes().chunks(100) {
                peer.send_fragment(MessageKind::Text, fragment, false, output).unwrap();
            }
            peer.send_fragment(MessageKind::Text, b"", true, output).unwrap();
        }
        Way::PlainText => peer.send_text_uncompressed(&text, output).unwrap(),
        Way::PlainBinary => peer.send_binary_uncompressed(&noise, output).unwrap(),
    }
    match way {
        Way::Noise | Way::PlainBinary => (MessageKind::Binary, noise),
        _ => (MessageKind::Text, text.into_bytes()),
    }
}

struct Stage {
    ws: Connection,
    peer: Connection,
    neighbour: Connection,
    its_peer: Connection,
    output: Output,
    bytes: Vec<u8>,
    message: (MessageKind, Vec<u8>),
}

impl Stage {
    fn new(way: Way, role: Role, mode: Mode, part_size: usize, is_warm: bool) -> Self {
        let config = if part_size > 0 { Config::new().part_size(part_size) } else { Config::new() };
        let [ws, peer] = open(role, &mode.deflate(), &config);
        let [neighbour, its_peer] = open(role, &mode.deflate(), &Config::new());
        let (bytes, message) = (Vec::new(), (MessageKind::Text, Vec::new()));
        let mut stage = Self { ws, peer, neighbour, its_peer, output: Output::new(), bytes, message };
        let mut sent = Output::new();
        if is_warm {
            stage.check_neighbour();
            // Longer than the later answers, so that they find a buffer.
            stage.neighbour.ping(&[7; 125], &mut stage.output).unwrap();
            drain(&mut stage.output);
        }
        stage.message = send(way, &mut stage.peer, &mut sent);
        stage.bytes = drain(&mut sent);
        stage
    }

    fn check_neighbour(&mut self) {
        let text = verse();
        assert_passes(&text, [&mut self.its_peer, &mut self.neighbour], [&mut Output::new(), &mut self.output]);
    }
}

/// The result, recorded without allocations.
#[derive(Default)]
struct Outcome {
    texts: usize,
    /// The number of message bytes, and whether they were its first ones.
    len: usize,
    is_prefix: bool,
    messages: usize,
    error: Option<ConnectionError>,
    status: Option<CloseStatus>,
    after: usize,
}

fn receive(stage: &mut Stage, piece: usize) -> Outcome {
    let Stage { ws, output, bytes, message, .. } = stage;
    let mut outcome = Outcome { is_prefix: true, ..Outcome::default() };
    for piece in bytes.chunks_mut(piece) {
        let mut input = Input::new(piece);
        while let Some(event) = under(|| ws.receive(&mut input, output)) {
            if outcome.status.is_some() {
                outcome.after += 1;
            }
            let (kind, bytes, last): (_, &[u8], bool) = match &event {
                Event::Text(text) => (MessageKind::Text, text.as_bytes(), true),
                Event::Binary(data) => (MessageKind::Binary, data, true),
                Event::TextPart { text, last, .. } => (MessageKind::Text, text.as_bytes(), *last),
                Event::BinaryPart { data, last, .. } => (MessageKind::Binary, data, *last),
                Event::Closed(closed) => {
                    (outcome.error, outcome.status) = (closed.error().cloned(), Some(closed.status()));
                    continue;
                }
                event => panic!("{event:?}"),
            };
            if outcome.texts < BEFORE.len() {
                outcome.is_prefix &= BEFORE.as_bytes()[outcome.texts..].starts_with(bytes);
                outcome.texts += bytes.len();
                continue;
            }
            outcome.is_prefix &= kind == message.0 && message.1[outcome.len..].starts_with(bytes);
            outcome.len += bytes.len();
            outcome.messages += usize::from(last);
        }
        assert!(input.is_empty(), "None means that every byte was consumed");
    }
    outcome
}

/// The code of the Close, which must be the only frame, if there is one.
fn close_code(role: Role, frame: &[u8]) -> Option<u16> {
    match (role, frame) {
        (_, []) => None,
        (Role::Server, [0x88, 2, high, low]) => Some(u16::from_be_bytes([*high, *low])),
        (Role::Client, [0x88, 0x82, key @ .., _, _, high, low]) if key.len() == 2 => {
            Some(u16::from_be_bytes([high ^ key[0], low ^ key[1]]))
        }
        _ => panic!("{frame:x?}"),
    }
}

/// Returns whether memory failed.
fn check(way: Way, mut stage: Stage, piece: usize, failing: Failing, is_warm: bool, what: &str) -> bool {
    let role = stage.ws.role();
    plan(failing);
    let outcome = receive(&mut stage, piece);
    let has_failed = has_failed();
    let Outcome { texts, len, is_prefix, messages, error, status, after } = outcome;
    assert!(is_prefix && after == 0, "{what}, {failing:?}: another event");
    let answer = drain(&mut stage.output);
    // Without memory, the fast path leaves the message to the full parser, which tries to allocate again.
    let is_asked_again = matches!(way, Way::PlainText | Way::PlainBinary) && failing == Failing::Once(0);
    if has_failed && !(is_asked_again && error.is_none()) {
        assert_eq!(error, Some(ConnectionError::OutOfMemory), "{what}, {failing:?}");
        assert_eq!(status, Some(CloseStatus::Abnormal));
        assert!(stage.ws.is_closed() && messages == 0, "{what}, {failing:?}");
        let told = close_code(role, &answer);
        // Without memory for a Close, nothing can be sent.
        let may_be_silent = matches!(failing, Failing::From(_)) && !is_warm;
        assert!(told == Some(1011) || told.is_none() && may_be_silent, "{what}, {failing:?}: {answer:x?}");
        let mut rest = [0x81, 0];
        let mut input = Input::new(&mut rest);
        assert_eq!(stage.ws.receive(&mut input, &mut stage.output), None);
        assert_eq!((stage.ws.receive_eof(), input.len(), stage.output.len()), (None, 0, 0));
    } else {
        assert_eq!((texts, messages, len), (BEFORE.len(), 1, stage.message.1.len()), "{what}");
        assert!(answer.is_empty() && status.is_none());
    }
    stage.check_neighbour();
    has_failed
}

#[test]
fn the_connection_ends_with_an_error() {
    for (way, role) in WAYS.into_iter().flat_map(|way| ROLES.map(|role| (way, role))) {
        let is_plain = matches!(way, Way::PlainText | Way::PlainBinary);
        let modes = &MODES[..if is_plain { 1 } else { 3 }];
        for (mode, is_warm) in modes.iter().flat_map(|mode| [false, true].map(|is_warm| (*mode, is_warm))) {
            for (piece, part) in SIZES {
                let what =
                    format!("{way:?} to {role:?}, {mode:?}, warm: {is_warm}, in pieces of {piece}, parts of {part}");
                let failures = at_each_allocation(|failing| {
                    let stage = Stage::new(way, role, mode, part, is_warm);
                    check(way, stage, piece, failing, is_warm, &what)
                });
                // A whole uncompressed message is borrowed from the input.
                let is_lent = is_plain && (piece == usize::MAX || part > 0);
                assert!(failures > 0 || is_lent, "{what}: no allocation failed");
            }
        }
    }
}

/// A failed connection returns a shared decompressor, ready for use.
#[test]
fn a_failed_connection_returns_the_shared_decompressor() {
    for role in ROLES {
        let failures = at_each_allocation(|failing| {
            let mut stage = Stage::new(Way::Text, role, Mode::Shared, 0, true);
            let mut sent = Output::new();
            stage.its_peer.send_text("Hello, Hello, Hello", &mut sent).unwrap();
            plan(failing);
            let outcome = receive(&mut stage, 100);
            if !has_failed() {
                return false;
            }
            assert_eq!(outcome.error, Some(ConnectionError::OutOfMemory));
            let mut bytes = drain(&mut sent);
            let mut input = Input::new(&mut bytes);
            plan(Failing::Large(CODEC));
            let event = under(|| stage.neighbour.receive(&mut input, &mut stage.output));
            assert!(
                !has_failed() && event == Some(Event::Text("Hello, Hello, Hello".into())),
                "{failing:?}: {event:?}"
            );
            true
        });
        assert!(failures > 0);
    }
}
