//! The table of targets and results.

use crate::contender::Contender;
use crate::contenders::{Kind, Limit};
use crate::content::Content;
use crate::measure::{Measured, Times};
use crate::memory;
use crate::report::nanoseconds;
use crate::rows::Row;
use crate::work::{Reads, Task, Work, Writes};

type Contenders = [(Kind, Box<dyn Contender>)];

/// The target for permessage-deflate, as a ratio to zlib-rs alone.
const ZLIB_TARGET: f64 = 1.02;

/// The target for an idle connection, in bytes, with no heap.
const IDLE_TARGET: usize = 128;

/// Prints for every row the ratio of our time to the best peer's, and its target; then the targets for allocations and
/// memory.
pub fn print(measured: &[Measured], contenders: &Contenders) {
    println!("| row | target | ratio | | this crate, ns | best peer, ns | | limit, ns |");
    println!("|---|--:|--:|---|--:|--:|---|--:|");
    for Measured { row, times } in measured {
        let all = || contenders.iter().zip(times).filter_map(|((kind, by), times)| Some((*kind, by, times.as_ref()?)));
        let Some((_, _, ours)) = all().find(|(kind, ..)| *kind == Kind::Ours) else { continue };
        let limit = all().find(|(_, by, _)| by.name() == limit_of(&row.work)).map(|(.., times)| times);
        let peers = all().filter(|(kind, ..)| *kind == Kind::Peer);
        if let Some((_, best, theirs)) = peers.min_by(|(.., a), (.., b)| a.median().total_cmp(&b.median())) {
            print_row(row, "", row.target, ours, (best.name(), theirs), limit);
        }
        if let (Task::Deflate | Task::Inflate, Some(limit)) = (row.work.task, limit) {
            print_row(row, ", to zlib-rs", Some(ZLIB_TARGET), ours, ("zlib-rs", limit), Some(limit));
        }
    }
    print_allocations(contenders);
    print_idle(contenders);
}

fn print_row(row: &Row, what: &str, target: Option<f64>, ours: &Times, best: (&str, &Times), limit: Option<&Times>) {
    let ratio = ours.ratio(best.1);
    println!(
        "| {}{what} | {} | {ratio:.2} | {} | {} | {} | {} | {} |",
        row.work,
        target.map_or(String::new(), |target| format!("{target:.2}")),
        target.map_or("", |target| verdict(ratio < target + 0.005)),
        nanoseconds(ours.median()),
        nanoseconds(best.1.median()),
        best.0,
        limit.map_or(String::new(), |limit| nanoseconds(limit.median())),
    );
}

fn limit_of(work: &Work) -> &'static str {
    Limit::of(work).map_or("zlib-rs", |limit| limit.name())
}

fn print_allocations(contenders: &Contenders) {
    // 500 frames of 131 bytes.
    let work = Work {
        task: Task::Decode,
        content: Content::Ascii,
        size: 125,
        reads: Reads::UpTo(65_500),
        writes: Writes::Batches,
    };
    let costs = contenders.iter().filter_map(|(kind, by)| Some((*kind, by, memory::cost(&work, &**by)?.allocations)));
    if let Some((ours, best, theirs)) = beside_the_least(costs) {
        let verdict = verdict(ours == 0.0);
        println!(
            "| allocations a message, {work}, whole in a read | 0 | | {verdict} | {ours:.3} | {theirs:.3} | {best} | |"
        );
    }
}

fn print_idle(contenders: &Contenders) {
    let idle = contenders.iter().filter_map(|(kind, by)| Some((*kind, by, memory::idle(&**by)?)));
    let idle = idle.map(|(kind, by, idle)| (kind, by, (idle.state + idle.heap, idle.heap)));
    if let Some(((ours, heap), best, (theirs, _))) = beside_the_least(idle) {
        let verdict = verdict(ours <= IDLE_TARGET && heap == 0);
        println!("| bytes of an idle server connection | {IDLE_TARGET} | | {verdict} | {ours} | {theirs} | {best} | |");
    }
}

/// Our value, and the lowest of the peers' values.
fn beside_the_least<'c, T: PartialOrd + Copy>(
    figures: impl Iterator<Item = (Kind, &'c Box<dyn Contender>, T)>,
) -> Option<(T, &'static str, T)> {
    let (ours, theirs): (Vec<_>, Vec<_>) =
        figures.filter(|(kind, ..)| *kind != Kind::Limit).partition(|(kind, ..)| *kind == Kind::Ours);
    let (_, _, ours) = ours.first()?;
    let least = theirs.iter().reduce(|a, b| if b.2 < a.2 { b } else { a })?;
    Some((*ours, least.1.name(), least.2))
}

fn verdict(is_met: bool) -> &'static str {
    if is_met { "met" } else { "**missed**" }
}
