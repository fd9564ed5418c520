//! Times the contenders of a row in turn, round by round, so that a slow moment of the machine affects them all.

use std::rc::Rc;

use crate::aligned::Aligned;
use crate::clock;
use crate::contender::{Contender, Run};
use crate::contenders::Kind;
use crate::rows::Row;
use crate::socket::Socket;
use crate::tape::tape;
use crate::verify::verify;

/// The duration of a measurement.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    pub rounds: usize,
    /// The time for each contender in each round.
    pub nanoseconds: u64,
}

impl Effort {
    pub const FULL: Self = Self { rounds: 31, nanoseconds: 1_500_000 };
    pub const QUICK: Self = Self { rounds: 3, nanoseconds: 200_000 };
}

/// The result of a row.
pub struct Measured {
    pub row: Row,
    /// The times of each contender, in the given order; `None` if it does not support the work.
    pub times: Vec<Option<Times>>,
}

/// Nanoseconds per message, for every round.
pub struct Times(Vec<f64>);

impl Times {
    pub fn median(&self) -> f64 {
        median(self.0.clone())
    }

    /// The median of the ratios of this contender's time to the other's in the same round.
    pub fn ratio(&self, other: &Self) -> f64 {
        median(self.0.iter().zip(&other.0).map(|(ours, theirs)| ours / theirs).collect())
    }
}

/// Verifies the results of these contenders for a row, and times them.
pub fn measure(row: Row, contenders: &[(Kind, Box<dyn Contender>)], effort: Effort) -> Measured {
    let tape = tape(&row.work);
    let mut racers: Vec<_> =
        contenders.iter().map(|(kind, by)| Racer::new(&row, *kind, &**by, &tape, effort)).collect();
    for round in 0..effort.rounds {
        for index in 0..racers.len() {
            let turn = (index + round) % racers.len();
            if let Some(racer) = &mut racers[turn] {
                racer.time();
            }
        }
    }
    Measured { row, times: racers.into_iter().map(|racer| racer.map(|racer| Times(racer.times))).collect() }
}

struct Racer {
    run: Box<dyn Run>,
    messages: usize,
    times: Vec<f64>,
}

impl Racer {
    /// A contender with verified results, and the number of messages that it handles in the time of a round.
    fn new(row: &Row, kind: Kind, by: &dyn Contender, tape: &Rc<Aligned>, effort: Effort) -> Option<Self> {
        let socket = Socket::new(Rc::clone(tape), row.work.reads);
        let mut run = by.start(&row.work, socket.clone())?;
        if let Err(wrong) = verify(&row.work, kind, &mut *run, &socket) {
            panic!("{} at {}: {wrong}", by.name(), row.work);
        }
        let mut racer = Self { run, messages: row.work.batch(), times: Vec::new() };
        loop {
            let (time, messages) = racer.run();
            if time >= effort.nanoseconds / 4 {
                racer.messages = (messages as u64 * effort.nanoseconds / time).max(1) as usize;
                return Some(racer);
            }
            racer.messages = messages * 2;
        }
    }

    fn time(&mut self) {
        // Not measured: reloads the data that the other contenders evicted from the caches.
        self.run.run(self.messages / 8 + 1);
        let (time, messages) = self.run();
        self.times.push(time as f64 / messages as f64);
    }

    fn run(&mut self) -> (u64, usize) {
        let start = clock::now();
        let messages = self.run.run(self.messages);
        (clock::now() - start, messages)
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
