//! [`Action`]: the next step of a driver.

use crate::event::Event;

/// The next step of a driver: what [`Session::poll`](crate::Session::poll) asks for.
///
/// # Examples
/// See [`Session`](crate::Session).
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action<I> {
    /// Handle this event, which no read caused: the end by a deadline or by the driver, or a message that arrived before
    /// the request was answered. Then poll again.
    Event(Event<'static>),
    /// Wait for the transport or the deadline, then read and poll.
    Wait {
        /// The most bytes to read, or 0: read nothing, because too many bytes wait to be written.
        read: usize,
        /// Whether bytes wait: poll when the transport can be written, not only at the deadline.
        write: bool,
        /// Poll at this time at the latest. It is later than the time of this poll, unless a span of zero is configured.
        deadline: Option<I>,
    },
    /// Shut down the transport's sending side (`Shutdown::Write`, `close_notify`, `END_STREAM`), then poll again.
    ShutDown,
    /// Close the transport, and cancel a write that is in progress. The session is over.
    Close,
}
