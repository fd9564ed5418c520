//! [`Output`]: everything owed to the peer, in order, until the caller has written it.

#[cfg(feature = "deflate")]
use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Buf;

#[cfg(feature = "deflate")]
use crate::deflate::Codecs;
#[cfg(feature = "deflate")]
use crate::frame::{EncodedHeader, FrameHeader};
use crate::mask::apply_mask;

/// Bytes to write to the transport, in order.
///
/// Every method that may owe the peer something (an HTTP response, a frame, a pong, a Close) takes an `&mut Output`
/// and appends to it: what is owed is nowhere else. It implements [`bytes::Buf`], so
/// `tokio::io::AsyncWriteExt::write_all_buf(&mut output)` and the like just work; blocking callers have
/// `write_to`. One `Output` can serve any number of connections in turn, as long as it is drained (or
/// [`append`](Self::append)ed to a backlog) before the next one uses it.
///
/// # Memory
/// An `Output` grows with what is put into it and holds no bytes when new. When it is drained it keeps its buffer
/// for the next use, unless that has grown beyond 64 KiB: then it is freed. With `Deflate::shared` it also holds, until it
/// is dropped, the compressor and the decompressor of all connections that it serves.
///
/// # Backpressure
/// Stop reading from a peer while [`len`](Self::len) is above a limit of your choosing.
///
/// # Examples
/// ```
/// use bytes::Buf;
/// use websocket_proto::{ClientRequest, Config, Connection, Output};
///
/// let mut output = Output::new();
/// let request = ClientRequest::new("ws://example.com/chat");
/// let _client = Connection::client(&request, Config::new(), [7; 32], &mut output)?;
/// assert!(output.chunk().starts_with(b"GET /chat HTTP/1.1\r\n"));
/// let written = output.len();
/// output.advance(written);
/// assert!(output.is_empty());
/// # Ok::<_, websocket_proto::RequestError>(())
/// ```
#[derive(Debug, Default)]
pub struct Output {
    /// What was put in and not yet cut off; the first `written` bytes have already been taken.
    bytes: Vec<u8>,
    written: usize,
    /// Length of the pong frame that ends `bytes`; 0 if something else does.
    last_pong: usize,
    /// Bytes of pongs put in since this was last empty.
    pongs: usize,
    /// What connections share that have no compressor of their own.
    #[cfg(feature = "deflate")]
    codecs: Option<Box<Codecs>>,
}

/// A drained `Output` keeps a buffer of up to this many bytes.
const KEPT_CAPACITY: usize = 64 << 10;

