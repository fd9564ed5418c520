//! [`Session`]: a connection with what keeps it alive on a transport: the bytes that wait, the deadlines, an orderly end.

mod config;

use core::ops::{Add, Sub};

use crate::connection::{Connection, State};
use crate::event::Event;
use crate::input::Input;
use crate::output::Output;
use crate::role::Role;
use crate::timers::Timers;

pub use config::SessionConfig;

/// A [`Connection`] on a transport, still without I/O: it says when to read, how much, what to write, when to wake up, and
/// how to end.
///
/// # The contract
/// A turn of the loop is:
///
/// 1. If [`Action::Wait`] allowed to read and the transport is readable, read at most [`read`](Action::Wait::read) bytes.
///    Wrap them with [`Input::from_read`], also when the read brought none, because the stream has ended, or failed. Call
///    [`receive`](Self::receive) until it returns `None`.
/// 2. Call [`poll`](Self::poll), which writes, until it returns `Wait` or `Close`. Do what the [`Action`] says.
///
/// `output` is scratch space that any number of sessions can share: it is empty after every turn. Send messages in the
/// same turn to `output`, and at other times to [`parts`](Self::parts).
///
/// # The rules
/// - The bytes that wait are written first, in order. A drained backlog keeps no memory.
/// - A server reads while fewer than [`max_backlog`](SessionConfig::max_backlog) bytes wait; a client always reads.
/// - Reads are shorter where messages may be compressed.
/// - A transport that was full and accepts bytes again proves that the peer is alive; other writes prove nothing.
/// - A peer that takes none of the waiting bytes for [`stall`](SessionConfig::stall) is given up.
/// - A failed read or write is the end of the stream. [`Event::Closed`] is reported exactly once, however the connection
///   ends.
/// - After the end, the transport's sending side is shut down once the backlog is written; then the peer's bytes are read
///   and discarded, until it closes its side or the [`grace`](SessionConfig::grace) period is over.
/// - [`Config::max_output`](crate::Config::max_output) counts all bytes that wait.
///
/// # Examples
/// One connection over a socket that does not block, with the crate `mio`, to the last Close:
/// ```
#[doc = include_str!("../guide/recipes/session.rs")]
/// ```
#[derive(Debug)]
pub struct Session<I: Sub> {
    connection: Connection,
    /// The bytes that wait between turns.
    backlog: Output,
    timers: Timers<I>,
    config: SessionConfig<I::Output>,
    waiting: Waiting<I>,
    /// After the end of the connection: when to close the transport.
    grace_end: Option<I>,
    turn: Turn,
    /// Whether the stream from the peer has ended.
    read_ended: bool,
    /// Whether a write failed: nothing more is written.
    write_failed: bool,
    is_shut_down: bool,
}

/// The bytes that the transport has not accepted, and since when it accepted none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting<I> {
    Nothing,
    /// They were not offered to the transport yet.
    Queued(I),
    /// The last write did not take all of them: the transport is full.
    Full(I),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// Between turns: the bytes that wait are in the backlog.
    None,
    /// The bytes that wait are in the turn's output.
    Begun,
    /// So are they; the backlog has the output's own buffer.
    Lent,
}

/// The next step of a driver.
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
        /// Whether bytes wait: poll when the transport can be written.
        write: bool,
        /// Poll at this time at the latest.
        deadline: Option<I>,
    },
    /// Shut down the transport's sending side (`Shutdown::Write`, `close_notify`, `END_STREAM`), then poll again.
    ShutDown,
    /// Close the transport. The session is over.
    Close,
}

/// The most bytes to read at once.
const READ: usize = 64 << 10;
/// The same where messages may be compressed: a byte may become a thousand.
const READ_COMPRESSED: usize = 4 << 10;

type Span<I> = <I as Sub>::Output;

