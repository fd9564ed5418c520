//! Measures echo servers as processes on loopback: CPU time per message, and memory per idle connection; prints
//! Markdown.
//!
//! ```sh
//! cargo run --release -- [--contender NAME]… [--size BYTES]… [--quick] [--svg FILE]
//! cargo run --release -- --idle [--contender NAME]… [--quick]
//! ```
//! NAME is part of a name in the tables. `--quick` only shows that every server works. The servers of this repository
//! are its examples, and must be built before. The peers' servers are in this program, which starts itself again for
//! each: `--serve NAME ADDR`.

mod chart;
mod connection;
mod contender;
mod cpu;
mod error;
mod frame;
mod handshake;
mod host;
mod idle;
mod load;
mod measure;
mod messages;
mod process;
mod report;
mod servers;

use std::path::PathBuf;
use std::process::ExitCode;

use contender::{Contender, MAX_MESSAGE};
use cpu::Processors;
use error::Result;
use measure::{Effort, SIZES};

const USAGE: &str = "usage: websocket-proto-e2e [--contender NAME]... [--size BYTES]... [--quick] [--svg FILE]\n\
    \x20      websocket-proto-e2e --idle [--contender NAME]... [--quick]\n\
    \x20      websocket-proto-e2e --serve NAME ADDR";

fn main() -> ExitCode {
    let Some(task) = Task::parse(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match task.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

enum Task {
    Serve { name: String, address: String },
    Times { names: Vec<String>, sizes: Vec<usize>, is_quick: bool, svg: Option<PathBuf> },
    Idle { names: Vec<String>, is_quick: bool },
}

impl Task {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let (mut names, mut sizes, mut svg) = (Vec::new(), Vec::new(), None);
        let (mut is_quick, mut is_idle) = (false, false);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--serve" => return Some(Self::Serve { name: arguments.next()?, address: arguments.next()? }),
                "--contender" => names.push(arguments.next()?.to_lowercase()),
                "--size" => sizes.push(arguments.next()?.parse().ok().filter(|size| *size <= MAX_MESSAGE)?),
                "--quick" => is_quick = true,
                "--idle" => is_idle = true,
                "--svg" => svg = Some(arguments.next()?.into()),
                _ => return None,
            }
        }
        if is_idle {
            return (sizes.is_empty() && svg.is_none()).then_some(Self::Idle { names, is_quick });
        }
        if sizes.is_empty() {
            sizes.extend(SIZES);
        }
        Some(Self::Times { names, sizes, is_quick, svg })
    }

    fn run(self) -> Result<()> {
        match self {
            Self::Serve { name, address } => servers::serve(&name, &address),
            Self::Times { names, sizes, is_quick, svg } => times(&names, &sizes, is_quick, svg),
            Self::Idle { names, is_quick } => idle(&names, is_quick),
        }
    }
}

fn times(names: &[String], sizes: &[usize], is_quick: bool, svg: Option<PathBuf>) -> Result<()> {
    let processors = Processors::choose()?;
    let effort = if is_quick { Effort::QUICK } else { Effort::FULL };
    let contenders = contender::startable(names, &processors)?;
    let mut rows = Vec::new();
    for size in sizes {
        rows.push(measure::measure(*size, &contenders, &processors, effort)?);
    }
    report::print_times(&rows, &contenders, &processors, effort)?;
    svg.map_or(Ok(()), |file| chart::draw(&file, &rows, &contenders))
}

fn idle(names: &[String], is_quick: bool) -> Result<()> {
    let processors = Processors::choose()?;
    let count = if is_quick { idle::QUICK } else { idle::FULL };
    let contenders = contender::startable(names, &processors)?;
    let bytes = |contender: &Contender| idle::bytes_per_connection(contender, &processors, count);
    let bytes: Vec<_> = contenders.iter().map(bytes).collect::<Result<_>>()?;
    report::print_idle(&contenders, &bytes, count);
    Ok(())
}
