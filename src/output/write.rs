//! Appends bytes, frames and other outputs to an [`Output`].

use alloc::vec::Vec;

use bytes::Bytes;

use super::Output;
use crate::deflate::SharedCodecs;
use crate::error::OutOfMemory;
use crate::frame::{EncodedHeader, FrameHeader, ShortHeader};
use crate::mask::apply_mask;
use crate::mask::kernel;

impl Output {
    /// Moves all bytes of `other` to the end of this output, for instance from a shared output to the backlog of a
    /// connection whose socket is full. Payloads held by reference are not copied. Other bytes are, unless this output
    /// is empty and the buffer of `other` is at least half full: then the buffer itself moves.
    ///
    /// # Examples
    /// ```
    /// use websocket_proto::{ClientRequest, Config, Connection, Output};
    ///
    /// let (mut shared, mut backlog) = (Output::new(), Output::new());
    /// Connection::client(&ClientRequest::new("ws://example.com/"), Config::new(), [0; 32], &mut shared)?;
    /// backlog.append(&mut shared);
    /// assert!(shared.is_empty() && !backlog.is_empty());
    /// # Ok::<_, websocket_proto::RequestError>(())
    /// ```
    pub fn append(&mut self, other: &mut Output) {
        if other.is_empty() {
            return;
        }
        if self.is_empty() && other.queue.is_well_filled() {
            core::mem::swap(self, other);
            // Each output keeps its own codecs.
            core::mem::swap(&mut self.codecs, &mut other.codecs);
        } else {
            let (own_len, len) = (self.own_bytes().len(), self.len());
            self.append_pongs(own_len, other);
            if let Some(extras) = other.extras.as_mut().filter(|extras| !extras.is_empty()) {
                let own_extras = self.extras.get_or_insert_default();
                own_extras.shared_chunks.append(own_len, &mut extras.shared_chunks);
                own_extras.buffered.append(len, &mut extras.buffered);
            }
            self.write(other.own_bytes());
        }
        other.clear();
    }

    /// Exchanges the waiting bytes, and the memory that they are in. Each output keeps its codecs.
    pub(crate) fn swap_bytes(&mut self, other: &mut Output) {
        core::mem::swap(self, other);
        core::mem::swap(&mut self.codecs, &mut other.codecs);
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.queue.with_room(bytes.len()).extend_from_slice(bytes);
    }

    /// Reserves room for `expected` bytes and lets `fill` append any number.
    pub(crate) fn write_with(&mut self, expected: usize, fill: impl FnOnce(&mut Vec<u8>)) {
        fill(self.queue.with_room(expected));
        self.queue.shrink();
    }

    /// Writes a frame: its encoded header, and its payload, masked with `key` if there is one. The header must contain
    /// the same key. Returns the frame's length.
    #[inline]
    pub(crate) fn write_frame(&mut self, header: &EncodedHeader, key: Option<[u8; 4]>, payload: &[u8]) -> usize {
        let bytes = self.queue.with_room(header.padded().len().saturating_add(payload.len()));
        kernel::append_frame(header.padded(), header.as_ref().len(), key, payload, bytes);
        header.as_ref().len() + payload.len()
    }

    /// Whether [`write_short_frame`](Self::write_short_frame) has room for a payload of `len` bytes.
    #[inline]
    pub(crate) fn has_room(&self, len: usize) -> bool {
        self.queue.spare() >= size_of::<u64>() + len
    }

    /// Writes a frame if there is room for it. Returns whether there was.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a caller with a constant key or length needs a part of it")]
    pub(crate) fn write_short_frame(&mut self, header: ShortHeader, key: Option<[u8; 4]>, payload: &[u8]) -> bool {
        kernel::append_short_frame(header, key, payload, self.queue.buffer())
    }

    /// Writes a frame: copies its header and keeps its payload by reference, which is faster from `REFERENCE_MIN` bytes
    /// on. For a prepared frame, `header` is empty and `payload` is the whole frame.
    pub(crate) fn write_shared_frame(&mut self, header: &[u8], payload: Bytes) {
        self.write(header);
        let own_len = self.own_bytes().len();
        self.extras.get_or_insert_default().shared_chunks.push(own_len, payload);
        self.keep_last_pong();
    }

    /// Writes a frame. Reserves room for a payload of `expected` bytes, lets `fill` append the payload, and calls
    /// `make_header` with its length for the header and the mask key. Writes nothing if there is no memory. Returns the
    /// frame's length.
    pub(crate) fn write_frame_with(
        &mut self,
        expected: usize,
        fill: impl FnOnce(&mut Vec<u8>) -> Result<(), OutOfMemory>,
        make_header: impl FnOnce(usize) -> (EncodedHeader, Option<[u8; 4]>),
    ) -> Result<usize, OutOfMemory> {
        let bytes = self.queue.try_with_room(expected.saturating_add(FrameHeader::MAX_LEN))?;
        let start = bytes.len();
        let payload_start = start.saturating_add(FrameHeader::MAX_LEN);
        bytes.resize(payload_start, 0);
        let filled = fill(bytes);
        if filled.is_ok() {
            let (header, key) = make_header(bytes.len().saturating_sub(payload_start));
            if let (Some(key), Some(payload)) = (key, bytes.get_mut(payload_start..)) {
                apply_mask(key, payload);
            }
            // The header replaces the room reserved for the longest one.
            bytes.splice(start..payload_start, header.as_ref().iter().copied());
        } else {
            bytes.truncate(start);
        }
        let len = bytes.len().saturating_sub(start);
        self.queue.shrink();
        filled.map(|()| len)
    }

    /// The codecs that connections share.
    pub(crate) fn codecs(&mut self) -> &mut SharedCodecs {
        &mut self.codecs
    }

    /// Makes room for `additional` bytes; returns an error if there is no memory.
    pub(crate) fn try_reserve(&mut self, additional: usize) -> Result<(), OutOfMemory> {
        self.queue.try_with_room(additional)?;
        Ok(())
    }

    /// Counts the last frame as `message_bytes` bytes of a message, for [`buffered_amount`](Self::buffered_amount).
    pub(crate) fn count_message(&mut self, message_bytes: usize, compressed: bool) {
        if message_bytes > 0 {
            let len = self.len();
            self.extras.get_or_insert_default().buffered.push(len, message_bytes, compressed);
        }
    }

    /// Writes a pong frame. It replaces the last pong if more than `budget` bytes of pongs wait, no part of the last
    /// pong has been written, and nothing follows it. Returns the length of the replaced pong, or 0.
    pub(crate) fn write_pong(
        &mut self,
        header: &EncodedHeader,
        key: Option<[u8; 4]>,
        payload: &[u8],
        budget: usize,
    ) -> usize {
        // RFC 6455 §5.5.3: "If an endpoint receives a Ping frame and has not yet sent Pong frame(s) in response to
        // previous Ping frame(s), the endpoint MAY elect to send a Pong frame for only the most recently processed
        // Ping frame."
        let replaced = if self.waiting_pong_bytes() > budget { self.remove_last_pong() } else { 0 };
        let len = self.write_frame(header, key, payload);
        self.count_pong(len);
        replaced
    }
}