/// # Constructors
impl<I> Session<I>
where
    I: Copy + Ord + Sub + Add<Span<I>, Output = I>,
    Span<I>: Copy,
{
    /// A session that starts now. A client's request is in an output already: give that to the first
    /// [`poll`](Self::poll).
    #[must_use]
    pub fn new(now: I, connection: Connection, config: SessionConfig<Span<I>>) -> Self {
        Self {
            connection,
            backlog: Output::new(),
            timers: Timers::new(now, config.timeouts),
            config,
            waiting: Waiting::Nothing,
            grace_end: None,
            turn: Turn::None,
            read_ended: false,
            write_failed: false,
            is_shut_down: false,
        }
    }
}

/// # Getters
impl<I: Sub> Session<I> {
    /// The connection.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The connection, to answer an event with the turn's output.
    pub fn connection_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// The connection and the bytes that wait, to send messages between turns. Poll after that.
    pub fn parts(&mut self) -> (&mut Connection, &mut Output) {
        (&mut self.connection, &mut self.backlog)
    }

    /// The keep-alive's round-trip time and its pongs.
    pub fn timers(&mut self) -> &mut Timers<I> {
        &mut self.timers
    }
}

/// # Receive
impl<I: Sub> Session<I> {
    /// Receives what a read brought, as [`Connection::receive`] does; an [`Input`] from an empty read ends the stream.
    /// Call it until it returns `None`.
    pub fn receive<'i>(&mut self, input: &mut Input<'i>, output: &mut Output) -> Option<Event<'i>> {
        self.begin_turn(output);
        self.read_ended |= input.is_end();
        self.connection.receive(input, output)
    }

    /// Moves the bytes that wait to the turn's output. Bytes that are in both were sent in this order: between turns,
    /// first the backlog's; within a turn, first the output's.
    fn begin_turn(&mut self, output: &mut Output) {
        match self.turn {
            Turn::None if self.backlog.is_empty() => self.turn = Turn::Begun,
            Turn::None => {
                self.backlog.append(output);
                output.swap_bytes(&mut self.backlog);
                self.turn = Turn::Lent;
            }
            Turn::Begun | Turn::Lent => output.append(&mut self.backlog),
        }
    }

    /// Leaves the output empty, and a drained session without memory.
    fn end_turn(&mut self, output: &mut Output) {
        if !output.is_empty() || self.turn == Turn::Lent {
            self.backlog.swap_bytes(output);
        }
        if self.backlog.is_empty() {
            self.backlog = Output::new();
        }
        self.turn = Turn::None;
    }
}

