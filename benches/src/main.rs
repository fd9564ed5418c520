//! websocket-proto beside its peers, in one process: prints Markdown.
//!
//! `cargo run --release [ROW…] [--contender NAME]… [--quick]`: ROW and NAME are parts of what the tables show.

mod aligned;
mod clock;
mod contender;
mod contenders;
mod content;
mod copy;
mod handshake;
mod measure;
mod report;
mod rows;
mod socket;
mod tape;
mod verify;
mod work;

use measure::{Effort, measure};

fn main() {
    let arguments = Arguments::parse();
    match clock::pin() {
        Ok(cpu) => println!("On processor {cpu}, thread CPU time.\n"),
        Err(error) => println!("Thread CPU time, not pinned: {error}.\n"),
    }
    let contenders = contenders::all();
    let contenders: Vec<_> = contenders.into_iter().filter(|(_, by)| arguments.wants(by.name())).collect();
    let rows = rows::rows().into_iter().filter(|row| arguments.wants_row(&row.work.to_string()));
    let measured: Vec<_> = rows.map(|row| measure(row, &contenders, arguments.effort)).collect();
    report::print_targets(&measured, &contenders);
    println!();
    report::print_times(&measured, &contenders);
}

struct Arguments {
    rows: Vec<String>,
    contenders: Vec<String>,
    effort: Effort,
}

impl Arguments {
    fn parse() -> Self {
        let mut parsed = Self { rows: Vec::new(), contenders: Vec::new(), effort: Effort::FULL };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--quick" => parsed.effort = Effort::QUICK,
                "--contender" => parsed.contenders.extend(arguments.next()),
                _ => parsed.rows.push(argument.to_lowercase()),
            }
        }
        parsed
    }

    fn wants(&self, contender: &str) -> bool {
        self.contenders.is_empty() || self.contenders.iter().any(|part| contender.contains(part.as_str()))
    }

    fn wants_row(&self, row: &str) -> bool {
        let row = row.to_lowercase();
        self.rows.is_empty() || self.rows.iter().any(|part| row.contains(part))
    }
}
