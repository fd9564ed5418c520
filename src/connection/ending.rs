//! The end of a connection: its state, what is known of the peer's Close, and the last event. Each fault, timeout or
//! Close that brings the end about is in the file that sees it.

use super::reading::Reading;
use super::{Connection, Phase, State};
use crate::close_code::CloseStatus;
use crate::event::{Closed, Event};

/// # The end
impl Connection {
    /// The WebSocket API's `readyState`.
    ///
    /// WHATWG: "change the ready state to CLOSED" is part of the task that fires `close`. So the state is
    /// [`Closing`](State::Closing) until [`Event::Closed`] is given and [`Closed`](State::Closed) from then on, while
    /// [`is_closed`](Self::is_closed) may be true before: after [`close`](Self::close) before the connection was open,
    /// [`reject`](Self::reject), [`time_out`](Self::time_out), [`Event::Rejected`], and a message that
    /// [exceeds](crate::ConnectionError::Full) the limit on an output.
    ///
    /// # Examples
    /// ```
    /// use websocket_proto::{ClientRequest, CloseCode, Config, Connection, Event, Output, State};
    ///
    /// let mut output = Output::new();
    /// let mut ws = Connection::client(&ClientRequest::new("ws://example.com/"), Config::new(), [7; 32], &mut output)?;
    /// ws.close(CloseCode::NORMAL_CLOSURE, "", &mut output);
    /// assert_eq!((ws.state(), ws.is_closed()), (State::Closing, true));
    /// assert!(matches!(ws.receive_eof(), Some(Event::Closed(_))));
    /// assert_eq!((ws.state(), ws.is_closed()), (State::Closed, true));
    /// # Ok::<_, websocket_proto::RequestError>(())
    /// ```
    #[must_use]
    pub fn state(&self) -> State {
        match self.phase {
            Phase::Opening => State::Connecting,
            Phase::Frames if !self.close_sent => State::Open,
            Phase::Frames | Phase::Draining | Phase::Ending => State::Closing,
            Phase::Ended => State::Closed,
        }
    }

    /// Whether it is over: nothing more is received or sent. Once the output is written, end the transport in order: shut
    /// its sending side down, read and drop until the peer ends or a grace is over, close.
    ///
    /// The last event may still wait, and the [`state`](Self::state) is `Closing` for that long: after
    /// [`reject`](Self::reject), [`time_out`](Self::time_out), [`close`](Self::close) before the connection was open,
    /// [`Event::Rejected`], and [too large a message](crate::ConnectionError::Full) by browser rules. Call
    /// [`receive`](Self::receive) or [`receive_eof`](Self::receive_eof) until it returns `None`.
    #[inline]
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Ending | Phase::Ended)
    }

    /// What the peer's Close frame said: its status, which is a code or
    /// [`NoStatus`](crate::CloseStatus::NoStatus), and its reason of at most 123 bytes. `None` until one was received.
    ///
    /// It is known from the moment when the frame is received, in both roles, and still after [`Event::Closed`] was
    /// given: a connection that ended by the peer's Close keeps some 240 bytes, and the reason, until it is dropped. A
    /// Close frame that breaks a rule is a fault and does not count.
    ///
    /// # Examples
    /// ```
    /// use websocket_proto::handshake::Negotiated;
    /// use websocket_proto::{CloseCode, CloseStatus, Config, Connection, Event, Input, Output, Role};
    ///
    /// let mut client = Connection::upgraded(Role::Client, Negotiated::default(), Config::new(), [7; 32]);
    /// assert_eq!(client.received_close(), None);
    /// let mut read = *b"\x88\x05\x03\xe9bye";
    /// let event = client.receive(&mut Input::new(&mut read), &mut Output::new());
    /// let status = CloseStatus::Code(CloseCode::GOING_AWAY);
    /// assert_eq!(event, Some(Event::CloseReceived { status, reason: "bye".into() }));
    /// assert_eq!(client.received_close(), Some((status, "bye")));
    /// ```
    #[must_use]
    pub fn received_close(&self) -> Option<(CloseStatus, &str)> {
        self.held.as_ref()?.ending.as_ref()?.received_close()
    }
}

impl Connection {
    /// Ends the connection, with what the last event will say.
    pub(super) fn end(&mut self, closed: Closed) {
        self.stop();
        self.phase = Phase::Ending;
        self.held().ending = Some(closed);
        self.release();
    }

    /// From here on, nothing is received or sent.
    pub(super) fn stop(&mut self) {
        if self.phase == Phase::Opening {
            // It never opened: all that was consumed is the opening.
            self.opening_len = u32::try_from(self.position).unwrap_or(u32::MAX);
        }
        self.phase = Phase::Ended;
        self.busy = true;
        // Nothing is gathered any more: the next call goes to the last event.
        self.reading = Reading::default();
    }

    /// The last event, if it has not been given yet.
    pub(super) fn report_end(&mut self) -> Option<Event<'static>> {
        if self.phase != Phase::Ending {
            return None;
        }
        let refusal = self.report_refusal();
        if refusal.is_some() {
            return refusal;
        }
        self.phase = Phase::Ended;
        let ending = &mut self.held.as_mut()?.ending;
        let closed = match ending {
            // What the peer's Close said stays known.
            Some(closed) if closed.was_clean() => Some(closed.clone()),
            failed => failed.take(),
        };
        self.tidy();
        closed.map(Event::Closed)
    }
}
