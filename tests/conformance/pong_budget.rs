//! RFC 6455 §5.5.3: every ping is answered, until more bytes of pongs wait than [`Config::max_pending_pong_bytes`];
//! from then on, the latest ping is.

use bytes::{Buf, Bytes};
use websocket_proto::frame::Opcode;
use websocket_proto::{Config, Connection, Event, Input, MessageKind, Output, Role};

use crate::faults::open;
use crate::harness::{both_roles, drain, frames, from_peer_of};
use crate::rows;
use crate::shared::wired::ROLES;

/// Receives one ping, whose payload is its number, into an output that others may have used before.
fn receive_ping(ws: &mut Connection, number: u32, output: &mut Output) {
    let mut frame = from_peer_of(ws.role(), &[(0x89, &number.to_be_bytes())]);
    let event = ws.receive(&mut Input::new(&mut frame), output);
    assert!(matches!(&event, Some(Event::Ping(payload)) if **payload == number.to_be_bytes()), "{event:?}");
}

/// The length of a pong that answers one of these pings.
fn pong_len(role: Role) -> usize {
    let mut output = Output::new();
    receive_ping(&mut open(role, &Config::new()), 0, &mut output);
    output.len()
}

/// The numbers that the pongs answer, among other frames.
fn pongs(output: &[u8]) -> Vec<u32> {
    let pongs = frames(output).into_iter().filter(|(header, _)| header.opcode == Opcode::Pong);
    pongs.map(|(_, payload)| u32::from_be_bytes(*payload.first_chunk().unwrap())).collect()
}

/// The numbers that the pongs answer; every frame must be a pong.
fn numbers(output: &[u8]) -> Vec<u32> {
    let number = |(header, payload): &(websocket_proto::frame::FrameHeader, Vec<u8>)| {
        assert_eq!(header.opcode, Opcode::Pong);
        u32::from_be_bytes(*payload.first_chunk().unwrap())
    };
    frames(output).iter().map(number).collect()
}

#[test]
fn every_ping_of_a_read_is_answered() {
    rows!("6455-5.5.3-2");
    let pings: Vec<[u8; 1]> = (0..10).map(|number| [number]).collect();
    let frames: Vec<(u8, &[u8])> = pings.iter().map(|payload| (0x89, payload.as_slice())).collect();
    both_roles(&frames, |_, outcome| {
        let answered: Vec<Vec<u8>> = outcome.frames().into_iter().map(|(_, payload)| payload).collect();
        assert_eq!(answered, pings);
    });
}

#[test]
fn a_flood_of_pings_costs_no_more_than_the_budget() {
    const PINGS: u32 = 10_000;
    rows!("6455-5.5.3-2", "6455-10.4-1");
    for role in ROLES {
        let pong_len = pong_len(role);
        for budget in [0, 1, 10 * pong_len, 1000, 16 << 10] {
            let (mut ws, mut output) = (open(role, &Config::new().max_pending_pong_bytes(budget)), Output::new());
            for number in 0..PINGS {
                receive_ping(&mut ws, number, &mut output);
                assert!(output.len() <= budget + pong_len, "{} bytes wait", output.len());
            }
            let answered = numbers(&drain(&mut output));
            let (last, before) = answered.split_last().unwrap();
            assert_eq!(*last, PINGS - 1, "the last pong answers the last ping");
            assert!(before.len() >= budget / pong_len, "pongs within the budget are all sent");
            assert!(before.iter().copied().eq(0..before.len() as u32), "{before:?}");
        }
        let by_default = {
            let (mut ws, mut output) = (open(role, &Config::new()), Output::new());
            (0..PINGS).for_each(|number| receive_ping(&mut ws, number, &mut output));
            output.len()
        };
        assert!((16 << 10..=(16 << 10) + pong_len).contains(&by_default), "{by_default} bytes wait");
    }
}

