//! [`Input`]: a cursor over the bytes that the caller has read.

use core::ops::Range;

/// Bytes read from the transport, for [`Connection::receive`](crate::Connection::receive) to consume.
///
/// An `Input` is a cursor over the caller's read buffer. The connection consumes frames from its front and unmasks them
/// in place, so the buffer must be mutable. [`Event`](crate::Event)s borrow the payloads for `'i`, so a small message
/// needs neither an allocation nor a copy.
///
/// # Examples
/// ```
/// use websocket_proto::Input;
///
/// let mut buffer = *b"bytes from the socket";
/// let input = Input::new(&mut buffer[..5]);
/// assert_eq!(input.len(), 5);
/// assert_eq!(input.into_rest(), b"bytes");
/// ```
// Never add a `Drop` here: events must be able to outlive the `Input`.
#[derive(Debug, Default)]
pub struct Input<'i> {
    rest: &'i mut [u8],
    /// The address of the first byte, and the number of bytes, given to the constructor.
    start: usize,
    total: usize,
    is_end: bool,
}

impl<'i> Input<'i> {
    /// Wraps the bytes that were read. An empty slice is allowed, but does not report the end of the stream: for that,
    /// use [`from_read`](Self::from_read), or call [`Connection::receive_eof`](crate::Connection::receive_eof).
    #[inline]
    pub fn new(bytes: &'i mut [u8]) -> Self {
        Self { start: bytes.as_ptr().addr(), total: bytes.len(), rest: bytes, is_end: false }
    }

    /// Wraps the result of a read, where no bytes mean the end of the stream:
    /// [`Connection::receive`](crate::Connection::receive) then does what
    /// [`receive_eof`](crate::Connection::receive_eof) does. Treat a failed read as one without bytes.
    ///
    /// # Examples
    /// ```
    /// use websocket_proto::handshake::Negotiated;
    /// use websocket_proto::{Config, Connection, Event, Input, Output, Role};
    ///
    /// let mut server = Connection::upgraded(Role::Server, Negotiated::default(), Config::new(), [0; 32]);
    /// let mut input = Input::from_read(&mut []);
    /// assert!(matches!(server.receive(&mut input, &mut Output::new()), Some(Event::Closed(_))));
    /// ```
    #[inline]
    pub fn from_read(bytes: &'i mut [u8]) -> Self {
        Self { is_end: bytes.is_empty(), ..Self::new(bytes) }
    }

    /// Whether the stream ends after these bytes.
    #[inline]
    pub(crate) fn is_end(&self) -> bool {
        self.is_end
    }

    /// The number of bytes not yet consumed.
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

    /// The bytes not yet consumed, for instance to pass them to another protocol.
    #[inline]
    #[must_use]
    pub fn into_rest(self) -> &'i mut [u8] {
        self.rest
    }

    /// Where the payload of an event is, counted from the first byte that was read; `None` if it is not there, because
    /// it was reassembled or decompressed in memory of its own.
    ///
    /// Remember the range, drop the event, and take the payload from the buffer later: for a caller that cannot keep
    /// the borrow of the buffer while it uses the payload, such as a method that returns the next event of a buffer in
    /// `self`, or a binding for another language.
    ///
    /// # Examples
    /// ```
    /// use websocket_proto::handshake::Negotiated;
    /// use websocket_proto::{Config, Connection, Input, Output, Role};
    ///
    /// let mut server = Connection::upgraded(Role::Server, Negotiated::default(), Config::new(), [0; 32]);
    /// let mut buffer = *b"\x82\x85\0\0\0\0hello";
    /// let mut input = Input::new(&mut buffer);
    /// let event = server.receive(&mut input, &mut Output::new());
    /// let range = event.and_then(|event| input.range_of(event.payload()?));
    /// assert_eq!(range.map(|range| &buffer[range]), Some(&b"hello"[..]));
    /// ```
    #[must_use]
    pub fn range_of(&self, payload: &[u8]) -> Option<Range<usize>> {
        if payload.is_empty() {
            return Some(0..0);
        }
        let start = payload.as_ptr().addr().checked_sub(self.start)?;
        let end = start.checked_add(payload.len())?;
        (end <= self.total).then_some(start..end)
    }

    /// The bytes not yet consumed.
    #[inline]
    pub(crate) fn peek(&self) -> &[u8] {
        self.rest
    }

    /// The first `count` bytes, or all of them if there are fewer.
    pub(crate) fn peek_mut(&mut self, count: usize) -> &mut [u8] {
        let count = count.min(self.rest.len());
        self.rest.get_mut(..count).unwrap_or_default()
    }

    /// Consumes the first `count` bytes, or all of them if there are fewer.
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
