//! Compares websocket-proto with its peers in one process; prints Markdown.
//!
//! ```sh
//! cargo run --release -- [ROW]… [--contender NAME]… [--quick]
//! cargo run --release -- --count [ROW]… [--contender NAME]…
//! cargo run --release -- --million [COUNT]
//! ```
//! ROW and NAME are parts of names in the tables. `--quick` only shows that everything works. `--count` prints
//! instructions per message, measured with valgrind, instead of times. `--million` simulates COUNT sessions of
//! websocket-proto in one process: their memory, keep-alive, a broadcast and a minute of traffic.

mod aligned;
mod allocator;
mod clock;
mod contender;
mod contenders;
mod content;
mod copy;
mod count;
mod handshake;
mod measure;
mod memory;
mod million;
mod report;
mod rows;
mod socket;
mod tape;
mod targets;
mod verify;
mod work;

use contenders::Kind;
use measure::{Effort, measure};

fn main() {
    let arguments = Arguments::parse();
    if let Some(count) = arguments.million {
        return million::run(count);
    }
    let mut contenders = contenders::all();
    if let Some([row, contender, messages]) = &arguments.once {
        return count::once(row, contender, messages, &contenders);
    }
    contenders.retain(|(_, by)| Arguments::want(&arguments.contenders, by.name()));
    let mut rows = rows::rows();
    rows.retain(|row| Arguments::want(&arguments.rows, &row.work.to_string()));
    if arguments.count {
        return count::print(&rows, &contenders);
    }

    let pinned =
        clock::pin().map_or_else(|error| format!("not pinned ({error})"), |cpu| format!("pinned to CPU {cpu}"));
    println!("{}, {pinned}, thread CPU time, {} rounds.\n", clock::processor(), arguments.effort.rounds);
    let measured: Vec<_> = rows.iter().map(|row| measure(*row, &contenders, arguments.effort)).collect();
    targets::print(&measured, &contenders);
    println!();
    report::print_times(&measured, &contenders);
    println!();
    contenders.retain(|(kind, _)| *kind != Kind::Limit);
    report::print_costs(&rows, &contenders);
    println!();
    report::print_idle(&contenders);
}

struct Arguments {
    rows: Vec<String>,
    contenders: Vec<String>,
    effort: Effort,
    count: bool,
    /// The number of sessions to simulate.
    million: Option<usize>,
    /// Row, contender and number of messages: the arguments that `--count` passes to its own program.
    once: Option<[String; 3]>,
}

impl Arguments {
    fn parse() -> Self {
        let mut parsed = Self {
            rows: Vec::new(),
            contenders: Vec::new(),
            effort: Effort::FULL,
            count: false,
            million: None,
            once: None,
        };
        let mut arguments = std::env::args().skip(1).peekable();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--quick" => parsed.effort = Effort::QUICK,
                "--count" => parsed.count = true,
                "--million" => {
                    let count = arguments.next_if(|argument| !argument.starts_with('-'));
                    parsed.million = Some(count.map_or(1_000_000, |count| count.parse().expect("a number")));
                }
                "--contender" => parsed.contenders.extend(arguments.next()),
                "--once" => parsed.once = arguments.by_ref().take(3).collect::<Vec<_>>().try_into().ok(),
                _ if argument.starts_with('-') => panic!("{argument}: no such option"),
                _ => parsed.rows.push(argument),
            }
        }
        parsed
    }

    /// Whether one of `parts` is in the name, or there are no parts.
    fn want(parts: &[String], name: &str) -> bool {
        let name = name.to_lowercase();
        parts.is_empty() || parts.iter().any(|part| name.contains(&part.to_lowercase()))
    }
}