/// The output without a budget, minus the pongs that later ones replace.
#[test]
fn only_replaced_pongs_are_missing() {
    rows!("6455-5.5.3-2");
    for role in ROLES {
        let run = |budget, every| {
            let (mut ws, mut output) = (open(role, &Config::new().max_pending_pong_bytes(budget)), Output::new());
            for number in 0..300 {
                receive_ping(&mut ws, number, &mut output);
                if number % every == 0 {
                    ws.send_text(&format!("after {number}"), &mut output).unwrap();
                }
            }
            frames(&drain(&mut output))
                .into_iter()
                .map(|(header, payload)| (header.opcode, payload))
                .collect::<Vec<_>>()
        };
        for every in [1, 2, 3, 7, 1000] {
            let all = run(usize::MAX, every);
            for budget in [0, 40, 1000] {
                let some = run(budget, every);
                let mut rest = all.iter();
                assert!(some.iter().all(|frame| rest.any(|other| other == frame)), "out of order");
                let texts = |frames: &[(Opcode, Vec<u8>)]| frames.iter().filter(|(o, _)| *o == Opcode::Text).count();
                assert_eq!(texts(&some), texts(&all));
                assert_eq!(some.last(), all.last());
            }
        }
    }
}

/// A partly written pong cannot be replaced; a whole one can.
#[test]
fn a_partly_written_output_is_never_corrupted() {
    rows!("6455-5.5.3-2");
    for role in ROLES {
        let pong_len = pong_len(role);
        for budget in [0, pong_len, 3 * pong_len] {
            for written in 0..=5 * pong_len {
                let (mut ws, mut output) = (open(role, &Config::new().max_pending_pong_bytes(budget)), Output::new());
                (0..4).for_each(|number| receive_ping(&mut ws, number, &mut output));
                let mut wire = output.copy_to_bytes(written.min(output.len())).to_vec();
                (4..8).for_each(|number| receive_ping(&mut ws, number, &mut output));
                wire.extend(drain(&mut output));
                let answered = numbers(&wire);
                assert!(answered.is_sorted_by(|a, b| a < b), "{answered:?}, {written} bytes written");
                assert_eq!(answered.last(), Some(&7));
            }
        }
    }
}

/// The budget is for waiting pongs: written bytes make room, even if the output is never quite empty.
#[test]
fn written_pongs_do_not_count() {
    rows!("6455-5.5.3-2");
    for role in ROLES {
        let pong_len = pong_len(role);
        let budget = 10 * pong_len;
        let (mut ws, mut output) = (open(role, &Config::new().max_pending_pong_bytes(budget)), Output::new());
        let mut wire = Vec::new();
        for number in 0..100 {
            receive_ping(&mut ws, 2 * number, &mut output);
            receive_ping(&mut ws, 2 * number + 1, &mut output);
            // Leaves one byte in the output.
            wire.extend_from_slice(&output.copy_to_bytes(output.len() - 1));
        }
        wire.extend(drain(&mut output));
        assert!(numbers(&wire).into_iter().eq(0..200), "no more than three pongs ever waited");
    }
}

/// The waiting bytes of the pongs are counted exactly, however many bytes are written.
#[test]
fn waiting_pong_bytes_are_counted_exactly() {
    rows!("6455-5.5.3-2");
    for (role, by_reference) in ROLES.into_iter().flat_map(|role| [(role, false), (role, true)]) {
        let pong_len = pong_len(role);
        for budget in [0, 1, pong_len, 2 * pong_len - 1, 2 * pong_len, 2 * pong_len + 1] {
            for written in 0..4 * pong_len {
                let (mut ws, mut output) = (open(role, &Config::new().max_pending_pong_bytes(budget)), Output::new());
                // Four pongs, separated by messages, so that all of them wait whatever the budget.
                for number in 0..4 {
                    receive_ping(&mut ws, number, &mut output);
                    let message = Bytes::from(vec![7; if by_reference { 16 << 10 } else { 100 }]);
                    ws.send_bytes(MessageKind::Binary, message, &mut output).unwrap();
                }
                // The writer takes `written` bytes of the pongs, and the messages between them.
                let message_len = (output.len() - 4 * pong_len) / 4;
                let mut wire = output.copy_to_bytes(written + written / pong_len * message_len).to_vec();
                let mut waiting = 4 * pong_len - written;
                let mut expected: Vec<u32> = (0..4).collect();
                for number in 4..10 {
                    receive_ping(&mut ws, number, &mut output);
                    if waiting > budget && number > 4 {
                        expected.pop();
                    } else {
                        waiting += pong_len;
                    }
                    expected.push(number);
                }
                wire.extend(drain(&mut output));
                assert_eq!(pongs(&wire), expected, "{role:?}, {written} bytes written, budget {budget}");
            }
        }
    }
}

