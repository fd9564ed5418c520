//! [`SessionConfig`]: the limits and deadlines of a session.

use core::time::Duration;

use crate::config::clamp_to_u32;
use crate::timers::Timeouts;

/// The limits and deadlines of a [`Session`](crate::Session). `D` is the difference of two instants of the clock.
///
/// With `Duration`, [`new`](Self::new) has defaults that are safe for a public server; other types start from
/// [`none`](Self::none), without deadlines. The clock must be able to express the sum of an instant and each span.
///
/// # Examples
/// ```
/// use core::time::Duration;
/// use websocket_proto::{SessionConfig, Timeouts};
///
/// const PATIENT: SessionConfig<Duration> = SessionConfig::new().stall(Duration::from_secs(60)).max_backlog(1 << 20);
/// const MILLISECONDS: SessionConfig<u64> =
///     SessionConfig::none().timeouts(Timeouts::none().handshake(10_000)).stall(10_000).grace(2_000);
/// # let _ = (PATIENT, MILLISECONDS);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a builder: pass it to Session::new"]
pub struct SessionConfig<D> {
    pub(super) timeouts: Timeouts<D>,
    pub(super) stall: Option<D>,
    pub(super) grace: Option<D>,
    pub(super) max_backlog: u32,
    pub(super) max_read: u32,
}

impl SessionConfig<Duration> {
    /// The defaults; each method below states its own.
    pub const fn new() -> Self {
        let seconds = Duration::from_secs;
        Self::none().timeouts(Timeouts::new()).stall(seconds(10)).grace(seconds(2))
    }
}

impl<D: Copy> SessionConfig<D> {
    /// No deadlines: a peer that does nothing keeps its connection and its transport forever, also after the end.
    pub const fn none() -> Self {
        Self { timeouts: Timeouts::none(), stall: None, grace: None, max_backlog: 256 << 10, max_read: 64 << 10 }
    }

    /// Sets the deadlines of the handshake, the keep-alive and the closing handshake. Default [`Timeouts::new`].
    pub const fn timeouts(mut self, timeouts: Timeouts<D>) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Sets how long a peer may take none of the waiting bytes. After that, the connection ends as if its transport were
    /// lost. Default 10 s.
    pub const fn stall(mut self, span: D) -> Self {
        self.stall = Some(span);
        self
    }

    /// Sets how long a closed connection waits for the peer to take the last bytes and to close its side of the
    /// transport. It starts again whenever the peer takes some of the bytes. Default 2 s.
    pub const fn grace(mut self, span: D) -> Self {
        self.grace = Some(span);
        self
    }

    /// Sets how many bytes may wait before a server reads nothing more from the peer. Default 256 KiB, at most 4 GiB.
    ///
    /// A client goes on reading: if both ends stopped, each would wait for the other.
    pub const fn max_backlog(mut self, bytes: usize) -> Self {
        self.max_backlog = clamp_to_u32(bytes);
        self
    }

    /// Sets the most bytes that [`Action::Wait`](crate::Action::Wait) asks to read at once: the length of the driver's read
    /// buffer. Default 64 KiB, at least 1, at most 4 GiB. Where messages may be compressed, no more than 4 KiB are read at
    /// once, because a byte may become a thousand.
    ///
    /// A larger buffer, which all sessions of a thread share, saves work if messages are large: one that lies in a read
    /// need not be reassembled. The answers to a read are bounded by its size, and other sessions wait longer for their
    /// turn.
    pub const fn max_read(mut self, bytes: usize) -> Self {
        self.max_read = clamp_to_u32(if bytes == 0 { 1 } else { bytes });
        self
    }
}

impl Default for SessionConfig<Duration> {
    fn default() -> Self {
        Self::new()
    }
}
