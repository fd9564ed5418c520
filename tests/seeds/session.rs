//! The corpus of the fuzz target `session`: ways in which a driver could lose bytes, wait forever, or end badly.

use super::Corpus;
use super::shared::harness::session::ECHOES;
use super::shared::harness::session::step::{CAPACITY, CLOSE, CUT, FAIL, LONG, PING, SEND, SERVER, TURN, WAIT};

#[rustfmt::skip]
pub(crate) fn session() -> Corpus {
    let schedules: [(&str, u8, &[u8]); 9] = [
        ("echo", 99, &[SEND, 5, SEND | LONG, 200, PING, 1, WAIT, 9, SEND, 0, WAIT, 9]),
        ("both-push", 0, &[
            SEND | LONG, 255, SERVER | SEND | LONG, 255, SEND | LONG, 255, SERVER | SEND | LONG, 255,
            TURN, 0, SERVER | TURN, 0, WAIT | LONG, 200,
        ]),
        ("byte-by-byte", 0, &[CUT, 0, SERVER | CUT, 0, SEND, 40, SERVER | SEND, 40, WAIT, 99]),
        ("between-turns", 9, &[
            SEND, 1, TURN, 0, SEND, 2, SEND, 3, TURN, 0, SERVER | TURN, 0, SERVER | SEND, 4, SERVER | TURN, 0, PING, 1,
        ]),
        ("slow-reader", 3, &[
            SERVER | SEND | LONG, 100, WAIT, 1, SERVER | CAPACITY, 1, WAIT | LONG, 255, SERVER | CAPACITY | LONG, 9,
        ]),
        ("close-race", 30, &[SEND, 90, CLOSE, 0, SERVER | SEND, 90, SERVER | CLOSE, 0, SERVER | TURN, 0, TURN, 0]),
        ("close-with-backlog", 1, &[SERVER | SEND | LONG, 90, SERVER | CLOSE, 0, SEND | LONG, 90, TURN, 0]),
        ("reset", 5, &[SEND | LONG, 90, TURN, 0, SERVER | SEND, 9, FAIL, 0, SERVER | TURN, 0]),
        ("half-closed", 5, &[SEND | LONG, 90, TURN, 0, SERVER | SEND, 9, FAIL, 1, SERVER | TURN, 0]),
    ];
    // Every schedule with other drivers, and every second with an echo.
    let traits = [0, 5, 10, 15, 6, 13, 11].into_iter().cycle().zip([ECHOES, 0].into_iter().cycle());
    let seed = |traits: u8, capacity: u8, schedule: &[u8]| [&[traits, capacity], schedule].concat();
    let seeds = schedules.into_iter().zip(traits);
    seeds.map(|((name, room, schedule), (drivers, echo))| (name.into(), seed(drivers | echo, room, schedule))).collect()
}
