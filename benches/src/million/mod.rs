//! A million sessions in one process, over a simulated network and in simulated time: the memory that each holds, and
//! the time and the allocations that each step takes. Every byte that a peer receives is checked.
//!
//! | file | content |
//! |---|---|
//! | `simulation.rs` | the steps, in order, and the simulated clock |
//! | `server.rs`, `alarms.rs` | the program under measurement: an event loop's table, its alarms, and a session's turn |
//! | `network.rs`, `peer.rs` | the transports, and the peers at their other ends |
//! | `script.rs` | the bytes that peers send and expect |
//! | `crowd.rs` | which peers do what |
//! | `cost.rs`, `report.rs` | the results, and their tables |

mod alarms;
mod cost;
mod crowd;
mod network;
mod peer;
mod report;
mod script;
mod server;
mod simulation;

use crate::clock;
use simulation::Simulation;

/// Simulates `count` sessions, and prints the results as Markdown.
pub fn run(count: usize) {
    assert!((1000..=u32::MAX as usize).contains(&count), "{count} sessions are too few, or too many");
    let pinned =
        clock::pin().map_or_else(|error| format!("not pinned ({error})"), |cpu| format!("pinned to CPU {cpu}"));
    println!("{}, {pinned}, thread CPU time. {count} sessions.\n", clock::processor());
    report::print(&Simulation::new(count).run());
}
