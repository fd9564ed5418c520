//! [`Input`]: the bytes just read, lent to the connection and handed back inside events. It owns none of them.

/// Bytes read from the transport, being consumed by [`Connection::receive`](crate::Connection::receive).
///
/// An `Input` owns nothing: it is a cursor over the caller's read buffer. Frames are split off its front, unmasked
/// where they lie and lent to [`Event`](crate::Event)s for `'i`, which is why the buffer has to be mutable, and why
/// a small message costs neither an allocation nor a copy.
///
/// # Examples
/// ```
/// use websocket_proto::Input;
///
/// let mut buffer = *b"what the socket gave";
/// let input = Input::new(&mut buffer[..4]);
/// assert_eq!(input.len(), 4);
/// assert_eq!(input.into_rest(), b"what");
/// ```
// There is never to be a `Drop` here: events must be able to outlive the `Input` they came from.
#[derive(Debug, Default)]
pub struct Input<'i> {
    rest: &'i mut [u8],
}

impl<'i> Input<'i> {
    /// Wraps what was read. An empty slice is fine; the end of the stream is not an empty `Input` but
    /// [`Connection::receive_eof`](crate::Connection::receive_eof).
    #[inline]
    pub fn new(bytes: &'i mut [u8]) -> Self {
        Self { rest: bytes }
    }

    /// How many bytes are left.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.rest.len()
    }

    /// Whether every byte was consumed.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// What has not been consumed, for instance to hand it to another protocol.
    #[inline]
    #[must_use]
    pub fn into_rest(self) -> &'i mut [u8] {
        self.rest
    }

    #[inline]
    pub(crate) fn peek(&self) -> &[u8] {
        self.rest
    }

    /// The first `count` bytes, or all of them if there are fewer.
    #[cfg(feature = "deflate")]
    pub(crate) fn peek_mut(&mut self, count: usize) -> &mut [u8] {
        let count = count.min(self.rest.len());
        self.rest.get_mut(..count).unwrap_or_default()
    }

    /// Splits off the first `count` bytes, or all of them if there are fewer.
    #[inline]
    pub(crate) fn consume(&mut self, count: usize) -> &'i mut [u8] {
        let rest = core::mem::take(&mut self.rest);
        let count = count.min(rest.len());
        let (taken, rest) = rest.split_at_mut(count);
        self.rest = rest;
        taken
    }

    #[inline]
    pub(crate) fn consume_all(&mut self) -> &'i mut [u8] {
        core::mem::take(&mut self.rest)
    }
}