impl Output {
    /// An empty output. Allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            written: 0,
            last_pong: 0,
            pongs: 0,
            #[cfg(feature = "deflate")]
            codecs: None,
        }
    }

    /// How many bytes are waiting to be written.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len().saturating_sub(self.written)
    }

    /// Whether nothing is waiting to be written.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Moves everything out of `other` to the end of this one, for instance from a shared output to the backlog of
    /// a connection whose socket is full. Moves the buffer itself, without a copy, if this one is empty.
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
        if self.is_empty() {
            core::mem::swap(self, other);
            // Only the bytes move.
            #[cfg(feature = "deflate")]
            core::mem::swap(&mut self.codecs, &mut other.codecs);
        } else if !other.is_empty() {
            self.put(other.chunk());
            // A pong of which a part is written can no longer be replaced.
            self.last_pong = if other.last_pong <= other.len() { other.last_pong } else { 0 };
            self.pongs = self.pongs.saturating_add(other.pongs);
        }
        other.clear();
    }

    /// Writes until everything is written or the writer stops taking bytes.
    ///
    /// Returns how many bytes were written; what was not stays here. This is all the I/O there is in the crate, and
    /// it is the caller's writer that does it.
    ///
    /// # Errors
    /// What the writer returned, except that [`Interrupted`](std::io::ErrorKind::Interrupted) is retried and
    /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) counts as success if anything was written before it. Bytes
    /// written before an error are gone from the output.
    #[cfg(feature = "std")]
    pub fn write_to(&mut self, writer: &mut impl std::io::Write) -> std::io::Result<usize> {
        use std::io::ErrorKind::{Interrupted, WouldBlock, WriteZero};

        let mut total = 0_usize;
        while !self.is_empty() {
            match writer.write(self.chunk()) {
                Ok(0) => return Err(WriteZero.into()),
                Ok(written) => {
                    self.advance(written.min(self.len()));
                    total = total.saturating_add(written);
                }
                Err(error) if error.kind() == Interrupted => {}
                Err(error) if error.kind() == WouldBlock && total > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(total)
    }

    /// Stub.
    #[must_use]
    pub fn message_bytes(&self) -> u64 {
        0
    }
    pub(crate) fn count_message(&mut self, _: usize, _: usize, _: bool) {}

    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.make_room(bytes.len());
        self.bytes.extend_from_slice(bytes);
        self.last_pong = 0;
    }

    /// Puts a frame: its encoded header, which ends in `key` if there is one, and its payload, masked on the way.
    #[inline]
    pub(crate) fn put_frame(&mut self, header: &[u8], key: Option<[u8; 4]>, payload: &[u8]) {
        self.make_room(header.len().saturating_add(payload.len()));
        self.bytes.extend_from_slice(header);
        let start = self.bytes.len();
        self.bytes.extend_from_slice(payload);
        if let (Some(key), Some(payload)) = (key, self.bytes.get_mut(start..)) {
            apply_mask(key, payload);
        }
        self.last_pong = 0;
    }

    /// Puts a frame whose payload, likely of about the expected length, `fill` appends. Puts nothing if that fails.
    #[cfg(feature = "deflate")]
    pub(crate) fn put_framed(
        &mut self,
        expected: usize,
        fill: impl FnOnce(&mut Vec<u8>) -> bool,
        header: impl FnOnce(usize) -> (EncodedHeader, Option<[u8; 4]>),
    ) -> bool {
        self.make_room(expected.saturating_add(FrameHeader::MAX_LEN));
        let start = self.bytes.len();
        let payload = start.saturating_add(FrameHeader::MAX_LEN);
        self.bytes.resize(payload, 0);
        if !fill(&mut self.bytes) {
            self.bytes.truncate(start);
            return false;
        }
        let (header, key) = header(self.bytes.len().saturating_sub(payload));
        if let (Some(key), Some(payload)) = (key, self.bytes.get_mut(payload..)) {
            apply_mask(key, payload);
        }
        // The header takes the place that was kept for the longest one.
        self.bytes.splice(start..payload, header.as_ref().iter().copied());
        self.last_pong = 0;
        true
    }

    #[cfg(feature = "deflate")]
    pub(crate) fn codecs(&mut self) -> &mut Codecs {
        self.codecs.get_or_insert_default()
    }

    /// Puts a pong frame, in the place of the last one if the pongs waiting here exceed `budget` bytes and the last
    /// one is still whole and last. Returns the length of the frame whose place it takes.
    pub(crate) fn put_pong(&mut self, header: &[u8], key: Option<[u8; 4]>, payload: &[u8], budget: usize) -> usize {
        // What was written of the pongs does not wait any more.
        self.pongs = self.pongs.min(self.len());
        // RFC 6455 §5.5.3: "If an endpoint receives a Ping frame and has not yet sent Pong frame(s) in response to
        // previous Ping frame(s), the endpoint MAY elect to send a Pong frame for only the most recently processed
        // Ping frame."
        let is_replaceable = self.pongs > budget && self.last_pong <= self.len();
        let replaced = if is_replaceable { self.last_pong } else { 0 };
        self.bytes.truncate(self.bytes.len().saturating_sub(replaced));
        self.pongs = self.pongs.saturating_sub(replaced);
        self.put_frame(header, key, payload);
        self.last_pong = header.len().saturating_add(payload.len());
        self.pongs = self.pongs.saturating_add(self.last_pong);
        replaced
    }

    /// Drops what was written before the buffer would have to grow, so that an output that is never quite drained
    /// does not creep upwards. Each byte moves at most once per doubling: only when half the buffer is written.
    fn make_room(&mut self, additional: usize) {
        let free = self.bytes.capacity().saturating_sub(self.bytes.len());
        if additional > free && self.written >= self.len() {
            self.bytes.drain(..self.written);
            self.written = 0;
        }
    }

    fn clear(&mut self) {
        if self.bytes.capacity() > KEPT_CAPACITY {
            self.bytes = Vec::new();
        }
        self.bytes.clear();
        (self.written, self.last_pong, self.pongs) = (0, 0, 0);
    }
}

impl Buf for Output {
    #[inline]
    fn remaining(&self) -> usize {
        self.len()
    }

    #[inline]
    fn chunk(&self) -> &[u8] {
        self.bytes.get(self.written..).unwrap_or_default()
    }

    /// Takes `count` bytes off the front, after they were written. More than there are takes all of them.
    #[inline]
    fn advance(&mut self, count: usize) {
        self.written = self.written.saturating_add(count);
        if self.written >= self.bytes.len() {
            self.clear();
        }
    }
}
