//! The compressor and the decompressor: zlib streams that begin and end where messages do. Of frames and of limits they
//! know nothing.

use alloc::vec::Vec;

use zlib_rs::{DeflateConfig, DeflateFlush, Inflate, InflateFlush, Status};

use super::negotiation::Agreed;

/// The empty stored block that ends every message and does not travel (RFC 7692 §7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// zlib gets no less room at a time, unless it is the last.
const MIN_ROOM: usize = 64;

/// A compressor and a decompressor, each made when the first message needs it.
#[derive(Debug, Default)]
pub(crate) struct Codecs {
    pub(crate) compressor: Option<Compressor>,
    pub(crate) decompressor: Option<Decompressor>,
}

impl Codecs {
    /// The compressor for what was agreed. A shared one that was made for something else is made anew.
    pub(crate) fn compressor(&mut self, agreed: Agreed) -> &mut Compressor {
        let kept = self.compressor.take().filter(|compressor| compressor.serves(agreed));
        self.compressor.insert(kept.unwrap_or_else(|| Compressor::new(agreed)))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.compressor.is_none() && self.decompressor.is_none()
    }

    pub(crate) fn decompressor(&mut self) -> &mut Decompressor {
        self.decompressor.get_or_insert_with(Decompressor::new)
    }
}

/// Compresses messages, one fragment at a time.
pub(crate) struct Compressor {
    deflate: zlib_rs::Deflate,
    config: (u8, u8, u8),
}

impl Compressor {
    pub(crate) fn new(agreed: Agreed) -> Self {
        let config = DeflateConfig {
            level: i32::from(agreed.level),
            window_bits: -i32::from(agreed.used_bits()),
            mem_level: i32::from(agreed.memory_level),
            ..DeflateConfig::default()
        };
        Self { deflate: zlib_rs::Deflate::new_with_config(config), config: wanted(agreed) }
    }

    /// How much room is likely to be enough.
    fn expected_len(len: usize) -> usize {
        Self::most(len / 2)
    }

    /// How much room is enough for almost everything: what cannot be compressed is stored.
    pub(crate) fn most(len: usize) -> usize {
        len.saturating_add(len / 16).saturating_add(64)
    }

    fn serves(&self, agreed: Agreed) -> bool {
        self.config == wanted(agreed)
    }

    /// Appends the compressed fragment to `out`. Ends every fragment at the border of a byte; the last one without the
    /// tail (RFC 7692 §7.2.1). Returns whether it worked: if not, `out` is as it was.
    pub(crate) fn compress(&mut self, mut payload: &[u8], fin: bool, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        let most = Self::most(payload.len());
        let (mut len, mut room) = (start, Self::expected_len(payload.len()));
        loop {
            out.reserve_exact(len.saturating_add(room).saturating_sub(out.len()));
            out.resize(len.saturating_add(room), 0);
            let (read, written) = (self.deflate.total_in(), self.deflate.total_out());
            let place = out.get_mut(len..).unwrap_or_default();
            if self.deflate.compress(payload, place, DeflateFlush::SyncFlush).is_err() {
                out.truncate(start);
                return false;
            }
            let (read, written) = (self.deflate.total_in() - read, self.deflate.total_out() - written);
            payload = payload.get(read as usize..).unwrap_or_default();
            len = len.saturating_add(written as usize);
            if payload.is_empty() && len < out.len() {
                break;
            }
            // First what the caller has reserved.
            let free = out.capacity().saturating_sub(len);
            room = if free < MIN_ROOM { most } else { most.min(free) };
        }
        out.truncate(len);
        let message = out.get(start..).unwrap_or_default();
        if !fin {
            return true;
        }
        if message.ends_with(&TAIL) {
            out.truncate(len.saturating_sub(TAIL.len()));
        } else {
            // Nothing was left to flush. RFC 7692 §7.2.3.6: an empty block is 0x00 before its tail.
            out.push(0);
        }
        true
    }

