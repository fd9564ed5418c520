//! The verdict on a case, by the suite's rules.

use websocket_proto::Role;

use crate::fuzzer::{Close, Outcome};
use crate::vectors::{Case, Seen};

/// A verdict, in the suite's words.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Verdict<'c> {
    pub(crate) behavior: &'c str,
    pub(crate) close: &'c str,
}

impl Verdict<'_> {
    /// Whether both verdicts are OK, or any outcome passes.
    pub(crate) fn passes(&self) -> bool {
        self.behavior == "INFORMATIONAL" || (self.behavior, self.close) == ("OK", "OK")
    }
}

pub(crate) fn judge<'c>(case: &'c Case, role: Role, outcome: &Outcome) -> Verdict<'c> {
    let close = judge_close(case, role, outcome);
    let wrong_side = case.close.by_fuzzer != outcome.closed_by_fuzzer;
    let is_fatal = case.close.side_is_fatal && wrong_side || case.code_is_fatal && close == "WRONG CODE";
    let is_illegal = outcome.seen.iter().any(|seen| matches!(seen, Seen::Illegal(_)));
    let earned = case.expect.iter().find(|(_, expected)| *expected == outcome.seen);
    let behavior = match earned {
        // In informational cases the suite judges only reactions to its own bytes; illegal answers fail here
        // nevertheless.
        _ if is_illegal => "FAILED",
        _ if case.informational => "INFORMATIONAL",
        Some((behavior, _)) if !is_fatal => behavior,
        _ => "FAILED",
    };
    Verdict { behavior, close }
}

fn judge_close(case: &Case, role: Role, outcome: &Outcome) -> &'static str {
    // Beyond what the suite can see: the application must be told that the end was clean.
    let is_clean = outcome.closed_by_fuzzer && outcome.close.is_some() && outcome.told.was_clean();
    match &outcome.close {
        _ if case.close.by_fuzzer != outcome.closed_by_fuzzer => "FAILED",
        _ if case.close.clean && !is_clean => "UNCLEAN",
        Some(Close { code: Some(code) }) if !case.close.codes.contains(code) => "WRONG CODE",
        // RFC 6455 §7.1.1: the server closes the transport first.
        _ if role == Role::Server && !outcome.sut_hung_up => "FAILED BY CLIENT",
        _ => "OK",
    }
}
