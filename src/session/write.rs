//! Polls a [`Session`], and writes the bytes that wait.

use core::ops::{Add, Sub};
#[cfg(feature = "std")]
use std::io::{self, IoSlice, Write};

use super::{Action, Phase, Sending, Session, Span};
use crate::output::Output;

/// # Poll
impl<I> Session<I>
where
    I: Copy + Ord + Sub + Add<Span<I>, Output = I>,
    Span<I>: Copy,
{
    /// Writes the bytes that wait, checks the deadlines, and says what to do next. Leaves `output` empty.
    ///
    /// `write` writes some of the slices to the transport and returns the number of bytes written, as
    /// `write_vectored` does, or [`WouldBlock`](io::ErrorKind::WouldBlock) or [`TimedOut`](io::ErrorKind::TimedOut) if
    /// the transport is full. Another error is the end of writing: the session reads on to the end of the stream.
    #[cfg(feature = "std")]
    pub fn poll(
        &mut self,
        now: I,
        output: &mut Output,
        write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> Action<I> {
        self.poll_writer(now, output, &mut Unbuffered(write))
    }

    /// As [`poll`](Self::poll), for a transport that buffers bytes, such as TLS: flushes it, also if nothing was
    /// written, because the transport may have bytes of its own. Bytes that it cannot flush yet are like bytes that wait.
    /// Only a complete flush counts as progress, so let the transport buffer little: a record of TLS.
    #[cfg(feature = "std")]
    pub fn poll_writer(&mut self, now: I, output: &mut Output, writer: &mut (impl Write + ?Sized)) -> Action<I> {
        self.begin_turn(output);
        let has_room = self.write(now, output, writer);
        self.timers.handle_timeout(now, &mut self.connection, output);
        let event = self.next_event(now, output);
        if has_room || self.sending == Sending::Failed {
            self.write(now, output, writer);
        }
        self.end_turn(output);
        event.map_or_else(|| self.next_action(now), Action::Event)
    }

    /// As [`poll`](Self::poll), but leaves the writing to the driver.
    ///
    /// Write by a future that may be dropped: write some of [`backlog`](Self::backlog), which removes what was written.
    /// Write by completion: give the kernel what [`take_chunk`](Self::take_chunk) returns. Then call
    /// [`wrote`](Self::wrote) or [`write_failed`](Self::write_failed).
    pub fn poll_queued(&mut self, now: I, output: &mut Output) -> Action<I> {
        let is_due = self.timers.poll_timeout().is_some_and(|at| at <= now);
        if is_due && self.waiting() > 0 && self.sending == Sending::HasRoom {
            // The transport has not accepted them in time: if it does now, the peer is alive.
            self.sending = Sending::Full;
        }
        self.begin_turn(output);
        self.timers.handle_timeout(now, &mut self.connection, output);
        let event = self.next_event(now, output);
        if self.sending == Sending::Failed {
            output.clear();
        }
        self.end_turn(output);
        if self.phase == Phase::Active {
            let since = self.since.unwrap_or(now);
            self.since = self.has_waiting().then_some(since);
        }
        event.map_or_else(|| self.next_action(now), Action::Event)
    }

    /// The transport accepted `count` bytes: of the [`backlog`](Self::backlog), which you have removed, or of the chunk
    /// in flight. Poll after that.
    pub fn wrote(&mut self, now: I, count: usize) {
        if self.sending == Sending::Failed {
            // A late completion of a write that was given up.
            return;
        }
        self.in_flight = self.in_flight.saturating_sub(count);
        self.trim_backlog();
        if count > 0 {
            // A write that accepted a part of a chunk has filled the transport.
            self.note_written(now, true, if self.in_flight > 0 { Sending::Full } else { Sending::HasRoom });
        }
    }

    /// Returns whether the transport accepted all bytes.
    #[cfg(feature = "std")]
    fn write(&mut self, now: I, output: &mut Output, writer: &mut (impl Write + ?Sized)) -> bool {
        use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};

        match self.sending {
            Sending::Failed => {
                output.clear();
                return false;
            }
            Sending::Full if output.is_empty() => return true,
            // The bytes in flight are first.
            _ if self.in_flight > 0 => return false,
            _ => {}
        }
        let before = output.len();
        let written = output.write_to(writer).and_then(|_| writer.flush());
        let has_progress = output.len() < before || written.is_ok();
        let sending = match written {
            Ok(()) if output.is_empty() => Sending::HasRoom,
            Err(error) if !matches!(error.kind(), WouldBlock | TimedOut | Interrupted) => {
                output.clear();
                self.write_failed();
                return false;
            }
            Err(_) if output.is_empty() => Sending::Unflushed,
            _ => Sending::Full,
        };
        self.note_written(now, has_progress, sending);
        sending == Sending::HasRoom
    }

    /// `has_progress`: whether the transport accepted any byte.
    fn note_written(&mut self, now: I, has_progress: bool, sending: Sending) {
        let was_full = core::mem::replace(&mut self.sending, sending) != Sending::HasRoom;
        if has_progress && was_full {
            // The transport has room again only because the peer took some bytes: it is alive.
            self.timers.note_activity(now);
        }
        if self.phase == Phase::Active {
            let since = if has_progress { now } else { self.since.unwrap_or(now) };
            self.since = (sending != Sending::HasRoom || self.has_waiting()).then_some(since);
        } else if has_progress && (was_full || sending != Sending::HasRoom || self.has_waiting()) {
            self.since = Some(now);
        }
    }
}

/// A transport that sends at once what it accepts.
#[cfg(feature = "std")]
struct Unbuffered<F>(F);

#[cfg(feature = "std")]
impl<F: FnMut(&[IoSlice<'_>]) -> io::Result<usize>> Write for Unbuffered<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (self.0)(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        (self.0)(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