    /// Forgets what was compressed: the next message starts with an empty window.
    pub(crate) fn reset(&mut self) {
        self.deflate.reset();
    }
}

fn wanted(agreed: Agreed) -> (u8, u8, u8) {
    (agreed.level, agreed.memory_level, agreed.used_bits())
}

impl core::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Compressor").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Decompresses messages as their bytes come.
pub(crate) struct Decompressor {
    inflate: Inflate,
    /// Whether nothing has been read since the message began: then there is nothing to end.
    at_start: bool,
    /// Whether more may come out before anything else is read.
    is_full: bool,
}

/// What one call of zlib's did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Step {
    pub(crate) read: usize,
    pub(crate) written: usize,
    /// Whether the stream ended.
    ended: bool,
    /// Whether what was read is no DEFLATE.
    pub(crate) is_broken: bool,
}

impl Decompressor {
    fn new() -> Self {
        Self { inflate: Inflate::new(false, 15), at_start: true, is_full: false }
    }

    /// Decompresses the next bytes of a message to the front of `place`. What it writes is good, whatever is wrong with
    /// the bytes behind it.
    pub(crate) fn push(&mut self, bytes: &[u8], place: &mut [u8]) -> Step {
        let step = self.step(bytes, InflateFlush::NoFlush, place);
        self.is_full = step.written == place.len();
        self.at_start = false;
        if step.ended {
            // RFC 7692 §7.2.3.4: a block with BFINAL set ends its stream, and the next block begins another.
            self.inflate.reset(false);
        }
        step
    }

    /// Whether more may come out before anything else is read.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full
    }

    /// How much room is likely to be enough for what so many bytes become, if they are like those before them.
    pub(crate) fn expected_len(&self, len: usize) -> usize {
        // zlib is slow where less than 260 bytes are free.
        const SPARE: usize = 320;
        const MOST_TIMES: usize = 8;

        let (read, written) = (self.inflate.total_in(), self.inflate.total_out());
        let as_before = (len as u64).saturating_mul(written).checked_div(read);
        let expected = as_before.and_then(|len| usize::try_from(len + len / 8).ok());
        let most = len.saturating_mul(MOST_TIMES);
        expected.unwrap_or(most / 2).min(most).saturating_add(SPARE)
    }

    /// Ends a message (RFC 7692 §7.2.2): appends the tail, and returns whether that ends a block there. `takeover`:
    /// whether the next message may refer to this one.
    pub(crate) fn finish(&mut self, takeover: bool) -> bool {
        // zlib stops at the end of a block, if it is told so. One byte more than the tail shows where it stopped: a
        // message that was cut short swallows that too, or has stopped before, or takes the tail for its data.
        const PROBE: [u8; 5] = [0x00, 0x00, 0xff, 0xff, 0x00];

        if !self.at_start {
            // At a border nothing comes out; anything that does shows that it is none.
            let Step { read, written, ended, is_broken } = self.step(&PROBE, InflateFlush::Block, &mut [0; 64]);
            if (read, written, ended, is_broken) != (TAIL.len(), 0, false, false) {
                return false;
            }
        }
        if takeover {
            self.at_start = true;
        } else {
            self.restart();
        }
        true
    }

    fn step(&mut self, bytes: &[u8], flush: InflateFlush, place: &mut [u8]) -> Step {
        let (read, written) = (self.inflate.total_in(), self.inflate.total_out());
        let status = self.inflate.decompress(bytes, place, flush);
        let read = (self.inflate.total_in() - read) as usize;
        let written = (self.inflate.total_out() - written) as usize;
        let is_broken = match status {
            Ok(Status::StreamEnd) => false,
            Ok(_) => read == 0 && written == 0 && !bytes.is_empty(),
            Err(_) => true,
        };
        Step { read, written, ended: status == Ok(Status::StreamEnd), is_broken }
    }

    fn restart(&mut self) {
        self.inflate.reset(false);
        (self.at_start, self.is_full) = (true, false);
    }
}

impl core::fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Decompressor").finish_non_exhaustive()
    }
}
