//! [`Compressor`] and [`Decompressor`]: zlib streams that start and end with messages (RFC 7692 §7.2).

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::AgreedParameters;
use super::zlib::{Call, Deflater, Inflater, Pause, Status, try_box};
use crate::error::OutOfMemory;

/// The empty stored block at the end of every message, which is not sent (RFC 7692 §7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// The least room for a call of zlib, except the last.
const MIN_ROOM: usize = 64;

/// The codecs that connections share in their output, each made when the first message needs it.
#[derive(Debug, Default)]
pub(crate) struct Codecs {
    pub(crate) compressor: Option<Box<Compressor>>,
    pub(crate) decompressor: Option<Box<Decompressor>>,
}

/// The place of shared codecs. Most outputs have none.
pub(crate) type SharedCodecs = Option<Box<Codecs>>;

impl Codecs {
    /// The codecs in this place, allocated now if there are none.
    pub(crate) fn shared(place: &mut SharedCodecs) -> Result<&mut Self, OutOfMemory> {
        if place.is_none() {
            *place = Some(try_box(Self::default())?);
        }
        place.as_deref_mut().ok_or(OutOfMemory)
    }
}

impl AgreedParameters {
    /// Messages of fewer bytes are sent uncompressed.
    pub(crate) fn threshold(self) -> usize {
        usize::from(self.threshold)
    }

    /// Whether this side's messages may refer to earlier ones.
    pub(crate) fn own_takeover(self) -> bool {
        self.own_takeover
    }

    /// Whether the peer's messages may refer to earlier ones.
    pub(crate) fn peer_takeover(self) -> bool {
        self.peer_takeover
    }

    /// Whether the codecs are shared between connections.
    pub(crate) fn is_shared(self) -> bool {
        self.shared
    }
}

/// Compresses messages, one fragment at a time.
pub(crate) struct Compressor {
    deflater: Deflater,
    config: (u8, u8, u8),
}

impl Compressor {
    pub(crate) fn new(agreed: AgreedParameters) -> Result<Self, OutOfMemory> {
        let deflater = Deflater::new(agreed.level, agreed.used_bits(), agreed.memory_level)?;
        Ok(Self { deflater, config: wanted(agreed) })
    }

    /// Room that is likely to suffice for `len` bytes.
    fn expected_len(len: usize) -> usize {
        Self::most(len / 2)
    }

    /// Room that almost always suffices for `len` bytes: incompressible data is stored.
    pub(crate) fn most(len: usize) -> usize {
        len.saturating_add(len / 16).saturating_add(64)
    }

    pub(crate) fn serves(&self, agreed: AgreedParameters) -> bool {
        self.config == wanted(agreed)
    }

    /// Appends the compressed fragment to `out`, up to a byte boundary; the last one without the tail (RFC 7692
    /// §7.2.1).
    ///
    /// # Errors
    /// Without memory. The appended bytes are useless then, and the next fragment or message refers to no earlier one.
    pub(crate) fn compress(&mut self, payload: &[u8], fin: bool, out: &mut Vec<u8>) -> Result<(), OutOfMemory> {
        let start = out.len();
        let compressed = self.append(payload, out);
        if compressed.is_err() {
            // Its window has a part of the payload, which the peer does not get.
            self.reset();
        } else if fin {
            if out.get(start..).is_some_and(|message| message.ends_with(&TAIL)) {
                out.truncate(out.len().saturating_sub(TAIL.len()));
            } else {
                // zlib had nothing to flush. RFC 7692 §7.2.3.6: an empty block is 0x00 before its tail.
                out.push(0);
            }
        }
        compressed
    }

    fn append(&mut self, mut payload: &[u8], out: &mut Vec<u8>) -> Result<(), OutOfMemory> {
        let most = Self::most(payload.len());
        let (mut len, mut room) = (out.len(), Self::expected_len(payload.len()));
        loop {
            out.try_reserve_exact(len.saturating_add(room).saturating_sub(out.len()))?;
            out.resize(len.saturating_add(room), 0);
            let Call { read, written, status } = self.deflater.run(payload, out.get_mut(len..).unwrap_or_default());
            if status != Status::Going {
                // Compressing cannot fail in another way.
                return Err(OutOfMemory);
            }
            payload = payload.get(read..).unwrap_or_default();
            len = len.saturating_add(written);
            if payload.is_empty() && len < out.len() {
                break;
            }
            // The caller's reserved room comes first.
            let free = out.capacity().saturating_sub(len);
            room = if free < MIN_ROOM { most } else { most.min(free) };
        }
        out.truncate(len);
        Ok(())
    }

