//! The verdict, found as the suite finds it.

use websocket_proto::Role;

use crate::fuzzer::{Close, Outcome};
use crate::vectors::{Case, Seen};

/// In the suite's words.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Verdict<'c> {
    pub(crate) behavior: &'c str,
    pub(crate) close: &'c str,
}

impl Verdict<'_> {
    /// Nothing less than OK, unless any outcome passes.
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
        // The suite's informational cases judge only the reaction to what was sent; this is about what was answered.
        _ if is_illegal => "FAILED",
        _ if case.informational => "INFORMATIONAL",
        Some((behavior, _)) if !is_fatal => behavior,
        _ => "FAILED",
    };
    Verdict { behavior, close }
}

fn judge_close(case: &Case, role: Role, outcome: &Outcome) -> &'static str {
    // Besides what the suite sees: the application has to know that it was clean.
    let is_clean = outcome.closed_by_fuzzer && outcome.close.is_some() && outcome.told.was_clean();
    match &outcome.close {
        _ if case.close.by_fuzzer != outcome.closed_by_fuzzer => "FAILED",
        _ if case.close.clean && !is_clean => "UNCLEAN",
        Some(Close { code: Some(code) }) if !case.close.codes.contains(code) => "WRONG CODE",
        // RFC 6455 §7.1.1: it is the server that closes the transport first.
        _ if role == Role::Server && !outcome.sut_hung_up => "FAILED BY CLIENT",
        _ => "OK",
    }
}
