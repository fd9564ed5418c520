//! The intended differences; `fuzz/DIFFERENCES.md` has the reason for each.

use super::faults::{Cause, Faults};
use super::{Outcome, Setup, Step};
use crate::harness::peers::flag;
use crate::harness::wire::Item;

/// A difference, and the cases in which it is allowed.
pub struct Difference {
    /// The id in `tests/conformance/rows.tsv` of the rule in question, or words if no rule applies.
    pub name: &'static str,
    part: Part,
    applies: fn(&Case<'_>) -> bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// The events that the application receives.
    Steps,
    Pongs,
    /// The Close frame that is sent.
    Close,
}

pub const TUNGSTENITE: &[Difference] = &[
    LENGTH_NOT_MINIMAL,
    LENGTH_TOP_BIT,
    FORBIDDEN_CODE,
    BAD_GATEWAY,
    SEVERAL_FAULTS,
    PING_WHILE_CLOSING,
    CLOSE_AFTER_FAULT,
    REASON_ECHOED,
];

pub const SOCKUDO: &[Difference] = &[
    DEFLATE_WINDOW,
    DEFLATE_LEFT_OVER,
    DEFLATE_CUT_SHORT,
    DEFLATE_EMPTY,
    FAULT_IN_FRAGMENT,
    SEVERAL_FAULTS,
    CLOSE_AFTER_FAULT,
    REASON_ECHOED,
];

const LENGTH_NOT_MINIMAL: Difference = Difference {
    name: "6455-5.2-9",
    part: Part::Steps,
    applies: |case| case.our_fault() == Some(1002) && case.faults.has(Cause::LengthNotMinimal),
};

const LENGTH_TOP_BIT: Difference = Difference {
    name: "6455-5.2-7",
    part: Part::Steps,
    applies: |case| {
        case.our_fault() == Some(1002)
            && matches!(case.theirs, [Step::Fault(1009)])
            && case.faults.has(Cause::LengthTopBitSet)
    },
};

const FORBIDDEN_CODE: Difference = Difference {
    name: "6455-7.4.2-2",
    part: Part::Steps,
    applies: |case| {
        // It accepts any code in the answer to its own Close.
        let read = if case.setup.has(flag::CLOSE) { case.faults.close_code() } else { Some(1002) };
        case.our_fault() == Some(1002) && case.faults.close_code().is_some() && case.their_close() == read
    },
};

const BAD_GATEWAY: Difference = Difference {
    name: "IANA-close-1",
    part: Part::Steps,
    applies: |case| matches!(case.ours, [Step::Close(Some((1014, _)))]) && case.their_close() == Some(1002),
};

const SEVERAL_FAULTS: Difference = Difference {
    name: "several faults",
    part: Part::Steps,
    applies: |case| {
        case.our_fault().is_some_and(|code| case.faults.has_code(code))
            && matches!(case.theirs, [Step::Fault(code)] if case.faults.has_code(*code))
    },
};

const FAULT_IN_FRAGMENT: Difference = Difference {
    name: "6455-5.6-6",
    part: Part::Steps,
    applies: |case| {
        let is_control = |step: &&Step| matches!(step, Step::Ping(_) | Step::Pong(_));
        let controls = case.theirs.iter().take_while(is_control).count();
        case.setup.has(flag::DEFLATE)
            && case.our_fault().is_some_and(|code| case.faults.has_code(code))
            && match case.theirs[controls..] {
                [Step::Fault(code)] => case.faults.has_code(code) && controls > 0,
                [Step::Close(_)] => true,
                _ => false,
            }
    },
};

const DEFLATE_WINDOW: Difference = Difference {
    name: "7692-7.2.1-5",
    part: Part::Steps,
    applies: |case| case.our_fault() == Some(1007) && case.faults.has(Cause::WindowEnded),
};

const DEFLATE_CUT_SHORT: Difference = Difference {
    name: "7692-7.2.2-7",
    part: Part::Steps,
    applies: |case| {
        // Bytes that start a code for one inflater may be invalid for another.
        let is_not_whole = case.faults.has(Cause::DeflateCutShort) || case.faults.has(Cause::NotDeflate);
        case.our_fault() == Some(1007) && is_not_whole && case.they_continue()
    },
};

const DEFLATE_LEFT_OVER: Difference = Difference {
    name: "7692-7.2.2-8",
    part: Part::Steps,
    applies: |case| case.our_fault() == Some(1007) && case.faults.has(Cause::AfterFinalBlock) && case.they_continue(),
};

const DEFLATE_EMPTY: Difference = Difference {
    name: "7692-7.2.2-9",
    part: Part::Steps,
    applies: |case| {
        // If the peer sees a fault here, it is not one of ours.
        case.faults.has_empty_deflate && case.our_fault().is_none_or(|code| case.faults.has_code(code))
    },
};

const PING_WHILE_CLOSING: Difference = Difference {
    name: "6455-5.5.2-2",
    part: Part::Pongs,
    applies: |case| {
        let pings =
            case.agreed.iter().filter_map(|step| if let Step::Ping(data) = step { Some(&**data) } else { None });
        let answers = pongs(case.sent[0]).take(pings.clone().count());
        case.setup.has(flag::CLOSE) && answers.eq(pings) && pongs(case.sent[1]).next().is_none()
    },
};

const CLOSE_AFTER_FAULT: Difference = Difference {
    name: "6455-7.1.7-5",
    part: Part::Close,
    applies: |case| {
        let Some(Step::Fault(code)) = case.agreed.last() else { return false };
        closes(case.sent[0]).eq([code.to_be_bytes()]) && closes(case.sent[1]).next().is_none()
    },
};

const REASON_ECHOED: Difference = Difference {
    name: "6455-5.5.1-8",
    part: Part::Close,
    applies: |case| {
        let [ours, theirs] = case.sent.map(|sent| closes(sent).last());
        ours.zip(theirs).is_some_and(|(ours, theirs)| ours.len() == 2 && theirs.starts_with(ours))
    },
};

/// Two outcomes of a stream, split where they first differ.
#[derive(Debug)]
pub(crate) struct Case<'o> {
    setup: &'o Setup,
    /// The stream's faults, if the steps differ; otherwise none.
    faults: Faults,
    agreed: &'o [Step],
    ours: &'o [Step],
    theirs: &'o [Step],
    /// The frames that each side sent: ours, then theirs.
    sent: [&'o [Item]; 2],
}

impl<'o> Case<'o> {
    pub(super) fn new(setup: &'o Setup, stream: &[u8], ours: &'o Outcome, theirs: &'o Outcome) -> Self {
        let same = ours.steps.iter().zip(&theirs.steps).take_while(|(ours, theirs)| ours == theirs).count();
        let ((agreed, ours_alone), theirs_alone) = (ours.steps.split_at(same), &theirs.steps[same..]);
        let is_same = ours_alone.is_empty() && theirs_alone.is_empty();
        let faults = if is_same { Faults::default() } else { Faults::of(setup, stream) };
        Self { setup, faults, agreed, ours: ours_alone, theirs: theirs_alone, sent: [&ours.sent, &theirs.sent] }
    }

