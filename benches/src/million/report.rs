//! Prints the results as Markdown.

use std::time::Instant;

use websocket_proto::Session;

use super::alarms::CountedAlarms;
use super::cost::Cost;
use super::server::{Memory, Server};
use super::simulation::Results;
use crate::report::nanoseconds;

/// The read buffer, the compressor and the decompressor.
const SHARED: usize = (64 + 161 + 47) << 10;

pub fn print(results: &Results) {
    print_memory(results);
    println!();
    print_costs(results);
    println!();
    print_totals(results);
}

/// The computed sizes beside the measured ones: after the opening, and at the end.
fn print_memory(Results { count, idle, end, .. }: &Results) {
    let row = |item: &str, computed: &str, bytes: fn(&Memory) -> u64| {
        let [idle, end] = [idle, end].map(|memory| bytes(memory) as f64 / *count as f64);
        println!("| {item} | {computed} | {idle:.1} | {end:.1} |");
    };
    println!("| bytes of an idle session | computed | measured | at the end |");
    println!("|---|--:|--:|--:|");
    let session = size_of::<Session<Instant>>();
    let (slot, entries) = (Server::SLOT, CountedAlarms::ENTRIES);
    let slot_item = format!("slot of the table: the session, {session}, and the size of its next read");
    row(&slot_item, &slot.to_string(), |memory| memory.slots);
    row("heap of the session", "0", |memory| memory.heap);
    let shared = SHARED as f64 / *count as f64;
    let range = |other: f64| format!("{:.0} to {:.0}", other + entries as f64, other + 2.0 * entries as f64);
    row("its alarm: key and time, in a map and in a queue", &range(0.0), |memory| memory.alarms);
    row("one read buffer, compressor and decompressor for all", &format!("{shared:.1}"), |memory| memory.shared);
    row("sum", &range(slot as f64 + shared), Memory::sum);
    row("resident memory of the process", "", |memory| memory.resident);
}

fn print_costs(results: &Results) {
    println!("| step | times | ns each | allocations each |");
    println!("|---|--:|--:|--:|");
    print_cost("opening handshake", &results.handshakes[0]);
    print_cost("… with permessage-deflate", &results.handshakes[1]);
    print_cost("keep-alive: alarm, ping, pong", &results.keep_alive);
    print_cost("early alarm, set again", &results.early_alarms);
    print_cost("prepared message", &results.broadcast[0]);
    print_cost("… compressed", &results.broadcast[1]);
    print_cost("… the rest of it, when a full transport has room", &results.rest);
    print_cost("echo", &results.echoes[0]);
    print_cost("… compressed", &results.echoes[1]);
    print_cost("turn for a ping, a pong or an early alarm", &results.others);
    print_cost("`Alarms` alone: `pop` and `set`", &results.alarms);
    print_cost("simulated transport alone: ping and pong", &results.transports);
}

fn print_cost(step: &str, cost: &Cost) {
    let (time, allocations) = (nanoseconds(cost.nanoseconds_each()), cost.allocations_each());
    println!("| {step} | {} | {time} | {allocations:.2} |", cost.count);
}

fn print_totals(Results { backlogs, echoes, others, .. }: &Results) {
    let heap = backlogs.heap as f64 / backlogs.sessions as f64;
    let nanoseconds: u64 = [&echoes[0], &echoes[1], others].iter().map(|cost| cost.nanoseconds).sum();
    println!(
        "While {} transports were full, {} bytes waited, in {heap:.0} bytes of heap for each.",
        backlogs.sessions, backlogs.bytes
    );
    println!("The minute of echoes, with the keep-alive of all, took {:.1} s.", nanoseconds as f64 / 1e9);
}
