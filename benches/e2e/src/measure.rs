//! Measures CPU time per message, round by round, so that a slow moment of the machine affects all contenders.

use std::thread;
use std::time::Duration;

use crate::connection::Echoes;
use crate::contender::Contender;
use crate::cpu::Processors;
use crate::error::Result;
use crate::load::{Load, Shape};
use crate::messages::Messages;
use crate::process::Process;

/// The payloads of the messages, in bytes.
pub const SIZES: [usize; 3] = [20, 512, 16 << 10];

/// The load on every server.
pub const SHAPE: Shape = Shape { connections: 50, in_flight: 16 };

/// The time for a server to notice that the connections of a round are closed.
const PAUSE: Duration = Duration::from_millis(10);

/// The duration of a measurement.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    pub rounds: usize,
    /// Per contender and round: the time in which every byte of the echoes is compared, and then the time measured.
    warm_up: Duration,
    pub time: Duration,
}

impl Effort {
    pub const FULL: Self = Self { rounds: 15, warm_up: Duration::from_millis(100), time: Duration::from_millis(300) };
    pub const QUICK: Self = Self { rounds: 1, warm_up: Duration::from_millis(20), time: Duration::from_millis(20) };
}

/// The results for one size of messages.
pub struct Row {
    pub size: usize,
    /// Of each contender, in the given order.
    pub costs: Vec<Costs>,
}

/// Nanoseconds of CPU time per message, of every round.
#[derive(Clone, Default)]
pub struct Costs(Vec<f64>);

impl Costs {
    pub fn median(&self) -> f64 {
        median(self.0.clone())
    }

    /// The median of the ratios to the other's cost in the same round.
    pub fn ratio(&self, other: &Self) -> f64 {
        median(self.0.iter().zip(&other.0).map(|(cost, other)| cost / other).collect())
    }
}

/// Measures these contenders with messages of `size` bytes.
pub fn measure(size: usize, contenders: &[Contender], processors: &Processors, effort: Effort) -> Result<Row> {
    let start = |contender| Process::start(contender, processors);
    let servers: Vec<_> = contenders.iter().map(start).collect::<Result<_>>()?;
    let mut costs = vec![Costs::default(); contenders.len()];
    for round in 0..effort.rounds {
        for index in 0..contenders.len() {
            let turn = (index + round) % contenders.len();
            let cost = cost(&contenders[turn], &servers[turn], size, effort)
                .map_err(|error| format!("{} at {size} B: {error}", contenders[turn].name))?;
            costs[turn].0.push(cost);
            thread::sleep(PAUSE);
        }
    }
    Ok(Row { size, costs })
}

/// The CPU time of a message, on new connections. No message is in flight when the clock is read.
fn cost(contender: &Contender, server: &Process, size: usize, effort: Effort) -> Result<f64> {
    let messages = Messages::new(size, contender.kind);
    let mut load = Load::connect(server.address, contender.kind, &messages, SHAPE)?;
    load.run(effort.warm_up, Echoes::Compare)?;
    let before = server.cpu_time()?;
    let count = load.run(effort.time, Echoes::Count)?;
    Ok((server.cpu_time()? - before) as f64 / count as f64)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_compares_within_rounds() {
        // The machine is twice as slow in the second round.
        let (ours, theirs) = (Costs(vec![10.0, 20.0, 10.0]), Costs(vec![20.0, 40.0, 20.0]));
        assert_eq!((ours.median(), ours.ratio(&theirs)), (10.0, 0.5));
    }
}
