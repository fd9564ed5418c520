//! Takes waiting bytes out of an [`Output`] without a copy, and frees memory that they do not need.

use bytes::{Buf, Bytes};

use super::Output;
use crate::deflate::SharedCodecs;

/// A buffer of up to this capacity is not worth a copy.
const SMALL: usize = 1 << 10;

impl Output {
    /// Removes and returns the first [`chunk`](Buf::chunk), for a transport that must own the bytes until they are
    /// written: by completion (`io_uring`, IOCP), or in another thread. Empty if no bytes wait.
    ///
    /// Nothing is copied. The returned `Bytes` keeps the output's buffer, of which it may be a small part: at most 128
    /// KiB, or twice the bytes that waited. The output allocates another buffer when it is used again.
    ///
    /// # Examples
    /// ```
    /// use bytes::Buf;
    /// use websocket_proto::{ClientRequest, Config, Connection, Output};
    ///
    /// let mut output = Output::new();
    /// Connection::client(&ClientRequest::new("ws://example.com/"), Config::new(), [7; 32], &mut output)?;
    /// let address = output.chunk().as_ptr();
    /// let chunk = output.take_chunk();
    /// assert!(chunk.starts_with(b"GET / HTTP/1.1\r\n") && chunk.as_ptr() == address);
    /// assert!(output.is_empty());
    /// # Ok::<_, websocket_proto::RequestError>(())
    /// ```
    #[must_use]
    pub fn take_chunk(&mut self) -> Bytes {
        if self.is_empty() {
            return Bytes::new();
        }
        let shared = self.shared_chunks().share(self.chunk().len());
        if let Some(shared) = shared {
            self.advance(shared.len());
            return shared;
        }
        let own = self.queue.take();
        // The pongs in it can no longer be replaced, nor be counted by their positions.
        self.forget_pongs();
        let Some(extras) = &mut self.extras else { return own };
        let first = extras.shared_chunks.freeze(own);
        extras.buffered.advance(first.len());
        first
    }

    /// Frees memory if less than half of it is used, and the codecs.
    pub(crate) fn trim(&mut self) {
        self.queue.trim(SMALL);
        self.codecs = SharedCodecs::default();
    }
}
