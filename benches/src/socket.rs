//! A stand-in for a socket that is always ready: one copy for each read or write, and nothing else.

use std::cell::RefCell;
use std::rc::Rc;

use crate::work::Reads;

/// Reads repeat a tape for ever; writes go into a scratch buffer, and are counted. Clones are the same socket.
#[derive(Clone)]
pub struct Socket(Rc<RefCell<Wire>>);

struct Wire {
    tape: Rc<[u8]>,
    at: usize,
    reads: Reads,
    seed: u64,
    scratch: Vec<u8>,
    /// Everything that is written, while results are verified.
    record: Option<Vec<u8>>,
    writes: u64,
    written: u64,
}

impl Socket {
    pub fn new(tape: Rc<[u8]>, reads: Reads) -> Self {
        let scratch = vec![0; 2 << 20];
        Self(Rc::new(RefCell::new(Wire { tape, at: 0, reads, seed: 1, scratch, record: None, writes: 0, written: 0 })))
    }

    /// Copies what comes next into the buffer; returns how much.
    pub fn read(&self, buffer: &mut [u8]) -> usize {
        let wire = &mut *self.0.borrow_mut();
        let most = match wire.reads {
            Reads::UpTo(most) => most,
            Reads::Random => {
                wire.seed = wire.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                1 + (wire.seed >> 33) as usize % 1500
            }
        };
        let count = buffer.len().min(most).min(wire.tape.len() - wire.at);
        copy(&wire.tape[wire.at..wire.at + count], &mut buffer[..count]);
        wire.at = (wire.at + count) % wire.tape.len();
        count
    }

    /// Takes all of the buffer.
    pub fn write(&self, bytes: &[u8]) {
        let wire = &mut *self.0.borrow_mut();
        wire.writes += 1;
        wire.written += bytes.len() as u64;
        for piece in bytes.chunks(wire.scratch.len()) {
            copy(piece, &mut wire.scratch[..piece.len()]);
        }
        if let Some(record) = &mut wire.record {
            record.extend_from_slice(bytes);
        }
    }
}
