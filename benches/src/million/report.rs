//! Prints the results as Markdown.

use std::time::Instant;

use websocket_proto::{PreparedMessage, Session};

use super::alarms::CountedAlarms;
use super::cost::Cost;
use super::server::Server;
use super::simulation::Results;
use crate::report::nanoseconds;

pub fn print(results: &Results) {
    print_memory(results);
    println!();
    print_costs(results);
}

fn print_memory(results: &Results) {
    let Results { count, idle, end, .. } = results;
    let each = |bytes: u64| format!("{:.1}", bytes as f64 / *count as f64);
    println!("| idle | bytes each | |");
    println!("|---|--:|---|");
    let session = size_of::<Session<Instant>>();
    println!("| slot | {} | the session, {session}, and {} of the loop's |", each(idle.slots), Server::SLOT - session);
    println!("| the session's heap | {} | |", each(idle.heap));
    println!("| alarm | {} | {} in two collections, and their spare room |", each(idle.alarms), CountedAlarms::ENTRIES);
    println!(
        "| read buffer, output, compressor, decompressor | {} | {} bytes in all |",
        each(idle.shared),
        idle.shared
    );
    println!("| sum | {} | {} at the end |", each(idle.sum()), each(end.sum()));
}

fn print_costs(results: &Results) {
    let Results { handshakes, keep_alive, early_alarms, broadcast, backlogs, rest, echoes, others, .. } = results;
    println!("| step | number | ns each | allocations each |");
    println!("|---|--:|--:|--:|");
    print_cost("opening handshake", &handshakes[0]);
    print_cost("… with compression", &handshakes[1]);
    print_cost("keep-alive: alarm, ping, pong", keep_alive);
    print_cost("… and the alarm of the awaited pong", early_alarms);
    print_cost("broadcast", &broadcast[0]);
    print_cost("… with compression", &broadcast[1]);
    print_cost("… the rest of it, to a transport that was full", rest);
    print_cost("echo", &echoes[0]);
    print_cost("… with compression", &echoes[1]);
    print_cost("all other turns in that minute", others);
    println!();
    let heap = backlogs.heap as f64 / backlogs.sessions as f64;
    println!(
        "{} bytes waited for {} full transports, in {heap:.1} bytes of memory each.",
        backlogs.bytes, backlogs.sessions
    );
    let minute = echoes[0].nanoseconds + echoes[1].nanoseconds + others.nanoseconds;
    println!("The minute took {:.2} s.", minute as f64 / 1e9);
    let _ = size_of::<PreparedMessage>();
}

fn print_cost(step: &str, cost: &Cost) {
    let (time, allocations) = (nanoseconds(cost.nanoseconds_each()), cost.allocations_each());
    println!("| {step} | {} | {time} | {allocations:.3} |", cost.count);
}