/// # Poll
impl<I> Session<I>
where
    I: Copy + Ord + Sub + Add<Span<I>, Output = I>,
    Span<I>: Copy,
{
    /// Writes the bytes that wait, checks the deadlines, and says what to do next. Leaves `output` empty.
    ///
    /// The writer is the transport, which may be blocking or not.
    #[cfg(feature = "std")]
    pub fn poll(&mut self, now: I, output: &mut Output, writer: &mut (impl std::io::Write + ?Sized)) -> Action<I> {
        self.begin_turn(output);
        self.write(now, output, writer);
        self.timers.handle_timeout(now, &mut self.connection, output);
        let event = self.next_event(now, output);
        self.write(now, output, writer);
        self.end_turn(output);
        event.map_or_else(|| self.next_action(now), Action::Event)
    }

    /// As [`poll`](Self::poll), but leaves the writing to the driver: for transports that are asynchronous, or write by
    /// completion. The bytes that wait are in [`backlog`](Self::backlog).
    pub fn poll_queued(&mut self, now: I, output: &mut Output) -> Action<I> {
        self.begin_turn(output);
        self.timers.handle_timeout(now, &mut self.connection, output);
        let event = self.next_event(now, output);
        if self.write_failed {
            output.clear();
        }
        if output.is_empty() {
            self.waiting = Waiting::Nothing;
        } else if self.waiting == Waiting::Nothing {
            self.waiting = Waiting::Queued(now);
        }
        self.end_turn(output);
        event.map_or_else(|| self.next_action(now), Action::Event)
    }

    /// The bytes that wait, for the driver to write. Call [`wrote`](Self::wrote) or [`write_failed`](Self::write_failed)
    /// after each write.
    pub fn backlog(&mut self) -> &mut Output {
        &mut self.backlog
    }

    /// The transport accepted some of the [`backlog`](Self::backlog), and the driver removed them.
    pub fn wrote(&mut self, now: I) {
        self.note_written(now, true, self.backlog.is_empty());
        if self.backlog.is_empty() {
            self.backlog = Output::new();
        }
    }

    /// A write failed. Nothing more is written; reading goes on, because the peer's last bytes may still be unread.
    pub fn write_failed(&mut self) {
        self.write_failed = true;
        self.waiting = Waiting::Nothing;
        self.backlog = Output::new();
    }

    #[cfg(feature = "std")]
    fn write(&mut self, now: I, output: &mut Output, writer: &mut (impl std::io::Write + ?Sized)) {
        if self.write_failed {
            output.clear();
        } else if !output.is_empty() {
            use std::io::ErrorKind::{TimedOut, WouldBlock};

            match output.write_to(writer) {
                Ok(_) => self.note_written(now, true, output.is_empty()),
                Err(error) if matches!(error.kind(), WouldBlock | TimedOut) => self.note_written(now, false, false),
                Err(_) => {
                    output.clear();
                    self.write_failed();
                }
            }
        }
    }

    /// `accepted`: whether the transport accepted any byte. `all`: whether no byte waits any more.
    fn note_written(&mut self, now: I, accepted: bool, all: bool) {
        if accepted && matches!(self.waiting, Waiting::Full(_)) {
            // The transport has room again only because the peer took some bytes: it is alive.
            self.timers.note_activity(now);
            self.grace_end = self.grace_end.and(self.config.grace).map(|grace| now + grace);
        }
        self.waiting = match self.waiting {
            _ if all => Waiting::Nothing,
            Waiting::Queued(since) | Waiting::Full(since) if !accepted => Waiting::Full(since),
            _ => Waiting::Full(now),
        };
    }

    /// An event that no read caused.
    fn next_event(&mut self, now: I, output: &mut Output) -> Option<Event<'static>> {
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

    fn stall_end(&self) -> Option<I> {
        match self.waiting {
            // Once the connection is over, the grace period is the limit.
            Waiting::Queued(since) | Waiting::Full(since) if !self.connection.is_closed() => {
                self.config.stall.map(|stall| since + stall)
            }
            _ => None,
        }
    }

    fn next_action(&mut self, now: I) -> Action<I> {
        let write = !self.backlog.is_empty();
        if !self.connection.is_closed() {
            let deadlines = [self.timers.poll_timeout(), self.stall_end()];
            let deadline = deadlines.into_iter().flatten().min();
            return Action::Wait { read: self.read_size(), write, deadline };
        }
        if self.grace_end.is_none() {
            self.grace_end = self.config.grace.map(|grace| now + grace);
        }
        if self.grace_end.is_some_and(|end| now >= end) || (!write && self.read_ended && self.is_shut_down) {
            return Action::Close;
        }
        if !write && !self.is_shut_down {
            // RFC 6455 §7.1.1: the stream is then read to its end. Closing with unread input would reset a TCP
            // connection, which could destroy the last bytes in transit.
            self.is_shut_down = true;
            return Action::ShutDown;
        }
        Action::Wait { read: if self.read_ended { 0 } else { READ }, write, deadline: self.grace_end }
    }

    /// The most bytes to read.
    fn read_size(&self) -> usize {
        // If both ends stopped reading, each would wait for the other. So a client never stops.
        let has_room = self.connection.role() == Role::Client || self.backlog.len() < self.config.max_backlog as usize;
        if self.read_ended || !has_room {
            0
        } else if self.connection.state() == State::Connecting || self.may_inflate() {
            // The handshake may end with compression, and messages may follow it in the same read.
            READ_COMPRESSED
        } else {
            READ
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
