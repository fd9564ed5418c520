//! [`Counters`]: what a connection has seen go by. Logs and dashboards are the caller's.

/// What has gone over a connection since it opened: plain numbers, kept as it goes and copied out by
/// [`Connection::counters`](crate::Connection::counters) at any time.
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
    /// What came from the peer.
    pub received: Traffic,
    /// What was put into outputs for the peer.
    pub sent: Traffic,
}

/// One direction of [`Counters`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// Messages, once they are complete.
    pub messages: u64,
    /// The bytes of messages as the application knows them: before compression, without headers. Those of a message
    /// that is delivered whole are counted at its end, those of received parts and of sent fragments as they go.
    pub message_bytes: u64,
    /// The bytes of frames on the wire: compressed, with headers, control frames too. The opening handshake is not
    /// among them.
    pub wire_bytes: u64,
    /// Ping frames. The count ends at `u32::MAX`.
    pub pings: u32,
}

impl Traffic {
    /// Bytes on the wire for each byte of a message: below 1 where compression saves more than headers and control
    /// frames cost. 1 while there was no message.
    ///
    /// # Examples
    /// ```
    /// use websocket_proto::{Config, Connection};
    ///
    /// let idle = Connection::server(Config::new());
    /// assert_eq!(idle.counters().sent.ratio(), 1.0);
    /// ```
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "nobody looks at the sixteenth digit of a ratio")]
    pub fn ratio(&self) -> f64 {
        if self.message_bytes == 0 { 1.0 } else { self.wire_bytes as f64 / self.message_bytes as f64 }
    }
}
