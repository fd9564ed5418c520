//! [`Session`]: a connection with what keeps it alive on a transport: the bytes that wait, the deadlines, an orderly end.

mod action;
mod backlog;
mod config;
mod next;
mod write;

use alloc::boxed::Box;
use core::ops::{Add, Sub};

use crate::connection::Connection;
use crate::event::Event;
use crate::input::Input;
use crate::output::Output;
use crate::timers::Timers;

pub use action::Action;
pub use config::SessionConfig;

/// A [`Connection`] on a transport, still without I/O: it says when to read, how much, what to write, when to wake up, and
/// how to end.
///
/// # The contract
/// A turn of the loop is:
///
/// 1. If [`Action::Wait`] allowed to read and the transport is readable, read at most [`read`](Action::Wait::read) bytes.
///    Wrap them with [`Input::from_read`], also when the read brought none, because the stream has ended, or failed. Call
///    [`receive`](Self::receive) until it returns `None`. Read before you poll: otherwise a deadline could pass although the
///    peer's bytes have arrived. (The first turn only polls.)
/// 2. Call [`poll`](Self::poll), which writes, until it returns `Wait` or `Close`. Do what the [`Action`] says.
///
/// Three kinds of transport differ only in step 2:
/// - One that sends at once what it accepts, such as a socket: `poll`.
/// - One that buffers, such as TLS: [`poll_writer`](Self::poll_writer), which also flushes.
/// - One that is written by a future, or by completion: [`poll_queued`](Self::poll_queued).
///
/// `output` is scratch space that any number of sessions can share: it is empty after every turn. Send messages in the
/// same turn to `output`; between turns, to the output of the next poll, or to [`parts`](Self::parts).
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
    timers: Timers<I>,
    /// The bytes that wait between turns; `None` if there are none.
    backlog: Option<Box<Output>>,
    /// The number of bytes that [`take_chunk`](Self::take_chunk) gave away, and that are not written yet.
    in_flight: usize,
    stall: Option<I::Output>,
    grace: Option<I::Output>,
    /// While active: since when bytes wait and the transport accepts none of them. After that: when the grace period
    /// began.
    since: Option<I>,
    max_backlog: u32,
    max_read: u32,
    /// [`Config::max_output`](crate::Config::max_output).
    max_output: u32,
    turn: Turn,
    phase: Phase,
    sending: Sending,
    /// Whether the stream from the peer has ended.
    read_ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Active,
    /// The connection has ended, and the grace period has begun.
    Ending,
    /// Everything is written, and the sending side is shut down.
    ShutDown,
    /// The transport is to be closed.
    Over,
}

/// The sending side of the transport, after the last write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    /// It accepted all bytes.
    HasRoom,
    /// It did not; or, written by the driver, bytes still waited when a deadline passed.
    Full,
    /// It accepted all bytes, and has buffered some that it could not flush.
    Unflushed,
    /// It failed: nothing more is written.
    Failed,
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
            max_output: connection.max_output(),
            connection,
            timers: Timers::new(now, config.timeouts),
            backlog: None,
            in_flight: 0,
            stall: config.stall,
            grace: config.grace,
            since: None,
            max_backlog: config.max_backlog,
            max_read: config.max_read,
            turn: Turn::None,
            phase: Phase::Active,
            sending: Sending::HasRoom,
            read_ended: false,
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

    /// The connection, to answer an event with the turn's output, or to send messages with the output of the next poll.
    pub fn connection_mut(&mut self) -> &mut Connection {
        let is_between_turns = self.turn == Turn::None;
        self.limit_output(if is_between_turns { self.waiting() } else { self.in_flight });
        &mut self.connection
    }

    /// The connection and the bytes that wait, to send messages between turns: after a poll that returned
    /// [`Action::Wait`], not between `receive` and `poll`, when the bytes that wait are in the turn's output. Poll after that.
    ///
    /// For messages that `Deflate::shared` compresses, use
    /// [`connection_mut`](Self::connection_mut) and the output of the next poll instead: that has the compressor already.
    pub fn parts(&mut self) -> (&mut Connection, &mut Output) {
        self.limit_output(self.in_flight);
        (&mut self.connection, self.backlog.get_or_insert_default())
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
}
