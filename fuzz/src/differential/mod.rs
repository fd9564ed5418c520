//! Differential fuzzing: other implementations receive the same bytes as this crate, and must give the same events and
//! frames.
//!
//! [`differences`] names each intended difference and says when it applies; `fuzz/DIFFERENCES.md` says why. With any
//! other difference, one of the two is wrong.

mod differences;
mod faults;
mod ours;
mod sockudo;
mod stream;
mod tungstenite;

pub use differences::{Difference, SOCKUDO, TUNGSTENITE};

use crate::harness::bytes::Bytes;
use crate::harness::deflate::frames;
use crate::harness::peers::flag;
use crate::harness::wire::{Decoder, Item};
use differences::Case;

/// Small, so that short inputs reach them.
const MAX_FRAME: usize = 300;
const MAX_MESSAGE: usize = 500;

/// Compares with tungstenite, which has no compression.
///
/// Returns the names of the intended differences that were found.
pub fn against_tungstenite(data: &[u8]) -> Vec<&'static str> {
    compare(data, !flag::DEFLATE, tungstenite::run, TUNGSTENITE)
}

/// Compares with sockudo-ws, with compression.
///
/// Returns the names of the intended differences that were found.
pub fn against_sockudo(data: &[u8]) -> Vec<&'static str> {
    compare(data, !0, sockudo::run, SOCKUDO)
}

fn compare(data: &[u8], flags: u8, peer: fn(&Setup, &[u8]) -> Outcome, intended: &[Difference]) -> Vec<&'static str> {
    let mut data = Bytes::new(data);
    let setup = Setup { flags: data.byte() & flags };
    let is_masked = !setup.has(flag::CLIENT);
    let mut stream = if setup.has(flag::FRAMES) { frames(is_masked, &mut data) } else { data.rest().to_vec() };
    let ours = ours::run(&setup, &stream);
    if let Some(Step::Fault(_)) = ours.steps.last() {
        // Completes the frame and the message, for peers that report faults only then.
        stream = stream::completed(stream);
        assert_eq!(ours, ours::run(&setup, &stream), "bytes after a fault do not change it");
    }
    let theirs = peer(&setup, &stream);
    let case = Case::new(&setup, &stream, &ours, &theirs);
    case.differences(intended)
        .unwrap_or_else(|| panic!("received: {stream:x?}\nours: {ours:x?}\ntheirs: {theirs:x?}\n{case:x?}"))
}

#[derive(Debug)]
pub(crate) struct Setup {
    flags: u8,
}

impl Setup {
    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// The events that an endpoint reports, and the frames that it sends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The steps; the last is the end.
    steps: Vec<Step>,
    sent: Vec<Item>,
}

impl Outcome {
    fn new(setup: &Setup, steps: Vec<Step>, sent: &[u8]) -> Self {
        let mut decoder = Decoder::of_frames(setup.has(flag::CLIENT));
        let sent = decoder.feed(sent);
        assert!(decoder.is_between_frames(), "half a frame sent");
        Self { steps, sent }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// The end by the peer's Close: its code, if any, and reason.
    Close(Option<(u16, String)>),
    /// The end by the peer's fault: the close code for it.
    Fault(u16),
    /// The end of the stream, without a Close.
    Eof,
}
