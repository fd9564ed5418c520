//! `Timers` work with any clock: a counter, one of the operating system's, one that stops or goes back.

use std::fmt::Debug;
use std::ops::{Add, Sub};
use std::time::{Duration, Instant};

use bytes::Buf;
use proptest::collection::vec;
use proptest::prelude::*;
use websocket_proto::frame::Opcode;
use websocket_proto::{Event, Input, Output, Role, State, Timeouts, Timers};

use crate::scripted::{frame, opened, receive};
use crate::shared::wired::ROLES;

/// A ping, its pong and then silence, on the clock that `instant` and `span` make from milliseconds.
fn run<I, D>(instant: impl Fn(u64) -> I, span: impl Fn(u64) -> D)
where
    I: Copy + Ord + Debug + Sub<Output = D> + Add<D, Output = I>,
    D: Copy + PartialEq + Debug,
{
    let (mut ws, mut output) = (opened(Role::Server), Output::new());
    let timeouts = Timeouts::none().handshake(span(1)).keep_alive(span(30), span(20)).closing(span(1));
    let mut timers = Timers::new(instant(0), timeouts);
    assert_eq!(timers.poll_timeout(), Some(instant(1)));
    timers.handle_timeout(instant(1), &mut ws, &mut output);
    assert_eq!(timers.poll_timeout(), Some(instant(31)));
    timers.handle_timeout(instant(31), &mut ws, &mut output);
    assert_eq!(timers.poll_timeout(), Some(instant(51)));

    let mut pong = frame(Role::Server, Opcode::Pong, &output.chunk()[2..]);
    output.advance(output.remaining());
    let Some(Event::Pong(payload)) = ws.receive(&mut Input::new(&mut pong), &mut output) else { panic!("no pong") };
    assert_eq!(timers.pong(instant(40), &payload), Some(span(9)));
    timers.handle_timeout(instant(40), &mut ws, &mut output);
    assert_eq!(timers.poll_timeout(), Some(instant(70)));

    for due in [70, 90] {
        timers.handle_timeout(instant(due - 1), &mut ws, &mut output);
        assert!(output.is_empty());
        timers.handle_timeout(instant(due), &mut ws, &mut output);
        assert!(!output.is_empty());
        output.advance(output.remaining());
    }
    assert_eq!((ws.is_closed(), timers.poll_timeout()), (true, None));
    // Nothing is due between the close and its last event either.
    timers.handle_timeout(instant(1000), &mut ws, &mut output);
    assert_eq!((ws.state(), timers.poll_timeout(), output.len()), (State::Closing, None, 0));
}

#[test]
fn durations_since_a_start_are_a_clock() {
    run(Duration::from_millis, Duration::from_millis);
}

#[test]
fn milliseconds_are_a_clock() {
    run(|millis| millis, |millis| millis);
}

#[test]
fn the_standard_librarys_instants_are_a_clock() {
    let start = Instant::now();
    run(|millis| start + Duration::from_millis(millis), Duration::from_millis);
}

#[test]
fn the_defaults_are_the_documented_ones() {
    let seconds = Duration::from_secs;
    let (mut ws, mut output) = (opened(Role::Server), Output::new());
    let mut timers = Timers::new(seconds(0), Timeouts::default());
    assert_eq!(timers.poll_timeout(), Some(seconds(10)));
    timers.handle_timeout(seconds(0), &mut ws, &mut output);
    assert_eq!(timers.poll_timeout(), Some(seconds(30)));
    timers.handle_timeout(seconds(30), &mut ws, &mut output);
    assert_eq!(timers.poll_timeout(), Some(seconds(50)));
    ws.close_without_code(&mut output);
    timers.handle_timeout(seconds(30), &mut ws, &mut output);
    assert_eq!(timers.poll_timeout(), Some(seconds(40)));
}

proptest! {
    /// Times in any order, some of them for a pong. Each deadline is later than the time that set it, and a connection
    /// ends only at a time that one of the deadlines asked for.
    #[test]
    fn a_clock_may_jump_in_any_direction(
        role in prop::sample::select(&ROLES[..]),
        steps in vec((0..200_u64, prop::sample::select(&['l', 'b', 'r', 'p', 'c'][..])), 0..60),
    ) {
        let (mut ws, mut output) = (opened(role), Output::new());
        let mut timers = Timers::new(100, Timeouts::none().handshake(10).keep_alive(30, 20).closing(5));
        for (now, step) in steps {
            match step {
                'b' if !ws.is_closed() => drop(receive(&mut ws, &frame(role, Opcode::Binary, b"."))),
                'r' => timers.note_activity(now),
                // The first pings of these timers carry small numbers.
                'p' => for ping in 0..4_u64 {
                    if let Some(round_trip) = timers.pong(now, &ping.to_be_bytes()) {
                        prop_assert!(round_trip <= now);
                    }
                },
                'c' if now < 20 => ws.close_without_code(&mut output),
                _ => {}
            }
            let due = timers.poll_timeout();
            timers.handle_timeout(now, &mut ws, &mut output);
            if ws.is_closed() {
                prop_assert_eq!(timers.poll_timeout(), None);
                break;
            }
            prop_assert!(timers.poll_timeout().is_none_or(|next| next > now));
            if timers.poll_timeout() != due {
                prop_assert!(timers.poll_timeout().is_some_and(|next| next <= now + 30));
            }
        }
    }
}
