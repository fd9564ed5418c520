//! Replays the bytes that the Autobahn|Testsuite sends, without a network, to a connection of either role, and judges
//! the answers as the suite does: `cargo test --test autobahn`.
//!
//! The vectors (`tests/data/autobahn.json`) contain what the suite's fuzzer sends in each case, and what it must have
//! received at the end. `vectors` reads them, `script` turns them into bytes, `fuzzer` plays these to the system under
//! test, which is in `sut`, and `judge` gives the verdict. `self_check` tests the fuzzer and the judge. No module here
//! uses the crate's own frames.

#![expect(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

#[cfg(feature = "deflate")]
mod deflate;
mod fuzzer;
mod judge;
mod script;
mod self_check;
#[path = "../shared/mod.rs"]
mod shared;
mod sut;
mod vectors;

use websocket_proto::Role;

use fuzzer::{Delivery, play};
use judge::judge;
use script::script;
use vectors::{Case, cases};

/// Replayed sections: the start of their ids, the number of cases, and a test for each role.
macro_rules! sections {
    ($($name:ident: $section:literal, $count:literal;)+) => {
        const SECTIONS: &[(&str, usize)] = &[$(($section, $count)),+];

        mod server {
            $(#[test] fn $name() { crate::replay($section, websocket_proto::Role::Server); })+
        }

        mod client {
            $(#[test] fn $name() { crate::replay($section, websocket_proto::Role::Client); })+
        }
    };
}

sections! {
    framing: "1.", 16;
    pings_and_pongs: "2.", 11;
    reserved_bits: "3.", 7;
    opcodes: "4.", 10;
    fragmentation: "5.", 20;
    utf8: "6.", 145;
    closing: "7.", 37;
    long_texts: "9.1.", 6;
    long_binaries: "9.2.", 6;
    long_fragmented_texts: "9.3.", 9;
    long_fragmented_binaries: "9.4.", 9;
    long_chopped_texts: "9.5.", 6;
    long_chopped_binaries: "9.6.", 6;
    text_round_trips: "9.7.", 6;
    binary_round_trips: "9.8.", 6;
    auto_fragmentation: "10.", 1;
}

/// Sections about permessage-deflate, which `deflate` replays.
const DEFLATE: &[(&str, usize)] = &[("12.", 90), ("13.", 126)];

#[test]
fn every_case_is_in_one_section() {
    let ids = vectors::ids();
    let sections = SECTIONS.iter().chain(DEFLATE);
    for (section, count) in sections.clone() {
        assert_eq!(ids.iter().filter(|id| id.starts_with(section)).count(), *count, "section {section}");
    }
    assert_eq!(sections.map(|(_, count)| count).sum::<usize>(), ids.len());
}

fn replay(section: &str, role: Role) {
    let mut failures = Vec::new();
    for case in cases(section) {
        let bursts = script(&case, role);
        for delivery in deliveries(&case) {
            let outcome = play(&case, &bursts, role, delivery, sut::echo);
            let verdict = judge(&case, role, &outcome);
            if !verdict.passes() {
                failures.push(format!("{} as {role:?}, {delivery:?}: {verdict:?}\n    {outcome:?}", case.id));
            }
        }
    }
    assert!(failures.is_empty(), "{} replays failed\n{}", failures.len(), failures.join("\n"));
}

/// The ways to cut a case into reads. Megabytes byte by byte take too long without optimisation: long messages are cut
/// only at random.
fn deliveries(case: &Case) -> Vec<Delivery> {
    let mut deliveries = vec![Delivery::Whole, Delivery::AsWritten];
    deliveries.extend((1..=4).map(Delivery::Random));
    if case.payload_len() <= 256 << 10 {
        deliveries.push(Delivery::ByteByByte);
    }
    deliveries
}