/// A message that waits after written pongs does not count against the budget.
#[test]
fn a_waiting_message_does_not_count_as_a_pong() {
    rows!("6455-5.5.3-2");
    for role in ROLES {
        for budget in [16 << 10, 10 * pong_len(role)] {
            let (mut ws, mut output) = (open(role, &Config::new().max_pending_pong_bytes(budget)), Output::new());
            (0..130).for_each(|number| receive_ping(&mut ws, number, &mut output));
            let pongs_len = output.len();
            ws.send_binary(&vec![7; 1 << 20], &mut output).unwrap();
            output.advance(pongs_len + 1000);
            let waiting = output.len();
            (200..210).for_each(|number| receive_ping(&mut ws, number, &mut output));
            output.advance(waiting);
            assert!(numbers(&drain(&mut output)).into_iter().eq(200..210), "{role:?}, budget {budget}");
        }
    }
}

/// A frame of the model.
#[derive(Debug)]
struct Waiting {
    /// The number that a pong answers.
    pong: Option<u32>,
    len: usize,
    taken: usize,
}

/// An output, and its expected frames.
#[derive(Default)]
struct Modelled {
    output: Output,
    frames: Vec<Waiting>,
}

impl Modelled {
    fn pongs(&self) -> usize {
        self.frames.iter().filter(|frame| frame.pong.is_some()).map(|frame| frame.len - frame.taken).sum()
    }

    fn put(&mut self, pong: Option<u32>, put: impl FnOnce(&mut Output)) {
        let before: usize = self.frames.iter().map(|frame| frame.len - frame.taken).sum();
        put(&mut self.output);
        self.frames.push(Waiting { pong, len: self.output.len() - before, taken: 0 });
    }

    fn take(&mut self, count: usize) {
        let mut left = count.min(self.output.len());
        self.output.advance(left);
        for frame in &mut self.frames {
            let taken = left.min(frame.len - frame.taken);
            frame.taken += taken;
            left -= taken;
        }
        self.frames.retain(|frame| frame.taken < frame.len);
    }
}

/// Pings, messages, writes of any length, and moves from one output to another: exactly the waiting pongs count against
/// the budget, and each pong that fits is sent.
#[test]
fn the_budget_limits_the_waiting_pongs() {
    rows!("6455-5.5.3-2");
    let mut noise = 42_u64;
    let mut below = |end: usize| {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (noise >> 33) as usize % end
    };
    for (role, round) in ROLES.into_iter().flat_map(|role| (0..200).map(move |round| (role, round))) {
        let budget = [0, 1, 10, 50, 200][round % 5];
        let mut ws = open(role, &Config::new().max_pending_pong_bytes(budget));
        let mut outputs = [Modelled::default(), Modelled::default()];
        for number in 0..60 {
            let (one, other) = outputs.split_at_mut(1);
            let (one, other) = (&mut one[0], &mut other[0]);
            let (to, from) = if below(2) == 0 { (one, other) } else { (other, one) };
            match below(8) {
                0..4 => {
                    if to.pongs() > budget {
                        to.frames.pop_if(|last| last.pong.is_some() && last.taken == 0);
                    }
                    to.put(Some(number), |output| receive_ping(&mut ws, number, output));
                }
                4 => to.put(None, |output| ws.send_text("text", output).unwrap()),
                5 => {
                    let payload = Bytes::from(vec![7; 16 << 10]);
                    to.put(None, |output| ws.send_bytes(MessageKind::Binary, payload, output).unwrap());
                }
                6 => {
                    to.output.append(&mut from.output);
                    to.frames.append(&mut from.frames);
                }
                _ => {
                    let count = if below(2) == 0 { below(20) } else { below(to.output.len() + 1) };
                    to.take(count);
                }
            }
            assert_eq!(to.output.len(), to.frames.iter().map(|frame| frame.len - frame.taken).sum::<usize>());
        }
        for Modelled { mut output, frames } in outputs {
            for frame in frames {
                let bytes = output.copy_to_bytes(frame.len - frame.taken);
                // The rest of a partly written frame does not count as a frame.
                if frame.taken == 0 {
                    assert_eq!(pongs(&bytes), Vec::from_iter(frame.pong), "{role:?}, round {round}");
                }
            }
            assert!(output.is_empty(), "{role:?}, round {round}");
        }
    }
}
