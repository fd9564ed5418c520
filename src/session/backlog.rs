//! The bytes of a [`Session`] that wait: in its backlog, in a turn's output, or in flight.

use core::ops::Sub;

use bytes::Bytes;

use super::{Phase, Sending, Session, Turn};
use crate::output::Output;

/// # Backlog
impl<I: Sub> Session<I> {
    /// The number of bytes that wait between turns: those that the transport has not accepted.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.in_flight.saturating_add(self.backlog.as_ref().map_or(0, |backlog| backlog.len()))
    }

    /// Whether bytes wait, here, in flight or in the transport.
    pub(super) fn has_waiting(&self) -> bool {
        self.sending == Sending::Unflushed || self.waiting() > 0
    }

    /// The bytes that wait, for the driver to write. Call [`wrote`](Self::wrote) or
    /// [`write_failed`](Self::write_failed) after each write.
    pub fn backlog(&mut self) -> &mut Output {
        self.backlog.get_or_insert_default()
    }

    /// Removes bytes from the front of the backlog, for a transport that writes by completion and must own them. They
    /// still count as waiting, until [`wrote`](Self::wrote) tells that the transport accepted them.
    ///
    /// Empty if no bytes wait, or while a chunk is in flight: chunks could overtake each other. If a write accepts a
    /// part of the chunk, call `wrote` and write the rest.
    ///
    /// Nothing is copied. Keep the chunk until its write is complete, also if the session ends before.
    ///
    /// # Examples
    /// ```
    /// use bytes::Buf;
    /// use websocket_proto::{Action, ClientRequest, Config, Connection, Output, Session, SessionConfig};
    ///
    /// let mut output = Output::new();
    /// let request = ClientRequest::new("ws://example.com/");
    /// let ws = Connection::client(&request, Config::new(), [7; 32], &mut output)?;
    /// let mut session = Session::new(0_u64, ws, SessionConfig::none());
    /// assert!(matches!(session.poll_queued(0, &mut output), Action::Wait { write: true, .. }));
    ///
    /// let mut chunk = session.take_chunk();
    /// assert!(chunk.starts_with(b"GET / HTTP/1.1\r\n") && session.waiting() == chunk.len());
    /// // A completion says that 10 bytes were accepted.
    /// session.wrote(0, 10);
    /// chunk.advance(10);
    /// assert_eq!(session.waiting(), chunk.len());
    /// # Ok::<_, websocket_proto::RequestError>(())
    /// ```
    #[must_use]
    pub fn take_chunk(&mut self) -> Bytes {
        match &mut self.backlog {
            Some(backlog) if self.in_flight == 0 => {
                let chunk = backlog.take_chunk();
                self.in_flight = chunk.len();
                self.trim_backlog();
                chunk
            }
            _ => Bytes::new(),
        }
    }

    /// A write failed. Nothing more is written; reading goes on, because the peer's last bytes may still be unread.
    pub fn write_failed(&mut self) {
        self.sending = Sending::Failed;
        self.in_flight = 0;
        self.backlog = None;
        if self.phase == Phase::Active {
            self.since = None;
        }
    }
}

impl<I: Sub> Session<I> {
    /// Moves the bytes that wait to the turn's output. Bytes that are in both were sent in this order: between turns,
    /// first the backlog's; within a turn, first the output's.
    pub(super) fn begin_turn(&mut self, output: &mut Output) {
        match (self.turn, &mut self.backlog) {
            (Turn::None, Some(backlog)) if !backlog.is_empty() => {
                backlog.append(output);
                output.swap_bytes(backlog);
                self.turn = Turn::Lent;
            }
            (Turn::None, _) => self.turn = Turn::Begun,
            (Turn::Begun | Turn::Lent, Some(backlog)) => output.append(backlog),
            (Turn::Begun | Turn::Lent, None) => {}
        }
    }

    /// Leaves the output empty, and a drained session without memory.
    pub(super) fn end_turn(&mut self, output: &mut Output) {
        match &mut self.backlog {
            Some(backlog) if self.turn == Turn::Lent => backlog.swap_bytes(output),
            _ if output.is_empty() => {}
            backlog => backlog.get_or_insert_default().append(output),
        }
        self.turn = Turn::None;
        self.trim_backlog();
    }

    /// Frees memory that the bytes that wait do not need: all sessions of a server may have some at once.
    pub(super) fn trim_backlog(&mut self) {
        match &mut self.backlog {
            Some(backlog) if !backlog.is_empty() => backlog.trim(),
            backlog => *backlog = None,
        }
    }

    /// [`Config::max_output`](crate::Config::max_output) counts the bytes that wait, also those that are not in the output
    /// to which the caller sends.
    pub(super) fn limit_output(&mut self, elsewhere: usize) {
        self.connection.limit_output(self.max_output, elsewhere);
    }
}
