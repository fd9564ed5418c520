//! Prints the results as Markdown.

use crate::contender::{Contender, Kind};
use crate::cpu::Processors;
use crate::error::Result;
use crate::host;
use crate::measure::{Effort, Row, SHAPE};

/// The CPU time per message of each contender and, in brackets, its ratio to the reference.
pub fn print_times(rows: &[Row], contenders: &[Contender], processors: &Processors, effort: Effort) -> Result<()> {
    let Processors { server, generator } = processors;
    println!(
        "{}; server on CPU {server}, generator on CPU {generator}; {} connections with {} messages in flight on each; \
         {} rounds of {} ms.\n",
        host::describe()?,
        SHAPE.connections,
        SHAPE.in_flight,
        effort.rounds,
        effort.time.as_millis()
    );
    let sizes: Vec<_> = rows.iter().map(|row| name(row.size)).collect();
    println!("| ns of CPU a message | {} |", sizes.join(" | "));
    println!("|---|{}", "--:|".repeat(rows.len()));
    let reference = contenders.iter().position(|contender| contender.kind == Kind::Reference).unwrap_or(0);
    for (index, contender) in contenders.iter().enumerate() {
        let cells = rows.iter().map(|Row { costs, .. }| {
            let (cost, ratio) = (costs[index].median(), costs[index].ratio(&costs[reference]));
            format!("{cost:.0} ({ratio:.2})")
        });
        println!("| {} | {} |", label(contender), cells.collect::<Vec<_>>().join(" | "));
    }
    Ok(())
}

/// The memory of each contender for an idle connection.
pub fn print_idle(contenders: &[Contender], bytes: &[u64], count: usize) {
    println!("| contender | bytes of memory an idle connection, with {count} |");
    println!("|---|--:|");
    for (contender, bytes) in contenders.iter().zip(bytes) {
        println!("| {} | {bytes} |", label(contender));
    }
}

/// A size in the unit that fits it.
pub fn name(size: usize) -> String {
    if size < 1024 { format!("{size} B") } else { format!("{} KiB", size >> 10) }
}

fn label(contender: &Contender) -> String {
    if contender.kind == Kind::Ours { format!("**{}**", contender.name) } else { contender.name.into() }
}
