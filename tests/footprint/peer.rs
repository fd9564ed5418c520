//! Peers that read some bytes of an output, and leave the rest.

use super::*;
pub(super) use crate::shared::data::Noise;

/// The number of bytes that a peer reads after each of our reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    Nothing,
    /// A few, at random.
    Sips,
    /// Up to all waiting bytes, at random.
    Gulps,
    AllButOne,
}

pub(super) const READERS: [Reader; 4] = [Reader::Nothing, Reader::Sips, Reader::Gulps, Reader::AllButOne];

/// The output to a peer, and how the peer reads.
pub(super) struct Backlog {
    pub(super) output: Output,
    reader: Reader,
    noise: Noise,
    /// The most bytes that have waited.
    pub(super) most: usize,
}

impl Backlog {
    pub(super) fn of(reader: Reader) -> Self {
        Self { output: Output::new(), reader, noise: Noise(42), most: 0 }
    }

    /// Records the number of waiting bytes; called after each write.
    pub(super) fn note(&mut self) {
        self.most = self.most.max(self.output.len());
    }

    /// The peer reads.
    pub(super) fn take(&mut self) {
        self.note();
        let waiting = self.output.len();
        let count = match self.reader {
            Reader::Nothing => 0,
            Reader::Sips => self.noise.below(20),
            Reader::Gulps => {
                // Sometimes almost everything.
                let most = if self.noise.below(8) == 0 { waiting } else { waiting / 4 };
                self.noise.below(most + 1)
            }
            Reader::AllButOne => waiting.saturating_sub(1),
        };
        self.output.advance(count.min(waiting));
    }
}

/// Receives, accepts every request, and ignores every other event. Returns the number of message bytes.
pub(super) fn absorb(ws: &mut Connection, bytes: &mut [u8], piece: usize, backlog: &mut Backlog) -> usize {
    let mut received = 0;
    for piece in bytes.chunks_mut(piece) {
        let mut input = Input::new(piece);
        while let Some(event) = ws.receive(&mut input, &mut backlog.output) {
            match event {
                Event::Request(request) => ws.accept(request, &mut backlog.output),
                Event::Text(text) | Event::TextPart { text, .. } => received += text.len(),
                Event::Binary(data) | Event::BinaryPart { data, .. } => received += data.len(),
                _ => {}
            }
            backlog.note();
        }
        backlog.take();
    }
    received
}

/// The buffer that an output keeps when fewer bytes wait in it.
pub(super) const KEPT: usize = 128 << 10;

/// Calls `send` `rounds` times, each time if fewer than `limit` bytes wait; after each call the peer reads. Also
/// returns the output's heap, now and at its peak, in bytes.
pub(super) fn send_to(
    reader: Reader,
    rounds: usize,
    limit: usize,
    mut send: impl FnMut(&mut Output),
) -> (Backlog, usize, usize) {
    let (backlog, _, held, peak) = measure(|| {
        let mut backlog = Backlog::of(reader);
        for _ in 0..rounds {
            if backlog.output.len() < limit {
                send(&mut backlog.output);
            }
            backlog.take();
        }
        backlog
    });
    (backlog, held.cast_unsigned(), peak.cast_unsigned())
}
