//! [`Socket`]: an imitation of a socket that is always ready. A read or a write is one copy.

use std::cell::RefCell;
use std::io::IoSlice;
use std::rc::Rc;

use crate::aligned::Aligned;
use crate::copy::copy;
use crate::work::Reads;

/// Reads repeat a tape forever; writes go into a scratch buffer and are counted. Clones are the same socket. Like
/// system calls, reads and writes are never inlined: all contenders run the same code.
#[derive(Clone)]
pub struct Socket(Rc<RefCell<Wire>>);

struct Wire {
    tape: Rc<Aligned>,
    at: usize,
    reads: Reads,
    seed: u64,
    scratch: Aligned,
    /// The written bytes, while results are verified.
    record: Option<Vec<u8>>,
    writes: u64,
}

impl Socket {
    pub fn new(tape: Rc<Aligned>, reads: Reads) -> Self {
        let scratch = Aligned::new(128 << 10);
        Self(Rc::new(RefCell::new(Wire { tape, at: 0, reads, seed: 1, scratch, record: None, writes: 0 })))
    }

    /// Copies the next bytes of the tape into the buffer; returns their number.
    #[inline(never)]
    pub fn read(&self, buffer: &mut [u8]) -> usize {
        let wire = &mut *self.0.borrow_mut();
        let most = match wire.reads {
            Reads::UpTo(most) => most,
            Reads::Random => {
                wire.seed = wire.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                1 + (wire.seed >> 33) as usize % 1500
            }
        };
        let rest = &wire.tape[wire.at..];
        let count = buffer.len().min(most).min(rest.len());
        copy(&rest[..count], &mut buffer[..count]);
        wire.at = if count == rest.len() { 0 } else { wire.at + count };
        count
    }

    /// Writes all of the buffer.
    #[inline(never)]
    pub fn write(&self, bytes: &[u8]) {
        let wire = &mut *self.0.borrow_mut();
        wire.writes += 1;
        wire.take(bytes);
    }

    /// Writes all of the buffers, in one write.
    #[inline(never)]
    pub fn write_vectored(&self, slices: &[IoSlice<'_>]) {
        let wire = &mut *self.0.borrow_mut();
        wire.writes += 1;
        for slice in slices {
            wire.take(slice);
        }
    }

    /// Starts to record written bytes.
    pub fn record(&self) {
        self.0.borrow_mut().record = Some(Vec::new());
    }

    /// The bytes written since [`record`](Self::record).
    pub fn recorded(&self) -> Vec<u8> {
        self.0.borrow_mut().record.take().unwrap_or_default()
    }

    /// The number of writes; a vectored one counts once.
    pub fn writes(&self) -> u64 {
        self.0.borrow().writes
    }

    pub fn tape_len(&self) -> usize {
        self.0.borrow().tape.len()
    }
}

impl Wire {
    #[inline]
    fn take(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(self.scratch.len()) {
            copy(piece, &mut self.scratch[..piece.len()]);
        }
        if let Some(record) = &mut self.record {
            record.extend_from_slice(bytes);
        }
    }
}