    /// The names of all differences, or `None` if one of them is not intended.
    pub(super) fn differences(&self, intended: &[Difference]) -> Option<Vec<&'static str>> {
        let pings = self.agreed.iter().filter(|step| matches!(step, Step::Ping(_))).count();
        let [our_pongs, their_pongs] = self.sent.map(|sent| pongs(sent).take(pings));
        let [our_closes, their_closes] = self.sent.map(closes);
        let agree = self.ours == self.theirs;
        let checks = [
            (Part::Steps, !agree),
            (Part::Pongs, !our_pongs.eq(their_pongs)),
            (Part::Close, agree && !our_closes.eq(their_closes)),
        ];
        let name = |part| intended.iter().find(|known| known.part == part && (known.applies)(self)).map(|it| it.name);
        checks.into_iter().filter(|(_, differs)| *differs).map(|(part, _)| name(part)).collect()
    }

    fn our_fault(&self) -> Option<u16> {
        if let [Step::Fault(code)] = self.ours { Some(*code) } else { None }
    }

    fn they_continue(&self) -> bool {
        matches!(self.theirs, [Step::Text(_) | Step::Binary(_), ..])
    }

    fn their_close(&self) -> Option<u16> {
        if let [Step::Close(Some((code, _)))] = self.theirs { Some(*code) } else { None }
    }
}

fn pongs(sent: &[Item]) -> impl Iterator<Item = &[u8]> {
    sent.iter().filter_map(|item| if let Item::Pong(data) = item { Some(&**data) } else { None })
}

fn closes(sent: &[Item]) -> impl Iterator<Item = &[u8]> {
    sent.iter().filter_map(|item| if let Item::Close(body) = item { Some(&**body) } else { None })
}
