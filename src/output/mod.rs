//! [`Output`]: a buffer of all bytes for the peer, in order, until the caller has written them.

mod buffered_amount;
mod list;
mod pongs;
mod queue;
mod shared_chunks;
mod take;
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
/// Every method that may respond to the peer (with an HTTP response, a frame, a pong, a Close) takes an `&mut Output`
/// and appends to it. All bytes for the peer are there. It implements [`bytes::Buf`], so functions like
/// `tokio::io::AsyncWriteExt::write_all_buf(&mut output)` work with it; blocking callers have `write_to`. One `Output`
/// can serve any number of connections in turn, if it is drained (or [`append`](Self::append)ed to a backlog) before
/// the next one uses it.
///
/// # Memory
/// A new `Output` holds no memory. Once it is used:
///
/// - It copies bytes to one buffer, whose capacity is at most twice the waiting bytes, or 128 KiB if it was that large.
///   When the output is drained, it keeps a buffer of up to 128 KiB and frees a larger one. While bytes move to a
///   larger or smaller buffer there are two, with a total capacity of at most 2.75 times the most bytes that have
///   waited. While a message is compressed, there is also room for the whole message. On average, each byte moves a
///   constant number of times, even if the peer reads little at a time.
/// - It holds two kinds of payload by reference until their last byte is written: one of 16 KiB or more that a server
///   sends as [`Bytes`], and a frame that was prepared for many connections. While one byte of such a payload waits,
///   all of it stays in memory: that is how `Bytes` works. A reference takes up to 80 bytes, and 110 while the list
///   grows.
/// - A frame whose bytes are [counted](Self::buffered_amount) takes up to 48 bytes, and 66 while the list grows.
/// - The counts of pongs with messages between them take up to 3 KiB in all.
///
/// When it is drained, each of these lists keeps room for 64 entries. With `Deflate::shared`, an output also holds,
/// until it is dropped, the compressor and the decompressor of all connections that it serves.
///
/// # Backpressure
/// Read from a peer only while [`len`](Self::len) is below a limit that you choose. Then an output never holds more
/// than that limit, plus the responses to one read (three times the bytes that it brought, or that were buffered until
/// the request was accepted, plus 512), plus the bytes that you send.
///
/// Do this only on the server: a client must continue to read, even if many bytes wait. If both ends stop reading, each
/// waits for the other. For the same reason, a client must not wait until everything is written, as `write_all_buf`
/// does, without reading at the same time. And give up a peer that reads nothing for too long.
///
/// # Vectored writes
/// The waiting bytes are one [`chunk`](Buf::chunk), or several if payloads are held by reference: then
/// `chunks_vectored` (with the feature `std`) returns them together. A transport that accepts [`Bytes`] gets each
/// chunk without a copy from [`take_chunk`](Self::take_chunk).
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
    /// All bytes except the payloads held by reference. Its mark is the end of the last group of pongs.
    queue: Queue,
    last_group: LastGroup,
    /// Allocated when first used.
    extras: Option<Box<Extras>>,
    /// The compressor and decompressor that connections share.
    codecs: SharedCodecs,
}

/// Lists that most outputs never need.
#[derive(Debug, Default)]
struct Extras {
    /// The payloads held by reference, and their positions in the queue.
    shared_chunks: SharedChunks,
    /// The frames whose message bytes are counted.
    buffered: BufferedAmount,
    /// The groups of pongs before the last one.
    pongs: PongGroups,
}

/// A buffer of up to this capacity is kept even if few bytes wait in it: the echo of a 64 KiB read needs it.
const KEPT_CAPACITY: usize = 128 << 10;

/// From this many bytes on, holding a payload by reference is faster than copying it.
pub(crate) const REFERENCE_MIN: usize = 16 << 10;

impl Output {
    /// An empty output. Allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { queue: Queue::new(), last_group: LastGroup::new(), extras: None, codecs: None }
    }

    /// The number of bytes that wait to be written.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        let own_len = self.own_bytes().len();
        self.extras.as_ref().map_or(own_len, |extras| own_len.saturating_add(extras.shared_chunks.len()))
    }

    /// Whether no bytes wait to be written.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The WebSocket API's `bufferedAmount`: the bytes of messages that wait to be written, as UTF-8 or binary, without
    /// framing and before compression. Only messages of connections with
    /// [`Config::browser_rules`](crate::Config::browser_rules) are counted.
    ///
    /// A partly written frame counts with the rest of its payload, or with all of it if it is compressed. A Close, sent
    /// or received, changes nothing. The API also counts messages that a script sends after a Close:
    /// [`Connection::buffered_amount`](crate::Connection::buffered_amount) adds them.
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

    /// Writes until the output is empty or the writer accepts no more bytes.
    ///
    /// Returns the number of bytes written; the others stay in the output. This is the only I/O in the crate, and the
    /// caller's writer does it: with `write_vectored`, if payloads are held by reference.
    ///
    /// # Errors
    /// The error that the writer returned, except that [`Interrupted`](std::io::ErrorKind::Interrupted) is retried and
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
            return writer.write(self.own_bytes());
        }
        let mut slices = [std::io::IoSlice::new(&[]); 16];
        let filled = self.chunks_vectored(&mut slices);
        writer.write_vectored(slices.get(..filled).unwrap_or_default())
    }

    /// The waiting bytes, without the payloads held by reference.
    #[inline]
    fn own_bytes(&self) -> &[u8] {
        self.queue.waiting()
    }

    #[inline]
    fn shared_chunks(&self) -> &SharedChunks {
        static NONE: SharedChunks = SharedChunks::new();
        self.extras.as_ref().map_or(&NONE, |extras| &extras.shared_chunks)
    }

    /// Drops the waiting bytes.
    pub(crate) fn clear(&mut self) {
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

    /// The waiting bytes up to the next payload held by reference, or that payload if it is first.
    #[inline]
    fn chunk(&self) -> &[u8] {
        self.extras.as_ref().map_or(self.own_bytes(), |extras| extras.shared_chunks.first(self.own_bytes()))
    }

    #[cfg(feature = "std")]
    fn chunks_vectored<'o>(&'o self, slices: &mut [std::io::IoSlice<'o>]) -> usize {
        self.shared_chunks().fill(self.own_bytes(), slices)
    }

    /// Removes the first `count` bytes, which were written, or all bytes if there are fewer.
    #[inline]
    fn advance(&mut self, count: usize) {
        if count >= self.len() {
            return self.clear();
        }
        let own_count = match &mut self.extras {
            Some(extras) => {
                extras.buffered.advance(count);
                let own_count = extras.shared_chunks.advance(count);
                extras.pongs.advance(own_count);
                own_count
            }
            None => count,
        };
        self.queue.advance(own_count);
    }

    /// Removes and returns the first `count` bytes, or all bytes if there are fewer. Does not copy them if they are
    /// part of one payload held by reference.
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
