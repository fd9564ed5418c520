//! Prints the results as Markdown.

use crate::contender::Contender;
use crate::contenders::Kind;
use crate::handshake::REQUEST_LEN;
use crate::measure::Measured;
use crate::memory;
use crate::rows::Row;
use crate::work::{READ, Reads};

type Contenders = [(Kind, Box<dyn Contender>)];

/// The time of each contender and, in brackets, the ratio of our time to it: the median over all rounds.
pub fn print_times(measured: &[Measured], contenders: &Contenders) {
    print_head("ns a message", contenders);
    let ours = contenders.iter().position(|(kind, _)| *kind == Kind::Ours);
    for Measured { row, times } in measured {
        let ours = ours.and_then(|index| times[index].as_ref());
        let cells = contenders.iter().zip(times).map(|((kind, _), times)| {
            let (times, median) = (times.as_ref()?, nanoseconds(times.as_ref()?.median()));
            let ratio = ours.filter(|_| *kind != Kind::Ours).map(|ours| ours.ratio(times));
            Some(ratio.map_or(median.clone(), |ratio| format!("{median} ({ratio:.2})")))
        });
        print_row(&row.work.to_string(), cells);
    }
}

/// Allocations and writes per message. A read of 64 KiB cuts a message.
pub fn print_costs(rows: &[Row], contenders: &Contenders) {
    print_head("allocations / writes a message", contenders);
    for row in rows.iter().filter(|row| matches!(row.work.reads, Reads::UpTo(READ | REQUEST_LEN))) {
        let costs = contenders.iter().map(|(_, by)| memory::cost(&row.work, &**by));
        let cells = costs.map(|cost| Some(format!("{} / {}", share(cost?.allocations), share(cost?.writes))));
        print_row(&row.work.to_string(), cells);
    }
}

/// The memory of a server's connection between messages.
pub fn print_idle(contenders: &Contenders) {
    print_head("bytes of an idle server connection", contenders);
    let idle: Vec<_> = contenders.iter().map(|(_, by)| memory::idle(&**by)).collect();
    print_row("the value itself", idle.iter().map(|idle| Some(idle.as_ref()?.state.to_string())));
    print_row("on the heap", idle.iter().map(|idle| Some(idle.as_ref()?.heap.to_string())));
}

pub fn print_head(what: &str, contenders: &Contenders) {
    println!("| {what} | {} |", contenders.iter().map(|(_, by)| by.name()).collect::<Vec<_>>().join(" | "));
    println!("|---|{}", "--:|".repeat(contenders.len()));
}

/// A cell is `None` for a contender that does not support the work.
pub fn print_row(row: &str, cells: impl Iterator<Item = Option<String>>) {
    println!("| {row} | {} |", cells.map(|cell| cell.unwrap_or_else(|| "–".into())).collect::<Vec<_>>().join(" | "));
}

pub fn nanoseconds(time: f64) -> String {
    if time < 99.95 { format!("{time:.1}") } else { format!("{time:.0}") }
}

fn share(count: f64) -> String {
    if count < 0.0005 { "0".into() } else { format!("{count:.3}").trim_end_matches('0').trim_end_matches('.').into() }
}
