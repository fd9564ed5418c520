//! The compressor and the decompressor: zlib streams that begin and end where messages do.

use alloc::vec::Vec;

use zlib_rs::{DeflateConfig, DeflateFlush, Inflate, InflateFlush, Status};

use super::negotiation::Agreed;

/// The empty stored block that ends every message and does not travel (RFC 7692 §7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// How much is decompressed before it is looked at.
const PIECE: usize = 8 << 10;

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

    /// How much room is likely to be enough: right for what cannot be compressed, too much for the rest.
    pub(crate) fn expected_len(len: usize) -> usize {
        len.saturating_add(64)
    }

    fn serves(&self, agreed: Agreed) -> bool {
        self.config == wanted(agreed)
    }

    /// Appends the compressed fragment to `out`. Ends every fragment at the border of a byte; the last one without the
    /// tail (RFC 7692 §7.2.1). Returns whether it worked: if not, `out` is as it was.
    pub(crate) fn compress(&mut self, mut payload: &[u8], fin: bool, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        let mut len = start;
        loop {
            out.resize(len.saturating_add(Self::expected_len(payload.len())), 0);
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

/// Why decompressing stopped.
#[derive(Clone, Copy, Debug)]
pub(crate) enum InflateFault<E> {
    /// Not DEFLATE, or cut short.
    Data,
    /// The sink refused what came out.
    Refused(E),
}

impl Decompressor {
    fn new() -> Self {
        Self { inflate: Inflate::new(false, 15), at_start: true, is_full: false }
    }

    /// Decompresses the next bytes of a message and gives what comes out to `sink`, piece by piece, at most `most` bytes
    /// of it. Returns how many bytes it read. What comes out is given before it is known whether the bytes behind it are
    /// good.
    pub(crate) fn push<E>(
        &mut self,
        bytes: &[u8],
        mut most: usize,
        mut sink: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> (usize, Result<(), InflateFault<E>>) {
        let (mut piece, mut read) = ([0; PIECE], 0);
        // A full piece may have left more behind, which has to come before anything else is looked at.
        while most > 0 && (read < bytes.len() || self.is_full) {
            let piece = piece.get_mut(..most.min(PIECE)).unwrap_or_default();
            let step = self.step(bytes.get(read..).unwrap_or_default(), InflateFlush::NoFlush, piece, &mut sink);
            let Ok((consumed, written, ended)) = step else { return (read, step.map(|_| ())) };
            self.is_full = written == piece.len();
            self.at_start = false;
            (read, most) = (read + consumed, most - written);
            if ended {
                // RFC 7692 §7.2.3.4: a block with BFINAL set ends its stream, and the next block begins another.
                self.inflate.reset(false);
            }
        }
        (read, Ok(()))
    }

    /// Whether more may come out before anything else is read.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full
    }

    /// Ends a message (RFC 7692 §7.2.2): appends the tail, and requires that it ends a block there. `takeover`: whether
    /// the next message may refer to this one.
    pub(crate) fn finish<E>(&mut self, takeover: bool) -> Result<(), InflateFault<E>> {
        // zlib stops at the end of a block, if it is told so. One byte more than the tail shows where it stopped: a
        // message that was cut short swallows that too, or has stopped before, or takes the tail for its data.
        const PROBE: [u8; 5] = [0x00, 0x00, 0xff, 0xff, 0x00];

        if !self.at_start {
            // At a border nothing comes out; anything that does shows that it is none.
            let mut piece = [0; 64];
            let (read, written, ended) = self.step(&PROBE, InflateFlush::Block, &mut piece, &mut |_| Ok(()))?;
            if (read, written, ended) != (TAIL.len(), 0, false) {
                return Err(InflateFault::Data);
            }
        }
        if takeover {
            self.at_start = true;
        } else {
            self.restart();
        }
        Ok(())
    }

    /// One call of zlib's: how much it read and wrote, and whether the stream ended.
    fn step<E>(
        &mut self,
        bytes: &[u8],
        flush: InflateFlush,
        piece: &mut [u8],
        sink: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(usize, usize, bool), InflateFault<E>> {
        let (read, written) = (self.inflate.total_in(), self.inflate.total_out());
        let status = self.inflate.decompress(bytes, piece, flush);
        let read = (self.inflate.total_in() - read) as usize;
        let written = (self.inflate.total_out() - written) as usize;
        sink(piece.get(..written).unwrap_or_default()).map_err(InflateFault::Refused)?;
        match status {
            Ok(Status::StreamEnd) => Ok((read, written, true)),
            Ok(_) if read > 0 || written > 0 || bytes.is_empty() => Ok((read, written, false)),
            _ => Err(InflateFault::Data),
        }
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
