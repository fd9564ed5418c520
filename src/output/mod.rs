//! [`Output`]: everything owed to the peer, in order, until the caller has written it. It knows no connection, and no
//! transport but the caller's writer.

mod buffered_amount;
mod list;
mod pongs;
mod queue;
mod shared_chunks;
mod write;

use alloc::boxed::Box;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::deflate::SharedCodecs;

use buffered_amount::BufferedAmount;
use pongs::{LastGroup, PongGroups};
use queue::Queue;
use shared_chunks::SharedChunks;

/// Bytes to write to the transport, in order.
///
/// Every method that may owe the peer something (an HTTP response, a frame, a pong, a Close) takes an `&mut Output`
/// and appends to it: what is owed is nowhere else. It implements [`bytes::Buf`], so
/// `tokio::io::AsyncWriteExt::write_all_buf(&mut output)` and the like just work; blocking callers have
/// `write_to`. One `Output` can serve any number of connections in turn, as long as it is drained (or
/// [`append`](Self::append)ed to a backlog) before the next one uses it.
///
/// # Memory
/// An `Output` holds no memory when new. Once it is used:
///
/// - It copies what is sent to one buffer. That has room for at most twice the bytes that wait in it, or for 128 KiB if
///   it was that large. When the output is drained, a buffer of up to 128 KiB is kept for the next use, and a larger one
///   is freed. While bytes move to a larger or smaller buffer there are two, which have together room for at most 2.75
///   times the most bytes that have waited. While a message is compressed, there is also room for the whole message. On
///   average, each byte moves a constant number of times, however little a peer takes at a time.
/// - Two things it holds by reference until their last byte is taken: a payload of 16 KiB or more that a server sends as
///   [`Bytes`], and a frame that was prepared for many connections. If one byte of such a payload waits, all of it stays
///   in memory: that is how `Bytes` works. To note a reference takes up to 80 bytes, and 110 while the list grows.
/// - A frame whose bytes are [counted](Self::buffered_amount) takes up to 48 bytes, and 66 while the list grows.
/// - Pongs that messages keep apart take up to 3 KiB in all, to be counted.
///
/// When it is drained, these lists keep room for 64 entries each. With `Deflate::shared` an output also holds, until it
/// is dropped, the compressor and the decompressor of all connections that it serves.
///
/// # Backpressure
/// Read from a peer only while [`len`](Self::len) is below a limit of your choosing: then an output never holds more
/// than that limit, what one read can call for (three times the bytes that it brought, or that were held until the
/// request was accepted, and 512), and what you send yourself.
///
/// Do this at one end only, the server's: a client goes on reading, however much waits. If both ends stop reading, each
/// waits for the other. For the same reason a client must not wait until all is written, as `write_all_buf` does,
/// without reading meanwhile. And give a peer up that takes nothing for too long.
///
/// # Vectored writes
/// What waits is one [`chunk`](Buf::chunk), unless there are payloads held by reference: then it is several, which
/// `chunks_vectored` (with the feature `std`) gives at once. A transport that takes [`Bytes`] gets each payload without
/// a copy by [`copy_to_bytes`](Buf::copy_to_bytes) of one chunk's length.
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
    /// All bytes but the payloads that are held by reference. Its mark is the end of the last group of pongs.
    queue: Queue,
    last_group: LastGroup,
    /// Made when there is something to put into it.
    extras: Option<Box<Extras>>,
    /// What connections share that have no compressor of their own.
    codecs: SharedCodecs,
}

/// What most outputs never have.
#[derive(Debug, Default)]
struct Extras {
    /// The payloads that stand between, and behind, the bytes.
    shared_chunks: SharedChunks,
    /// The frames whose message bytes are counted.
    buffered: BufferedAmount,
    /// The groups of pongs before the last one.
    pongs: PongGroups,
}

/// A buffer of up to this many bytes is kept however few bytes wait in it: what the echo of a 64 KiB read needs.
const KEPT_CAPACITY: usize = 128 << 10;

/// A payload of this many bytes is better held by reference than copied.
pub(crate) const REFERENCE_MIN: usize = 16 << 10;

