//! The next action of a session: events that no read caused, deadlines, reads, the end.

use core::ops::{Add, Sub};

use super::{Action, Phase, Session, Span};
use crate::connection::State;
use crate::event::Event;
use crate::input::Input;
use crate::output::Output;
use crate::role::Role;

/// The most bytes to read at once where messages may be compressed: a byte may become a thousand.
const MAX_READ_COMPRESSED: u32 = 4 << 10;

impl<I> Session<I>
where
    I: Copy + Ord + Sub + Add<Span<I>, Output = I>,
    Span<I>: Copy,
{
    /// An event that no read caused.
    pub(super) fn next_event(&mut self, now: I, output: &mut Output) -> Option<Event<'static>> {
        let event = self.connection.receive(&mut Input::default(), output);
        if event.is_some() {
            return event;
        }
        let is_stalled = self.stall_end().is_some_and(|end| now >= end);
        if is_stalled || (self.read_ended && !self.connection.is_closed()) {
            // Ends as if the transport were lost.
            let event = self.connection.receive_eof();
            if is_stalled {
                output.clear();
                self.write_failed();
            }
            return event;
        }
        None
    }

    /// When a peer that takes none of the waiting bytes is given up. Once the connection is over, the grace period is
    /// the limit.
    fn stall_end(&self) -> Option<I> {
        let (since, stall) = self.since.zip(self.stall)?;
        (!self.connection.is_closed()).then(|| since + stall)
    }

    pub(super) fn next_action(&mut self, now: I) -> Action<I> {
        let write = self.has_waiting();
        if self.phase == Phase::Over {
            return Action::Close;
        }
        if !self.connection.is_closed() {
            let deadlines = [self.timers.poll_timeout(), self.stall_end()];
            let deadline = deadlines.into_iter().flatten().min();
            return Action::Wait { read: self.read_size(), write, deadline };
        }
        if self.phase == Phase::Active {
            (self.phase, self.since) = (Phase::Ending, Some(now));
        }
        let grace_end = self.since.zip(self.grace).map(|(since, grace)| since + grace);
        if grace_end.is_some_and(|end| now >= end) || (!write && self.read_ended && self.phase == Phase::ShutDown) {
            self.phase = Phase::Over;
            return Action::Close;
        }
        if !write && self.phase == Phase::Ending {
            // RFC 6455 §7.1.1: the stream is then read to its end. Closing with unread input would reset a TCP
            // connection, which could destroy the last bytes in transit.
            self.phase = Phase::ShutDown;
            return Action::ShutDown;
        }
        Action::Wait { read: if self.read_ended { 0 } else { self.max_read as usize }, write, deadline: grace_end }
    }
}

impl<I: Sub> Session<I> {
    /// The most bytes to read.
    fn read_size(&self) -> usize {
        // If both ends stopped reading, each would wait for the other. So a client never stops.
        let waiting = self.waiting();
        let has_room = self.connection.role() == Role::Client || waiting == 0 || waiting < self.max_backlog as usize;
        if self.read_ended || !has_room {
            0
        } else if self.connection.state() == State::Connecting || self.may_inflate() {
            // The handshake may end with compression, and messages may follow it in the same read.
            MAX_READ_COMPRESSED.min(self.max_read) as usize
        } else {
            self.max_read as usize
        }
    }

    #[cfg(feature = "deflate")]
    fn may_inflate(&self) -> bool {
        self.connection.uses_deflate()
    }

    #[cfg(not(feature = "deflate"))]
    #[expect(clippy::unused_self, reason = "stands for what the feature does")]
    fn may_inflate(&self) -> bool {
        false
    }
}
