//! The committed corpora show every intended difference to other implementations, and no other.

#![cfg(feature = "peers")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use websocket_proto_fuzz::differential::{Difference, SOCKUDO, TUNGSTENITE, against_sockudo, against_tungstenite};

#[test]
fn tungstenite_differs_as_intended() {
    check("against_tungstenite", against_tungstenite, TUNGSTENITE);
}

#[test]
fn sockudo_differs_as_intended() {
    check("against_sockudo", against_sockudo, SOCKUDO);
}

/// A difference that no input shows may be gone: a newer peer can have fixed it.
fn check(target: &str, compare: fn(&[u8]) -> Vec<&'static str>, intended: &[Difference]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let list = fs::read_to_string(root.join("DIFFERENCES.md")).expect("the list is there");
    let (mut seen, mut inputs) = (BTreeSet::new(), 0);
    for entry in fs::read_dir(root.join("corpus").join(target)).expect("there is a corpus") {
        let path = entry.expect("it can be read").path();
        println!("{}", path.display());
        seen.extend(compare(&fs::read(path).expect("it can be read")));
        inputs += 1;
    }
    assert!(inputs > 0);
    let names: BTreeSet<_> = intended.iter().map(|difference| difference.name).collect();
    assert_eq!(seen, names);
    for name in names {
        assert!(list.contains(&format!("| {name} |")), "{name} is not in DIFFERENCES.md");
    }
}
