//! [`Counters`]: the messages and bytes that a connection has received and sent.

/// Counts of the messages, bytes and pings that a connection has received and sent since it opened. A copy, from
/// [`Connection::counters`](crate::Connection::counters).
///
/// # Examples
/// ```
/// # use websocket_proto::Connection;
/// fn report(ws: &Connection) -> String {
///     let counters = ws.counters();
///     let (messages, bytes) = (counters.received.messages, counters.received.message_bytes);
///     format!("{messages} messages of {bytes} bytes, {:.0} % of that on the wire", counters.received.ratio() * 100.0)
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Traffic from the peer.
    pub received: Traffic,
    /// Traffic to the peer, counted when it is put into an output.
    pub sent: Traffic,
}

/// One direction of [`Counters`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// Complete messages.
    pub messages: u64,
    /// Payload bytes of messages: uncompressed, without headers. A message that is delivered whole counts when it is
    /// complete; parts and sent fragments count one by one.
    pub message_bytes: u64,
    /// Bytes of frames on the wire: compressed, with headers, including control frames, without the opening handshake. Of
    /// what is sent, it may fall: a pong that waits may be replaced by a shorter one.
    pub wire_bytes: u64,
    /// Ping frames. The count ends at `u32::MAX`.
    pub pings: u32,
}

impl Traffic {
    /// Wire bytes divided by message bytes: below 1 if compression saves more than headers and control frames add. 1
    /// without message bytes.
    ///
    /// # Examples
    /// ```
    /// use websocket_proto::{Config, Connection};
    ///
    /// let idle = Connection::server(Config::new());
    /// assert_eq!(idle.counters().sent.ratio(), 1.0);
    /// ```
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "53 bits of precision suffice for a ratio")]
    pub fn ratio(&self) -> f64 {
        if self.message_bytes == 0 { 1.0 } else { self.wire_bytes as f64 / self.message_bytes as f64 }
    }
}
