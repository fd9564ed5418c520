//! Random schedules of both ends: nothing is lost or stuck, and the last event comes exactly once.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use websocket_proto::{CloseCode, Config, Output, Role};

use super::end::{Driver, End, Time, deadlines, run};
use super::transport::pair;

#[derive(Clone, Debug)]
enum Step {
    /// An end sends a text of this length.
    Send(bool, usize),
    /// An end has a turn, ready or not.
    Turn(bool),
    /// The room in the direction that an end writes to.
    Capacity(bool, usize),
    Wait(Time),
    Close(bool),
    Reset,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (any::<bool>(), prop_oneof![0..200_usize, 0..40_000_usize]).prop_map(|(end, len)| Step::Send(end, len)),
        12 => any::<bool>().prop_map(Step::Turn),
        3 => (any::<bool>(), 1..20_000_usize).prop_map(|(end, capacity)| Step::Capacity(end, capacity)),
        2 => (0..5000_u64).prop_map(Step::Wait),
        1 => any::<bool>().prop_map(Step::Close),
    ];
    vec(step, 0..60)
}

proptest! {
    #[test]
    fn nothing_is_lost_or_stuck(
        steps in steps(),
        reset in 0..20_u8,
        capacity in 1..5000_usize,
        drivers in [select(Driver::ALL.to_vec()), select(Driver::ALL.to_vec())],
    ) {
        let (server, client) = pair(capacity);
        let mut ends = [
            End::open(Role::Server, Config::new(), deadlines(), server),
            End::open(Role::Client, Config::new(), deadlines(), client),
        ];
        (ends[0].driver, ends[1].driver) = (drivers[0], drivers[1]);
        let (mut sent, mut now, mut output) = ([Vec::new(), Vec::new()], 0, Output::new());
        let mut has_reset = false;
        let last = (reset == 0).then_some(Step::Reset);
        for (number, step) in steps.into_iter().chain(last).enumerate() {
            match step {
                Step::Send(end, len) => {
                    let text = format!("{number} {}", "x".repeat(len));
                    let (ws, output) = ends[usize::from(end)].session.parts();
                    if ws.send_text(&text, output).is_ok() {
                        sent[usize::from(end)].push(text);
                    }
                    ends[usize::from(end)].wake();
                }
                Step::Turn(end) if !ends[usize::from(end)].is_over() => ends[usize::from(end)].turn(now, &mut output),
                Step::Turn(_) => {}
                Step::Capacity(end, capacity) => ends[usize::from(end)].wire.set_capacity(capacity),
                Step::Wait(span) => {
                    let [server, client] = &mut ends;
                    now = run(&mut [server, client], now, now + span).max(now + span);
                }
                Step::Close(end) => ends[usize::from(end)].close(CloseCode::NORMAL_CLOSURE),
                Step::Reset => {
                    ends[0].wire.reset();
                    has_reset = true;
                }
            }
            prop_assert!(output.is_empty());
        }
        // Then an end closes, and everything ends by itself.
        ends[0].close(CloseCode::NORMAL_CLOSURE);
        let [server, client] = &mut ends;
        run(&mut [server, client], now, now + 1_000_000);
        for (end, other) in [(0, 1), (1, 0)] {
            prop_assert!(ends[end].is_over());
            prop_assert_eq!(ends[end].closed.len(), 1);
            if !has_reset {
                prop_assert!(ends[end].closed[0].was_clean(), "{:?}", ends[end].closed);
                prop_assert!(ends[other].texts == sent[end], "{:?}", ends[other].texts.len());
            }
        }
    }
}
