//! Attacks on `examples/mio_server.rs` over loopback, or on the echo server in `WS_DRIVER` (see the guide's page "Writing
//! a driver"). `cargo test` runs each at small scale; the command in the
//! README's section on security runs all at full scale and prints a table.
//!
//! During an attack, a client that follows the protocol is served. After it the server uses the connections and the
//! memory of before, and its peak memory is within its limits. Attackers get the documented answers.
// Memory and descriptors of a process are read from /proc.
#![cfg(target_os = "linux")]

mod bombs;
mod crowds;
mod endings;
mod floods;
mod garbage;
mod opening;
mod peer;
mod server;
#[path = "../shared/mod.rs"]
mod shared;
mod stage;

use std::time::Duration;

use shared::program::Program;
use stage::{Report, Stage};

/// Long enough for every expected event, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Gives each connection a compressor and a decompressor, which keep their windows.
const CONTEXT_TAKEOVER: &str = "--context-takeover";

struct Attack {
    name: &'static str,
    run: fn(&Stage) -> Report,
    takes_context: bool,
}

/// Makes each attack a test at small scale and an entry of the list.
macro_rules! attacks {
    ($($module:ident::$name:ident)* ; with context takeover: $($other:ident::$takeover:ident)*) => {
        const ATTACKS: &[Attack] = &[
            $(Attack { name: stringify!($name), run: $module::$name, takes_context: false },)*
            $(Attack { name: stringify!($takeover), run: $other::$takeover, takes_context: true },)*
        ];

        $(#[test] fn $name() { at_small_scale(stringify!($name)); })*
        $(#[test] fn $takeover() { at_small_scale(stringify!($takeover)); })*
    };
}

attacks! {
    opening::silent_handshakes
    opening::trickled_handshakes
    opening::handshakes_that_stop_at_the_limit
    opening::oversized_heads
    floods::pings_to_a_peer_that_never_reads
    floods::messages_to_a_peer_that_never_reads
    floods::empty_fragments
    floods::fragments_of_a_byte
    floods::messages_without_end
    floods::messages_that_stop_at_the_limit
    floods::announced_and_never_sent
    floods::announced_too_large
    bombs::bombs_beyond_the_limit
    bombs::bombs_that_stop_at_the_limit
    bombs::bombs_within_the_limit
    bombs::bombs_that_do_not_compress_again
    bombs::bombs_from_new_peers
    garbage::random_bytes
    garbage::mutated_sessions
    endings::half_closed_at_every_byte
    endings::reset_at_every_byte
    endings::never_closing_the_transport
    endings::many_short_connections
    crowds::many_light_peers
    crowds::many_compressed_messages
    crowds::light_messages_after_a_heavy_one
    crowds::deadlines_during_a_crowd
    ; with context takeover:
    bombs::bombs_in_a_window_that_is_kept
}

fn at_small_scale(name: &str) {
    let attack = ATTACKS.iter().find(|attack| attack.name == name).expect("the attack is in the list");
    if attack.takes_context && !Program::has_option(CONTEXT_TAKEOVER) {
        println!("skipped: the server has no option {CONTEXT_TAKEOVER}");
        return;
    }
    let mut stage = Stage::small(attack.takes_context);
    println!("{}", stage.perform(attack));
}

/// One server with default timeouts runs all attacks without context takeover, another those with it. `ATTACK=bombs` in
/// the environment chooses the attacks whose names contain it.
#[test]
#[ignore = "ten minutes; opens 2,000 sockets: run it alone, in a release build, with `ulimit -n 5000`"]
fn at_full_scale() {
    let only = std::env::var("ATTACK").unwrap_or_default();
    println!("{}", stage::HEADING);
    for takes_context in [false, true].into_iter().filter(|takes| !takes || Program::has_option(CONTEXT_TAKEOVER)) {
        let mut stage = Stage::full(takes_context);
        let attacks = ATTACKS.iter().filter(|attack| attack.takes_context == takes_context);
        for attack in attacks.filter(|attack| attack.name.contains(&only)) {
            println!("{}", stage.perform(attack));
        }
    }
}
