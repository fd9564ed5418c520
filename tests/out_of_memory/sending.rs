//! Sending without memory: an error, nothing in the output, and the connection continues.

use bytes::Buf;
use websocket_proto::{
    Config, Connection, Deflate, Event, MessageKind, Output, PreparedMessage, Role, SendError, State,
};

use crate::shared::allocator::{Failing, has_failed, plan, under};
use crate::shared::data::noise;
use crate::shared::wired::{ROLES, drain, receive};
use crate::{CODEC, MODES, Mode, assert_passes, at_each_allocation, at_first_allocations, open, verse};

const BEFORE: &str = "a message before, a message before, a message before";
const AFTER: &str = "a message after, a message before, a message after";

/// The message that is sent while memory fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Text,
    /// Data that no compressor makes shorter.
    Noise,
    FirstFragment,
    NextFragment,
    LastFragment,
    OnlyFragment,
    PreparedMessage,
}

const WAYS: [Way; 7] = [
    Way::Text,
    Way::Noise,
    Way::FirstFragment,
    Way::NextFragment,
    Way::LastFragment,
    Way::OnlyFragment,
    Way::PreparedMessage,
];

/// Two connections of the same role, which send to one output, and their peers.
struct Stage {
    way: Way,
    ws: Connection,
    peer: Connection,
    neighbour: Connection,
    its_peer: Connection,
    output: Output,
    back: Output,
    payload: Vec<u8>,
    prepared: PreparedMessage,
}

impl Stage {
    fn new(way: Way, role: Role, deflate: &Deflate, is_warm: bool) -> Self {
        let config = Config::new();
        let ([ws, peer], [neighbour, its_peer]) = (open(role, deflate, &config), open(role, deflate, &config));
        let payload = if way == Way::Noise { noise(50_000, 1) } else { verse().into_bytes() };
        let (output, back, prepared) = (Output::new(), Output::new(), PreparedMessage::text(&verse()));
        let mut stage = Self { way, ws, peer, neighbour, its_peer, output, back, payload, prepared };
        if is_warm {
            stage.check_passing(BEFORE);
        }
        if matches!(way, Way::NextFragment | Way::LastFragment) {
            let payload = stage.payload.clone();
            stage.ws.send_fragment(MessageKind::Text, &payload[..30], false, &mut stage.output).unwrap();
        }
        stage
    }

    fn act(&mut self) -> Result<(), SendError> {
        let Self { way, ws, output, payload, .. } = self;
        let text = || std::str::from_utf8(payload).unwrap();
        match way {
            Way::Text => ws.send_text(text(), output),
            Way::Noise => ws.send_binary(payload, output),
            Way::FirstFragment => ws.send_fragment(MessageKind::Text, &payload[..30], false, output),
            Way::NextFragment => ws.send_fragment(MessageKind::Text, &payload[30..400], false, output),
            Way::LastFragment => ws.send_fragment(MessageKind::Text, &payload[30..], true, output),
            Way::OnlyFragment => ws.send_fragment(MessageKind::Text, payload, true, output),
            Way::PreparedMessage => ws.send_prepared(&self.prepared, output),
        }
    }

    /// Sends the rest of the message.
    fn finish(&mut self) {
        let sent = match self.way {
            Way::FirstFragment => 30,
            Way::NextFragment => 400,
            _ => return,
        };
        self.ws.send_fragment(MessageKind::Text, &self.payload[sent..], true, &mut self.output).unwrap();
    }

    /// The number of allocations that may fail.
    fn allocations(&self) -> usize {
        // A compressor, the compressed data, the frame, and its buffer; `Bytes` allocates its reference count itself.
        if self.way == Way::PreparedMessage && self.ws.role() == Role::Server { 4 } else { usize::MAX }
    }

    fn message(&self) -> Event<'static> {
        match self.way {
            Way::Noise => Event::Binary(self.payload.clone().into()),
            _ => Event::Text(String::from_utf8(self.payload.clone()).unwrap().into()),
        }
    }

    /// Asserts that a message passes over each of the two connections.
    #[track_caller]
    fn check_passing(&mut self, text: &str) {
        let Self { ws, peer, neighbour, its_peer, output, back, .. } = self;
        assert_passes(text, [&mut *ws, peer], [output, back]);
        assert_passes(text, [neighbour, its_peer], [output, back]);
    }
}

/// Calls `check` with every way, role and mode, with existing compressors and without.
fn every_stage(check: impl Fn(&dyn Fn() -> Stage, &str)) {
    for (way, role) in WAYS.into_iter().flat_map(|way| ROLES.map(|role| (way, role))) {
        for (mode, is_warm) in MODES.into_iter().flat_map(|mode| [false, true].map(|is_warm| (mode, is_warm))) {
            let make = || Stage::new(way, role, &mode.deflate(), is_warm);
            check(&make, &format!("{way:?} by {role:?}, {mode:?}, warm: {is_warm}"));
        }
    }
}

fn waiting(output: &Output) -> Vec<u8> {
    assert_eq!(output.chunk().len(), output.len());
    output.chunk().to_vec()
}

/// Acts while these allocations fail, and asserts that a failure has no effect. Returns whether one failed.
fn fail(stage: &mut Stage, failing: Failing, what: &str) -> bool {
    let (waiting_before, sent_before) = (waiting(&stage.output), stage.ws.counters().sent);
    plan(failing);
    let result = under(|| stage.act());
    if !has_failed() {
        assert_eq!(result, Ok(()), "{what}");
        return false;
    }
    assert_eq!(result, Err(SendError::OutOfMemory), "{what}, {failing:?}");
    assert!(waiting(&stage.output) == waiting_before, "{what}, {failing:?}: something is in the output");
    assert_eq!(stage.ws.counters().sent, sent_before, "{what}, {failing:?}");
    assert_eq!(stage.ws.state(), State::Open);
    true
}

