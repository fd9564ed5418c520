//! Checks SECURITY.md: it has every row of RFC 6455 §10, and the tests that it names exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const SECURITY: &str = include_str!("../SECURITY.md");
const ROWS: &str = include_str!("conformance/rows.tsv");

/// The cells of the threat table, without the heading.
fn table() -> impl Iterator<Item = Vec<&'static str>> {
    let lines = SECURITY.lines().filter(|line| line.starts_with("| ")).skip(1);
    lines.map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
}

#[test]
fn every_row_of_section_10_is_named() {
    let known: BTreeSet<&str> = ROWS.lines().filter_map(|line| line.split('\t').next()).collect();
    let named: BTreeSet<&str> = table().flat_map(|cells| cells[0].split(", ")).filter(|id| *id != "–").collect();
    assert!(named.is_subset(&known), "{:?}", named.difference(&known));
    let due: BTreeSet<&str> = known.into_iter().filter(|id| id.starts_with("6455-10.")).collect();
    assert!(due.is_subset(&named), "{:?}", due.difference(&named));
}

#[test]
fn every_named_test_exists() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    for cells in table() {
        let [_, threat, _, _, shown] = cells[..] else { panic!("{cells:?}") };
        assert!(shown.contains("::"), "nothing shows {threat}");
        for test in shown.split(", ") {
            let (file, name) = test.trim_matches('`').split_once("::").expect("a file and a name");
            let text = fs::read_to_string(tests.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
            assert!(text.contains(&format!("fn {name}(")), "{name} in {file}");
        }
    }
}
