//! Checks that the committed corpora show every intended difference from other implementations, and no other.

#![cfg(feature = "peers")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use websocket_proto_fuzz::differential::{Difference, SOCKUDO, TUNGSTENITE, against_sockudo, against_tungstenite};

#[test]
fn tungstenite_shows_exactly_the_intended_differences() {
    check("against_tungstenite", against_tungstenite, TUNGSTENITE);
}

#[test]
fn sockudo_shows_exactly_the_intended_differences() {
    check("against_sockudo", against_sockudo, SOCKUDO);
}

/// Each difference must appear: one that no input shows may be gone, if a newer peer has fixed it.
fn check(target: &str, compare: fn(&[u8]) -> Vec<&'static str>, intended: &[Difference]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let list = fs::read_to_string(root.join("DIFFERENCES.md")).expect("the list");
    let (mut seen, mut inputs) = (BTreeSet::new(), 0);
    for entry in fs::read_dir(root.join("corpus").join(target)).expect("a corpus") {
        let path = entry.expect("a directory entry").path();
        println!("{}", path.display());
        seen.extend(compare(&fs::read(path).expect("a readable file")));
        inputs += 1;
    }
    assert!(inputs > 0);
    let names: BTreeSet<_> = intended.iter().map(|difference| difference.name).collect();
    assert_eq!(seen, names);
    for name in names {
        assert!(list.contains(&format!("| {name} |")), "{name} is not in DIFFERENCES.md");
    }
}