#[test]
fn a_failed_message_can_be_sent_again() {
    every_stage(|make, what| {
        let failures = at_first_allocations(make().allocations(), |failing| {
            let mut stage = make();
            if !fail(&mut stage, failing, what) {
                return false;
            }
            stage.act().unwrap();
            stage.finish();
            let events = receive(&mut stage.peer, &drain(&mut stage.output), &mut stage.back);
            assert!(events == [stage.message()], "{what}, {failing:?}: the peer got {events:?}");
            stage.check_passing(AFTER);
            true
        });
        // With a compressor and a buffer, no allocation is necessary.
        assert!(failures > 0 || what.ends_with("true"), "{what}: no allocation failed");
    });
}

#[test]
fn another_message_can_be_sent_after_a_failure() {
    every_stage(|make, what| {
        at_first_allocations(make().allocations(), |failing| {
            let mut stage = make();
            if !fail(&mut stage, failing, what) {
                return false;
            }
            let Stage { way, ws, peer, output, back, .. } = &mut stage;
            let instead = match way {
                // The message in progress continues with another fragment.
                Way::NextFragment | Way::LastFragment => {
                    ws.send_fragment(MessageKind::Text, AFTER.as_bytes(), true, output).unwrap();
                    format!("{}{AFTER}", &verse()[..30])
                }
                _ => {
                    ws.send_text_uncompressed(AFTER, output).unwrap();
                    AFTER.to_owned()
                }
            };
            let events = receive(peer, &drain(output), back);
            assert!(events == [Event::Text(instead.into())], "{what}, {failing:?}: the peer got {events:?}");
            stage.check_passing(AFTER);
            true
        });
    });
}

/// A failed connection returns the shared compressor, and an idle server has nothing on the heap.
#[test]
fn a_failed_connection_returns_the_shared_compressor() {
    for role in ROLES {
        let failures = at_each_allocation(|failing| {
            let mut stage = Stage::new(Way::Noise, role, &Mode::Shared.deflate(), true);
            if !fail(&mut stage, failing, "shared") {
                return false;
            }
            plan(Failing::Large(CODEC));
            let sent = under(|| stage.neighbour.send_text(BEFORE, &mut stage.output));
            assert!(!has_failed() && sent == Ok(()), "{failing:?}: {sent:?}");
            true
        });
        assert!(failures > 0);
    }
}

/// For a connection that agreed on another window, a shared compressor is made again, or not at all.
#[test]
fn a_shared_compressor_with_another_window_is_replaced_or_kept() {
    let other = Mode::Shared.deflate().window_bits(10);
    let failures = at_each_allocation(|failing| {
        let mut stage = Stage::new(Way::Text, Role::Server, &Mode::Shared.deflate(), true);
        let [mut third, mut its_peer] = open(Role::Server, &other, &Config::new());
        assert_passes(BEFORE, [&mut third, &mut its_peer], [&mut stage.output, &mut stage.back]);
        if !fail(&mut stage, failing, "another window") {
            return false;
        }
        stage.check_passing(AFTER);
        assert_passes(AFTER, [&mut third, &mut its_peer], [&mut stage.output, &mut stage.back]);
        true
    });
    assert!(failures > 0);
}

/// A shared compressor forgets a fragmented message that failed: another connection's message does not refer to it.
#[test]
fn no_message_refers_to_a_failed_message_of_another_connection() {
    let secret = "the secret of one connection, which no other may refer to: 0123456789 abcdefghij";
    for role in ROLES {
        let failures = at_each_allocation(|failing| {
            let (deflate, config) = (Mode::Shared.deflate(), Config::new());
            let ([mut ws, _], [mut neighbour, mut its_peer]) =
                (open(role, &deflate, &config), open(role, &deflate, &config));
            let (mut output, mut back) = (Output::new(), Output::new());
            ws.send_fragment(MessageKind::Text, secret.as_bytes(), false, &mut output).unwrap();
            drain(&mut output);
            plan(failing);
            let sent = under(|| ws.send_fragment(MessageKind::Text, &[b'x'; 5000], false, &mut output));
            if !has_failed() {
                return false;
            }
            assert_eq!(sent, Err(SendError::OutOfMemory), "{failing:?}");
            assert_passes(secret, [&mut neighbour, &mut its_peer], [&mut output, &mut back]);
            true
        });
        assert!(failures > 0);
    }
}

/// A failed send does not disturb a message that is being received, whichever output the send uses.
#[test]
fn a_failed_send_does_not_disturb_a_received_message() {
    let text = "a message in two halves, a message in two halves";
    for role in ROLES {
        at_each_allocation(|failing| {
            let [mut ws, mut peer] = open(role, &Mode::Shared.deflate(), &Config::new());
            let (mut output, mut other) = (Output::new(), Output::new());
            let mut from_peer = Output::new();
            peer.send_text(text, &mut from_peer).unwrap();
            let mut first = drain(&mut from_peer);
            let second = first.split_off(first.len() / 2);
            assert_eq!(receive(&mut ws, &first, &mut output), []);
            plan(failing);
            let sent = under(|| ws.send_text(text, &mut other));
            let failed = has_failed();
            assert_eq!(sent.is_err(), failed, "{failing:?}");
            assert_eq!(receive(&mut ws, &second, &mut output), [Event::Text(text.into())], "{failing:?}");
            failed
        });
    }
}