impl Output {
    /// An empty output. Allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { queue: Queue::new(), last_group: LastGroup::new(), extras: None, codecs: None }
    }

    /// How many bytes are waiting to be written.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        let own = self.own().len();
        self.extras.as_ref().map_or(own, |extras| own.saturating_add(extras.shared_chunks.len()))
    }

    /// Whether nothing is waiting to be written.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The WebSocket API's `bufferedAmount`: how many bytes of messages are waiting to be written, as UTF-8 or binary,
    /// without framing and before compression. Only connections with
    /// [`Config::browser_rules`](crate::Config::browser_rules) count.
    ///
    /// Of a frame that is partly written, what waits of its payload is counted, or all of it if it is compressed. A
    /// Close, sent or received, changes nothing. The API also counts what a script sends after that:
    /// [`Connection::buffered_amount`](crate::Connection::buffered_amount) adds it.
    ///
    /// # Examples
    /// ```
    /// use websocket_proto::Output;
    ///
    /// assert_eq!(Output::new().buffered_amount(), 0);
    /// ```
    #[must_use]
    pub fn buffered_amount(&self) -> u64 {
        self.extras.as_ref().map_or(0, |extras| extras.buffered.amount())
    }

    /// Writes until everything is written or the writer stops taking bytes.
    ///
    /// Returns how many bytes were written; what was not stays here. This is all the I/O there is in the crate, and
    /// it is the caller's writer that does it: with `write_vectored`, if payloads are held by reference.
    ///
    /// # Errors
    /// What the writer returned, except that [`Interrupted`](std::io::ErrorKind::Interrupted) is retried and
    /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) counts as success if anything was written before it. Bytes
    /// written before an error are gone from the output.
    #[cfg(feature = "std")]
    pub fn write_to(&mut self, writer: &mut (impl std::io::Write + ?Sized)) -> std::io::Result<usize> {
        use std::io::ErrorKind::{Interrupted, WouldBlock, WriteZero};

        let mut total = 0_usize;
        while !self.is_empty() {
            match self.write_once(writer) {
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

    #[cfg(feature = "std")]
    fn write_once(&self, writer: &mut (impl std::io::Write + ?Sized)) -> std::io::Result<usize> {
        if self.shared_chunks().is_empty() {
            return writer.write(self.own());
        }
        let mut slices = [std::io::IoSlice::new(&[]); 16];
        let filled = self.chunks_vectored(&mut slices);
        writer.write_vectored(slices.get(..filled).unwrap_or_default())
    }

    /// The bytes waiting to be written that are not held by reference.
    #[inline]
    fn own(&self) -> &[u8] {
        self.queue.waiting()
    }

    #[inline]
    fn shared_chunks(&self) -> &SharedChunks {
        static NONE: SharedChunks = SharedChunks::new();
        self.extras.as_ref().map_or(&NONE, |extras| &extras.shared_chunks)
    }

    fn clear(&mut self) {
        self.queue.clear();
        if let Some(extras) = &mut self.extras {
            extras.clear();
        }
    }
}

impl Extras {
    fn is_empty(&self) -> bool {
        self.shared_chunks.is_empty() && self.buffered.is_empty()
    }

    fn clear(&mut self) {
        self.shared_chunks.clear();
        self.buffered.clear();
        self.pongs.clear();
    }
}

impl Buf for Output {
    #[inline]
    fn remaining(&self) -> usize {
        self.len()
    }

    /// What can be written without a copy: everything, or up to the next payload that is held by reference, or that.
    #[inline]
    fn chunk(&self) -> &[u8] {
        self.extras.as_ref().map_or(self.own(), |extras| extras.shared_chunks.first(self.own()))
    }

    #[cfg(feature = "std")]
    fn chunks_vectored<'o>(&'o self, slices: &mut [std::io::IoSlice<'o>]) -> usize {
        self.shared_chunks().fill(self.own(), slices)
    }

    /// Takes `count` bytes off the front, after they were written. More than there is takes all of them.
    #[inline]
    fn advance(&mut self, count: usize) {
        if count >= self.len() {
            return self.clear();
        }
        let own = match &mut self.extras {
            Some(extras) => {
                extras.buffered.advance(count);
                let own = extras.shared_chunks.advance(count);
                extras.pongs.advance(own);
                own
            }
            None => count,
        };
        self.queue.advance(own);
    }

    /// Takes `count` bytes off the front; more than there is takes all of them. They are not copied if they are part of
    /// one payload that is held by reference.
    fn copy_to_bytes(&mut self, count: usize) -> Bytes {
        let count = count.min(self.len());
        if let Some(shared) = self.shared_chunks().share(count) {
            self.advance(count);
            return shared;
        }
        let mut copied = BytesMut::with_capacity(count);
        copied.put(self.take(count));
        copied.freeze()
    }
}

#[cfg(all(test, feature = "std"))]
mod tests;