    /// Starts the next message with an empty window.
    pub(crate) fn reset(&mut self) {
        self.deflater.reset();
    }
}

fn wanted(agreed: AgreedParameters) -> (u8, u8, u8) {
    (agreed.level, agreed.memory_level, agreed.used_bits())
}

impl core::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Compressor").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Decompresses messages as their bytes arrive.
pub(crate) struct Decompressor {
    inflater: Inflater,
    /// Bytes read and written since the last reset.
    read: u64,
    written: u64,
    /// Whether no byte of the message was read.
    at_start: bool,
    /// Whether more can be decompressed before anything else is read.
    is_full: bool,
}

/// The result of one call of zlib.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Step {
    pub(crate) read: usize,
    pub(crate) written: usize,
    /// Whether the stream ended.
    ended: bool,
    /// Whether the input is not DEFLATE.
    pub(crate) is_broken: bool,
}

impl Decompressor {
    pub(crate) fn new() -> Result<Self, OutOfMemory> {
        Ok(Self { inflater: Inflater::new()?, read: 0, written: 0, at_start: true, is_full: false })
    }

    /// Decompresses the next bytes of a message to the front of `place`. The written bytes are valid even if a fault
    /// follows.
    pub(crate) fn push(&mut self, bytes: &[u8], place: &mut [u8]) -> Step {
        let step = self.step(bytes, Pause::Never, place);
        self.is_full = step.written == place.len();
        self.at_start = false;
        if step.ended {
            // RFC 7692 §7.2.3.4: a block with BFINAL set ends its stream, and the next block begins another.
            self.reset();
        }
        step
    }

    /// Whether more can be decompressed before anything else is read.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full
    }

    /// Room that is likely to suffice for `len` compressed bytes, if they are like the bytes before them.
    pub(crate) fn expected_len(&self, len: usize) -> usize {
        // zlib is slow if fewer than 260 bytes are free.
        const SPARE: usize = 320;
        const MOST_TIMES: usize = 8;

        let as_before = (len as u64).saturating_mul(self.written).checked_div(self.read);
        let expected = as_before.and_then(|len| usize::try_from(len + len / 8).ok());
        let most = len.saturating_mul(MOST_TIMES);
        expected.unwrap_or(most / 2).min(most).saturating_add(SPARE)
    }

    /// Ends a message (RFC 7692 §7.2.2): reads the tail, and returns whether it ends a block. `takeover`: whether the
    /// next message may refer to this one.
    pub(crate) fn finish(&mut self, takeover: bool) -> bool {
        // zlib pauses at the end of a block on request. One byte more than the tail shows where it paused: after a
        // truncated message it reads that byte too, pauses earlier, or reads the tail as data.
        const PROBE: [u8; 5] = [0x00, 0x00, 0xff, 0xff, 0x00];

        if !self.at_start {
            // At a block boundary the tail produces no output.
            let Step { read, written, ended, is_broken } = self.step(&PROBE, Pause::AtBlocks, &mut [0; 64]);
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

    fn step(&mut self, bytes: &[u8], pause: Pause, place: &mut [u8]) -> Step {
        let Call { read, written, status } = self.inflater.run(bytes, place, pause);
        self.read = self.read.wrapping_add(read as u64);
        self.written = self.written.wrapping_add(written as u64);
        let is_stuck = read == 0 && written == 0 && !bytes.is_empty();
        let is_broken = status == Status::Broken || status == Status::Going && is_stuck;
        Step { read, written, ended: status == Status::Ended, is_broken }
    }

    /// Starts again, at the end of a message or in the middle of it.
    pub(crate) fn restart(&mut self) {
        self.reset();
        (self.at_start, self.is_full) = (true, false);
    }

    fn reset(&mut self) {
        self.inflater.reset();
        (self.read, self.written) = (0, 0);
    }
}

impl core::fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Decompressor").finish_non_exhaustive()
    }
}
