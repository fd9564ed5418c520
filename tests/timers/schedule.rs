//! Random schedules against a minimal model of a keep-alive, with a clock that jumps to the next deadline.

use bytes::Buf;
use proptest::collection::vec;
use proptest::prelude::*;
use websocket_proto::frame::{FrameHeader, Opcode};
use websocket_proto::{Output, Role, Timeouts, Timers};

use crate::scripted::{frame, opened, receive};
use crate::shared::wired::ROLES;

/// When an event loop calls the timers.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Loop {
    /// Every turn.
    Eager,
    /// Every turn, and for some of the bytes when they arrived.
    Both,
    /// When they are due, and when bytes arrive, to note that.
    Telling,
    /// Only when they are due.
    Lazy,
}

#[derive(Debug)]
struct Schedule {
    role: Role,
    validity: u64,
    pong: u64,
    /// The time between some bytes and those before them, in milliseconds.
    gaps: Vec<u64>,
}

impl Schedule {
    /// When the peer times out, and the number of pings sent until then. Bytes that arrive at the very time of a
    /// deadline are in time.
    fn model(&self) -> (u64, u64) {
        let (mut proof, mut pings) = (0, 0);
        for gap in &self.gaps {
            if *gap > self.validity {
                pings += 1;
            }
            if *gap > self.validity + self.pong {
                return (proof + self.validity + self.pong, pings);
            }
            proof += gap;
        }
        (proof + self.validity + self.pong, pings + 1)
    }

    /// When the last bytes arrived before the peer timed out.
    fn last_proof(&self, end: u64) -> u64 {
        self.arrivals().take_while(|arrival| *arrival <= end).last().unwrap_or(0)
    }

    fn arrivals(&self) -> impl Iterator<Item = u64> {
        self.gaps.iter().scan(0, |time, gap| {
            *time += gap;
            Some(*time)
        })
    }
}

/// The result of a schedule.
struct Run {
    end: u64,
    pings: u64,
    /// The number of calls to the timers because they were due.
    due: u64,
}

fn run(schedule: &Schedule, mode: Loop) -> Run {
    let (mut ws, mut output) = (opened(schedule.role), Output::new());
    let mut timers = Timers::new(0, Timeouts::none().keep_alive(schedule.validity, schedule.pong));
    timers.handle_timeout(0, &mut ws, &mut output);
    let mut arrivals = schedule.arrivals().peekable();
    let mut due = 0;
    loop {
        let deadline = timers.poll_timeout().expect("a peer that is to prove it is alive");
        let now = arrivals.peek().map_or(deadline, |arrival| deadline.min(*arrival));
        if arrivals.next_if_eq(&now).is_some() {
            if mode == Loop::Telling || mode == Loop::Both && now.is_multiple_of(2) {
                timers.note_activity(now);
            }
            receive(&mut ws, &frame(schedule.role, Opcode::Pong, b""));
        }
        if now == deadline || matches!(mode, Loop::Eager | Loop::Both) {
            due += u64::from(now == deadline);
            timers.handle_timeout(now, &mut ws, &mut output);
            if ws.is_closed() {
                return Run { end: now, pings: pings(&output), due };
            }
            assert!(timers.poll_timeout().is_some_and(|next| next > now), "at {now}");
        }
    }
}

/// The number of pings in the output.
fn pings(output: &Output) -> u64 {
    let (mut rest, mut pings) = (output.chunk(), 0);
    while let Some((header, len)) = FrameHeader::decode(rest).unwrap() {
        pings += u64::from(header.opcode == Opcode::Ping);
        rest = &rest[len + header.payload_len as usize..];
    }
    pings
}

fn schedule() -> impl Strategy<Value = Schedule> {
    let role = prop::sample::select(&ROLES[..]);
    (role, 1..100_u64, 1..100_u64).prop_flat_map(|(role, validity, pong)| {
        let gap = prop_oneof![
            8 => 1..=validity + pong,
            2 => Just(validity),
            2 => Just(validity + 1),
            1 => Just(validity + pong),
            1 => Just(validity + pong + 1),
        ];
        vec(gap, 0..100).prop_map(move |gaps| Schedule { role, validity, pong, gaps })
    })
}

proptest! {
    #[test]
    fn loops_that_check_every_turn_or_note_activity_are_exact(schedule in schedule()) {
        for mode in [Loop::Eager, Loop::Both, Loop::Telling] {
            let Run { end, pings, due } = run(&schedule, mode);
            prop_assert_eq!((end, pings), schedule.model(), "{:?}", mode);
            // Each deadline sends a ping or ends the connection, unless bytes arrived at its very time.
            let punctual = schedule.arrivals().filter(|arrival| *arrival <= end).count() as u64;
            prop_assert!(due <= pings + 1 + punctual);
        }
    }

    #[test]
    fn loops_that_check_only_when_due_time_out_later(schedule in schedule()) {
        let Run { end, due, .. } = run(&schedule, Loop::Lazy);
        let (validity, pong) = (schedule.validity, schedule.pong);
        let last = schedule.last_proof(end);
        prop_assert!(end >= last + validity + pong, "too early at {end}, the last proof was at {last}");
        // The bytes are noticed at the next deadline, and count from there.
        prop_assert!(end <= last + validity.max(pong) + validity + pong, "too late at {end}");
        // Each deadline is a whole span after the call that set it.
        prop_assert!(due <= end / validity.min(pong));
    }
}
