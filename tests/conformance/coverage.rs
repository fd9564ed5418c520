//! Counts the rows that tests name, and says why each other row has no test.
//!
//! `cargo test conformance_coverage -- --nocapture` prints the count.

use std::collections::{BTreeMap, BTreeSet};

/// Columns: id, actor, layer, level, requirement. A copy of the table of requirements for this crate.
const TABLE: &str = include_str!("rows.tsv");

/// The tests' source text: a row is covered if a `rows!` in it names the row.
const SOURCES: &[&str] = &[
    include_str!("browser_closing.rs"),
    include_str!("browser_sending.rs"),
    include_str!("client_rejection.rs"),
    include_str!("client_request.rs"),
    include_str!("client_response.rs"),
    include_str!("close_codes.rs"),
    include_str!("closing.rs"),
    include_str!("control.rs"),
    #[cfg(feature = "deflate")]
    include_str!("deflate_negotiation.rs"),
    #[cfg(feature = "deflate")]
    include_str!("deflate_receiving.rs"),
    #[cfg(feature = "deflate")]
    include_str!("deflate_sending.rs"),
    #[cfg(feature = "deflate")]
    include_str!("deflate_unagreed.rs"),
    include_str!("endings.rs"),
    include_str!("expect.rs"),
    include_str!("extended_connect.rs"),
    include_str!("extended_connect_answer.rs"),
    include_str!("folded.rs"),
    include_str!("fragments.rs"),
    include_str!("framing.rs"),
    include_str!("head_method.rs"),
    include_str!("limits.rs"),
    include_str!("masking.rs"),
    include_str!("pong_budget.rs"),
    include_str!("request.rs"),
    include_str!("request_identity.rs"),
    include_str!("server_answer.rs"),
    include_str!("server_request.rs"),
    include_str!("start_line.rs"),
    include_str!("uri.rs"),
    include_str!("vectors.rs"),
    // The row of an intermediary, which no connection is.
    include_str!("../examples/relay.rs"),
];

/// Rows of the core without a test, each with the reason.
const WITHOUT_TEST: &[(&str, &str)] = &[
    (
        "6455-5.5.2-3",
        "in part: a pong goes out behind what is already in the output, which holds bytes and not frames; it is there when \
         the call that took the ping returns, and passes the rest of a message that is sent in fragments",
    ),
    ("6455-6.2-5", "needs an extension that changes the borders of messages; permessage-deflate is the only one"),
    ("6455-9.1-7", "needs two extensions; permessage-deflate is the only one"),
    ("6455-9.2-1", "needs an extension hook; permessage-deflate is the only extension"),
    ("7692-5-4", "needs two extensions that use RSV1; permessage-deflate is the only one"),
    ("7692-5-6", "needs two extensions; permessage-deflate is the only one"),
    ("7692-5-7", "needs two extensions; permessage-deflate is the only one"),
    ("7692-7.1.2.1-7", "not done: zlib-rs decompresses with the largest window in any case"),
    ("7692-7.1.2.2-6", "not done: zlib-rs decompresses with the largest window in any case"),
];

#[cfg(not(feature = "deflate"))]
const DEFLATE: &str = "permessage-deflate is left out of this build";

/// Rows of the core for parts of the crate that do not exist, or are not in this build, by the start of their ids.
const NOT_BUILT: &[(&str, &str)] = &[
    #[cfg(not(feature = "deflate"))]
    ("6455-4.2.2-17", DEFLATE),
    #[cfg(not(feature = "deflate"))]
    ("6455-5.4-8", DEFLATE),
    #[cfg(not(feature = "deflate"))]
    ("6455-6.1-7", DEFLATE),
    #[cfg(not(feature = "deflate"))]
    ("6455-9", DEFLATE),
    #[cfg(not(feature = "deflate"))]
    ("6455-11.3.2-2", DEFLATE),
    #[cfg(not(feature = "deflate"))]
    ("7692-", DEFLATE),
    #[cfg(not(feature = "deflate"))]
    ("WS-HS-4", DEFLATE),
];

pub(crate) fn is_row(id: &str) -> bool {
    table().any(|row| row.id == id)
}

struct Row {
    id: &'static str,
    layer: &'static str,
}

fn table() -> impl Iterator<Item = Row> {
    TABLE.lines().skip(1).map(|line| {
        let mut columns = line.split('\t');
        let id = columns.next().expect("every row has an id");
        let layer = columns.nth(1).expect("every row has a layer");
        Row { id, layer }
    })
}

/// The ids in the `rows!` of a source; comments are ignored.
fn named(source: &'static str) -> BTreeSet<&'static str> {
    let code: Vec<&str> = source.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let mut ids = BTreeSet::new();
    let mut inside = false;
    for line in code {
        let arguments = match line.split_once("rows!(") {
            Some((_, rest)) => {
                inside = true;
                rest
            }
            None => line,
        };
        if inside {
            let (arguments, ended) = arguments.split_once(')').map_or((arguments, false), |(list, _)| (list, true));
            ids.extend(arguments.split('"').skip(1).step_by(2));
            inside = !ended;
        }
    }
    ids
}

#[test]
fn conformance_coverage() {
    let covered: BTreeSet<&str> = SOURCES.iter().flat_map(|source| named(source)).collect();
    assert!(covered.iter().all(|id| is_row(id)), "no row: {covered:?}");
    let excused: BTreeMap<&str, &str> = WITHOUT_TEST.iter().copied().collect();
    let (mut core, mut tested, mut missing) = (0, 0, Vec::new());
    let mut waiting: BTreeMap<&str, u32> = BTreeMap::new();
    // "C", "C/D", "policy": every layer that includes the core.
    for row in table().filter(|row| row.layer != "A" && row.layer != "D") {
        core += 1;
        if covered.contains(row.id) {
            tested += 1;
            assert!(!excused.contains_key(row.id), "{} has a test and a reason to have none", row.id);
        } else if let Some((_, why)) = NOT_BUILT.iter().find(|(start, _)| row.id.starts_with(start)) {
            *waiting.entry(why).or_default() += 1;
        } else if !excused.contains_key(row.id) {
            missing.push(row.id);
        }
    }
    let beyond = table().filter(|row| matches!(row.layer, "A" | "D") && covered.contains(row.id)).count();
    println!("rows of the core: {core}, with a test: {tested}, without, for a stated reason: {}", excused.len());
    println!("rows of the application's or the driver's that have a test all the same: {beyond}");
    for (why, count) in waiting {
        println!("{count}: {why}");
    }
    for (id, why) in excused {
        assert!(is_row(id), "no row {id}");
        println!("{id}: {why}");
    }
    assert!(missing.is_empty(), "rows without a test: {missing:?}");
}
