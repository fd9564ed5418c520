//! The tables, as Markdown.

use crate::contender::Contender;
use crate::contenders::{Kind, Limit};
use crate::measure::{Measured, Times};

type Contenders = [(Kind, Box<dyn Contender>)];

/// What a row's time has to be, as a ratio to the best peer's, and what it is.
pub fn print_targets(measured: &[Measured], contenders: &Contenders) {
    println!("| row | target | ratio | | this crate | best peer | | limit |");
    println!("|---|--:|--:|---|--:|--:|---|--:|");
    for measured in measured {
        let times = || {
            contenders.iter().zip(&measured.times).filter_map(|((kind, by), times)| Some((kind, by, times.as_ref()?)))
        };
        let Some((_, _, ours)) = times().find(|(kind, ..)| **kind == Kind::Ours) else { continue };
        let peers = times().filter(|(kind, ..)| **kind == Kind::Peer);
        let Some((_, best, theirs)) = peers.min_by(|(.., a), (.., b)| a.median().total_cmp(&b.median())) else {
            continue;
        };
        let limit = Limit::of(&measured.row.work).map(|limit| limit.name());
        let limit = times().find(|(_, by, _)| Some(by.name()) == limit).map(|(.., times)| times.median());
        let ratio = ours.ratio(theirs);
        let (target, verdict) = match measured.row.target {
            Some(target) if ratio <= target + 0.005 => (format!("{target:.2}"), "met"),
            Some(target) => (format!("{target:.2}"), "**missed**"),
            None => (String::new(), ""),
        };
        println!(
            "| {} | {target} | {ratio:.2} | {verdict} | {} | {} | {} | {} |",
            measured.row.work,
            nanoseconds(ours.median()),
            nanoseconds(theirs.median()),
            best.name(),
            limit.map_or(String::new(), nanoseconds),
        );
    }
}

/// The time of every contender, and in brackets what ours is to it.
pub fn print_times(measured: &[Measured], contenders: &Contenders) {
    print!("| ns a message |");
    contenders.iter().for_each(|(_, by)| print!(" {} |", by.name()));
    println!("\n|---|{}", "--:|".repeat(contenders.len()));
    let ours = contenders.iter().position(|(kind, _)| *kind == Kind::Ours);
    for measured in measured {
        print!("| {} |", measured.row.work);
        let ours = ours.and_then(|ours| measured.times[ours].as_ref());
        for ((kind, _), times) in contenders.iter().zip(&measured.times) {
            match (times, ours) {
                (Some(times), Some(ours)) if *kind != Kind::Ours => {
                    print!(" {} ({}) |", nanoseconds(times.median()), significant(ours.ratio(times)));
                }
                (Some(times), _) => print!(" {} |", nanoseconds(Times::median(times))),
                (None, _) => print!(" – |"),
            }
        }
        println!();
    }
}

pub fn nanoseconds(time: f64) -> String {
    if time < 99.95 { format!("{time:.1}") } else { format!("{time:.0}") }
}

fn significant(ratio: f64) -> String {
    if ratio < 9.995 { format!("{ratio:.2}") } else { format!("{ratio:.0}") }
}
