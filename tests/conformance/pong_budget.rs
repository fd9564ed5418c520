//! RFC 6455 §5.5.3: every ping is answered, until more pongs wait than [`Config::max_pending_pongs`] allows; from then
//! on the latest one is.

use bytes::Buf;
use websocket_proto::frame::Opcode;
use websocket_proto::{Config, Connection, Event, Input, Output, Role};

use crate::faults::{ROLES, open};
use crate::harness::{both_roles, drain, frames, from_peer_of};
use crate::rows;

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

/// The numbers that the pongs answer; there has to be nothing else.
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
            let (mut ws, mut output) = (open(role, &Config::new().max_pending_pongs(budget as u32)), Output::new());
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

/// What a run without a budget would have put out, less pongs that later ones stand for.
#[test]
fn nothing_else_is_lost_or_reordered() {
    rows!("6455-5.5.3-2");
    for role in ROLES {
        let run = |budget, every| {
            let (mut ws, mut output) = (open(role, &Config::new().max_pending_pongs(budget)), Output::new());
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
            let all = run(u32::MAX, every);
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

/// A pong of which a part is written cannot be replaced any more; one that is whole can.
#[test]
fn a_partly_written_output_is_never_corrupted() {
    rows!("6455-5.5.3-2");
    for role in ROLES {
        let pong_len = pong_len(role);
        for budget in [0, pong_len as u32, 3 * pong_len as u32] {
            for written in 0..=5 * pong_len {
                let (mut ws, mut output) = (open(role, &Config::new().max_pending_pongs(budget)), Output::new());
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

/// The budget is for pongs that wait: what was written makes room again, though the output was never quite empty.
#[test]
fn written_pongs_do_not_count() {
    rows!("6455-5.5.3-2");
    for role in ROLES {
        let pong_len = pong_len(role);
        let budget = 10 * pong_len;
        let (mut ws, mut output) = (open(role, &Config::new().max_pending_pongs(budget as u32)), Output::new());
        let mut wire = Vec::new();
        for number in 0..100 {
            receive_ping(&mut ws, 2 * number, &mut output);
            receive_ping(&mut ws, 2 * number + 1, &mut output);
            // One byte always stays behind.
            wire.extend_from_slice(&output.copy_to_bytes(output.len() - 1));
        }
        wire.extend(drain(&mut output));
        assert!(numbers(&wire).into_iter().eq(0..200), "no more than three pongs ever waited");
    }
}
