//! The state of a connection, and every transition, in the order of the guide's [page](crate::guide::life) on a
//! connection's life: handshake, open, closing, closed.
//!
//! | phase | transition | next phase |
//! |---|---|---|
//! | `Handshake` | `on_opened` | `Open` |
//! | `Handshake` | `on_handshake_error`, `on_rejected_by_caller`, `on_rejected_by_server`; `start_closing`, `on_eof`, `time_out` | `Ended` |
//! | `Open` | `start_closing` | `CloseSent` |
//! | `Open`, `CloseSent` | `on_close_received` | client: `Draining`; server: `Ended` |
//! | `Open`, `CloseSent` | `on_error` | `Reported` |
//! | `Open`, `CloseSent` | `on_eof`, `time_out` | `Ended` |
//! | `Open` | `on_output_full` | `Ended` |
//! | `Draining` | `on_eof`, `time_out` | `Ended` |
//! | `Ended` | `report_end` | `Reported` |

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::vec::Vec;

use super::Connection;
use super::handshake::{Handshake, Rejection};
use super::heap::{EarlyData, Heap, Pending, free_if_empty};
use crate::close_code::{CloseCode, ClosePayloadError, CloseStatus, parse_close_payload};
use crate::error::{ConnectionError, Fault, HandshakeError, OutOfMemory, ProtocolError, ProtocolErrorKind, Timeout};
use crate::event::{Closed, Event};
use crate::frame::FrameHeader;
use crate::handshake::Negotiated;
use crate::output::Output;
use crate::role::Role;
use crate::sender::FastPath;

/// The WebSocket API's `readyState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum State {
    /// The opening handshake is not complete.
    Connecting = 0,
    /// Messages can be sent.
    Open = 1,
    /// A Close was sent or received, or the connection [is over](Connection::is_closed). The last event is to come.
    Closing = 2,
    /// The last event, [`Event::Closed`], is reported.
    Closed = 3,
}

/// Every phase of a connection. [`State`] is what the application sees of it.
///
/// Early data is no state of its own: after the handshake it is input, which [`receive`](Connection::receive) consumes
/// before its argument. So a connection that still has early data can be `Open` or, after `close`, `CloseSent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The [`Handshake`] knows how far it is.
    Handshake,
    /// Frames go both ways.
    Open,
    /// This side sent its Close; the peer's frames are received until its Close.
    CloseSent,
    /// Client: both Closes are exchanged; it waits for the server to close the transport.
    Draining,
    /// The connection is over; the last event is still to be reported.
    Ended,
    /// The last event is reported.
    Reported,
}

/// # State
impl Connection {
    /// The WebSocket API's `readyState`.
    ///
    /// WHATWG: "change the ready state to CLOSED" is part of the task that fires `close`. So the state is
    /// [`Closing`](State::Closing) until [`Event::Closed`] is reported and [`Closed`](State::Closed) from then on.
    /// [`is_closed`](Self::is_closed) may be true earlier: after [`close`](Self::close) before the connection was open,
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
            Phase::Handshake => State::Connecting,
            Phase::Open => State::Open,
            Phase::CloseSent | Phase::Draining | Phase::Ended => State::Closing,
            Phase::Reported => State::Closed,
        }
    }

    /// Whether the connection is over: nothing more is received or sent. Once the output is written, close the
    /// transport in this order: shut down its sending side, read and discard until the peer closes or a grace period ends,
    /// close.
    ///
    /// The last event may not be reported yet, and the [`state`](Self::state) is `Closing` until then: call
    /// [`receive`](Self::receive) or [`receive_eof`](Self::receive_eof) until it returns `None`.
    #[inline]
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Ended | Phase::Reported)
    }

    /// Whether the peer's frames are received.
    #[inline]
    pub(super) fn receives_frames(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::CloseSent)
    }

    /// Whether the peer's messages are not delivered: a browser's script gets none after it called `close()` (WHATWG:
    /// "If ready state is not OPEN (1), then return").
    #[inline]
    pub(super) fn discards_messages(&self) -> bool {
        self.browser_rules && self.phase == Phase::CloseSent
    }

    #[inline]
    pub(super) fn refresh_fast_path(&mut self) {
        let has_early_data = self.heap.as_ref().is_some_and(|heap| heap.has_early_data());
        self.set_fast_path(!has_early_data && self.receiver.is_at_message_start(&self.heap));
    }

    /// The only writer of `fast_path`. `is_at_message_start`: whether the next byte of input is the first of a message.
    #[inline]
    pub(super) fn set_fast_path(&mut self, is_at_message_start: bool) {
        self.fast_path = is_at_message_start && self.receives_frames() && !self.discards_messages();
    }

    /// The only writer of `sending`.
    pub(super) fn refresh_sending(&mut self) {
        let is_checked = self.phase != Phase::Open || self.browser_rules;
        self.sending = if is_checked { FastPath::None } else { self.sender.fast_path(&self.heap) };
    }
}

/// # Handshake
impl Connection {
    /// The opening handshake has succeeded.
    pub(super) fn on_opened(&mut self, negotiated: Negotiated) {
        let handshake = self.heap.as_mut().and_then(|heap| heap.take_handshake());
        let handshake_len = handshake.as_ref().map_or(0, |handshake| handshake.position());
        let early_data = handshake.map_or_else(Vec::new, |handshake| handshake.into_early_data());
        let agreed = negotiated.agreed();
        self.receiver.start(handshake_len, agreed);
        self.sender.start(agreed);
        if !early_data.is_empty() {
            self.heap().pending = Pending::EarlyData(Box::new(EarlyData::new(early_data)));
        }
        if negotiated.subprotocol.is_some() {
            self.heap().subprotocol = negotiated.subprotocol;
        }
        self.phase = Phase::Open;
        self.free_heap_if_unused();
        self.refresh_fast_path();
        self.refresh_sending();
    }

    /// The peer broke a rule of the handshake.
    pub(super) fn on_handshake_error(&mut self, error: HandshakeError, output: &mut Output) {
        let handshake = self.heap.as_ref().and_then(|heap| heap.handshake());
        if let Some(answer) = handshake.and_then(|handshake| handshake.answer(error.kind)) {
            answer.write_http1(output);
        }
        self.end(Closed::failed(error));
    }

    /// Server: the caller rejects the request.
    pub(super) fn on_rejected_by_caller(&mut self, status: u16) {
        self.end(Closed::failed(ConnectionError::RequestRejected(status)));
    }

    /// Client: the response has another status than 101. [`Event::Rejected`] is reported before the end.
    pub(super) fn on_rejected_by_server(&mut self, rejection: Rejection) {
        let Rejection { response, error } = rejection;
        self.end_with(Pending::Rejected(Box::new((response, Closed::failed(error)))), Phase::Ended);
    }

    /// Client: if the body of a rejection is incomplete, ends the connection with the part that arrived, and returns
    /// true.
    fn end_with_rejection(&mut self) -> bool {
        let handshake = self.heap.as_mut().and_then(|heap| heap.handshake_mut());
        let Some(rejection) = handshake.and_then(Handshake::take_rejection) else { return false };
        self.on_rejected_by_server(rejection);
        true
    }
}

/// # Closing
impl Connection {
    /// The application closes the connection.
    pub(super) fn start_closing(&mut self, code: Option<CloseCode>, reason: &str, output: &mut Output) {
        match self.phase {
            // WHATWG: "If the WebSocket connection is not yet established: Fail the WebSocket connection and set this's
            // ready state to CLOSING (2)." RFC 6455 §7.2.2, _Abort the WebSocket Connection_ during the handshake: a
            // server closes the transport.
            Phase::Handshake => {
                if !self.end_with_rejection() {
                    self.end(Closed::failed(ConnectionError::ClosedWhileConnecting));
                }
            }
            // RFC 6455 §7.1.2, _Start the WebSocket Closing Handshake_ "with a status code /code/ and an optional close
            // reason /reason/".
            Phase::Open => {
                self.send_close_once(code, reason, output);
                self.refresh_fast_path();
            }
            Phase::CloseSent | Phase::Draining | Phase::Ended | Phase::Reported => {}
        }
    }

    /// The peer's Close has arrived, with this payload. It ends at the receiver's position, from which the offsets of
    /// faults are counted back.
    pub(super) fn on_close_received<'i>(
        &mut self,
        payload: &Cow<'i, [u8]>,
        output: &mut Output,
    ) -> Result<Option<Event<'i>>, ProtocolError> {
        let parsed = match payload {
            Cow::Borrowed(payload) => parse_close_payload(payload).map(|(status, reason)| (status, reason.into())),
            Cow::Owned(payload) => {
                parse_close_payload(payload).map(|(status, reason)| (status, Cow::Owned(reason.into())))
            }
        };
        let (status, reason) = parsed.map_err(|error| self.close_error(error, payload.len()))?;
        // RFC 6455 §5.5.1: "If an endpoint receives a Close frame and did not previously send a Close frame, the
        // endpoint MUST send a Close frame in response. (When sending a Close frame in response, the endpoint typically
        // echos the status code it received.)"
        let echo = if let CloseStatus::Code(code) = status { Some(code) } else { None };
        self.send_close_once(echo, "", output);
        let closed = Closed::cleanly(status, &reason);
        match self.role() {
            // RFC 6455 §5.5.1: "The server MUST close the underlying TCP connection immediately; the client SHOULD wait
            // for the server to close the connection but MAY close the connection at any time".
            Role::Server => {
                self.end(closed);
                Ok(self.report_end())
            }
            Role::Client => {
                self.end_with(Pending::Closed(closed), Phase::Draining);
                Ok(Some(Event::CloseReceived { status, reason }))
            }
        }
    }

    /// The error of a Close frame with a payload of `len` bytes.
    fn close_error(&self, error: ClosePayloadError, len: usize) -> ProtocolError {
        let payload_start = self.receiver.position().saturating_sub(len as u64);
        let frame_start = payload_start.saturating_sub(self.receiver.short_header_len());
        let (kind, offset) = match error {
            ClosePayloadError::TooShort => (ProtocolErrorKind::ClosePayloadTooShort, frame_start),
            ClosePayloadError::InvalidCode(code) => (ProtocolErrorKind::InvalidCloseCode(code), frame_start),
            ClosePayloadError::InvalidReason(index) => {
                (ProtocolErrorKind::InvalidUtf8, payload_start.saturating_add(index as u64))
            }
        };
        ProtocolError { kind, offset }
    }

    /// Sends a Close frame, unless one was sent: Closes that cross need no answer. RFC 6455 §5.5.1: "The application
    /// MUST NOT send any more data frames after sending a Close frame."
    fn send_close_once(&mut self, code: Option<CloseCode>, reason: &str, output: &mut Output) {
        if self.phase == Phase::Open {
            self.sender.write_close(code, reason, &mut self.heap, output);
            self.phase = Phase::CloseSent;
            self.refresh_sending();
        }
    }
}

/// # Failures
impl Connection {
    /// The peer broke a rule for frames, or memory ran out.
    ///
    /// RFC 6455 §7.1.7, _Fail the WebSocket Connection_: "the endpoint SHOULD send a Close frame with an appropriate
    /// status code before proceeding to _Close the WebSocket Connection_". And: "An endpoint MUST NOT continue to
    /// attempt to process data (including a responding Close frame) from the remote endpoint after being instructed to
    /// _Fail the WebSocket Connection_."
    #[cold]
    pub(super) fn on_error(&mut self, fault: Fault, output: &mut Output) -> Event<'static> {
        if fault != Fault::OutOfMemory || self.make_room_for_close(output).is_ok() {
            self.send_close_once(Some(fault.close_code()), "", output);
        }
        // Returned at once, not as `Ended`: to keep the event could need memory, which may be missing.
        self.stop(Pending::None, Phase::Reported);
        Event::Closed(fault.into())
    }

    fn make_room_for_close(&mut self, output: &mut Output) -> Result<(), OutOfMemory> {
        const CODE_LEN: usize = 2;

        if let Some(heap) = &mut self.heap {
            heap.free_memory();
        }
        output.try_reserve(FrameHeader::MAX_LEN + CODE_LEN)
    }

    /// Under browser rules, a message exceeds the limit on the output. No Close is sent: it would wait in the same
    /// output.
    pub(super) fn on_output_full(&mut self) {
        self.end(Closed::failed(ConnectionError::Full));
    }

    /// The transport is closed or lost.
    pub(super) fn on_eof(&mut self) {
        match self.phase {
            Phase::Handshake => {
                let handshake = self.heap.as_ref().and_then(|heap| heap.handshake());
                let error = handshake.map_or(ConnectionError::TransportLost, Handshake::end_of_stream);
                if !self.end_with_rejection() {
                    self.end(Closed::failed(error));
                }
            }
            // RFC 6455 §7.1.5: "If _The WebSocket Connection is Closed_ and no Close control frame was received by the
            // endpoint (such as could occur if the underlying transport connection is lost), _The WebSocket Connection
            // Close Code_ is considered to be 1006."
            // §7.2.1: "If at any point the underlying transport layer connection is unexpectedly lost, the client MUST
            // _Fail the WebSocket Connection_."
            Phase::Open | Phase::CloseSent => self.end(Closed::failed(ConnectionError::TransportLost)),
            Phase::Draining => self.phase = Phase::Ended,
            Phase::Ended | Phase::Reported => {}
        }
    }
}

/// # Time
impl Connection {
    /// Ends the connection because the peer took too long; [`Timeout`] says what is sent. For drivers with timers of
    /// their own; [`Timers`](crate::Timers) calls it otherwise.
    ///
    /// A timer may fire too late. A timeout that the connection does not wait for does nothing:
    /// [`Handshake`](Timeout::Handshake) ends a connection only in [`State::Connecting`], [`Closing`](Timeout::Closing)
    /// only in [`State::Closing`], [`KeepAlive`](Timeout::KeepAlive) in `Closing` and [`State::Open`], and none of them
    /// one that [is over](Self::is_closed).
    ///
    /// The next [`receive`](Self::receive) or [`receive_eof`](Self::receive_eof) returns the last event. Its
    /// [`error`](Closed::error) is the timeout, except in two states of a client, in which it ends as by `receive_eof`:
    /// both Closes are exchanged, or the body of a rejection is incomplete; the rejection is
    /// [reported](Event::Rejected) with the received part of the body. Early data that is not delivered yet is dropped.
    ///
    /// A peer that is gone reads nothing: write the output only as far as the transport accepts it without waiting.
    ///
    /// # Examples
    /// ```
    /// use bytes::Buf;
    /// use websocket_proto::{Config, Connection, ConnectionError, Event, Output, Timeout};
    ///
    /// let (mut server, mut output) = (Connection::server(Config::new()), Output::new());
    /// server.time_out(Timeout::Handshake, &mut output);
    /// assert!(server.is_closed() && output.chunk().starts_with(b"HTTP/1.1 408 Request Timeout\r\n"));
    /// let Some(Event::Closed(closed)) = server.receive_eof() else { unreachable!() };
    /// assert_eq!(closed.error(), Some(&ConnectionError::Timeout(Timeout::Handshake)));
    /// ```
    pub fn time_out(&mut self, timeout: Timeout, output: &mut Output) {
        match (self.phase, timeout) {
            (Phase::Handshake, Timeout::Handshake) => {
                if self.end_with_rejection() {
                    return;
                }
                let handshake = self.heap.as_ref().and_then(|heap| heap.handshake());
                if let Some(answer) = handshake.and_then(Handshake::timeout_answer) {
                    answer.write_http1(output);
                }
                self.end(Closed::failed(timeout));
            }
            (Phase::Open, Timeout::KeepAlive) | (Phase::CloseSent, Timeout::KeepAlive | Timeout::Closing) => {
                self.send_close_once(Some(CloseCode::TIMEOUT), "nothing received for too long", output);
                self.end(Closed::failed(timeout));
            }
            // RFC 6455 §5.5.1: "the client SHOULD wait for the server to close the connection but MAY close the
            // connection at any time after sending and receiving a Close message".
            (Phase::Draining, Timeout::KeepAlive | Timeout::Closing) => self.phase = Phase::Ended,
            _ => {}
        }
    }
}

/// # The end
impl Connection {
    fn end(&mut self, closed: Closed) {
        self.end_with(Pending::Closed(closed), Phase::Ended);
    }

    /// Nothing more is received or sent; `pending` has the last events.
    fn end_with(&mut self, pending: Pending, phase: Phase) {
        // Allocates the heap for them.
        self.heap();
        self.stop(pending, phase);
    }

    /// Frees everything except `pending`.
    fn stop(&mut self, pending: Pending, phase: Phase) {
        self.phase = phase;
        self.refresh_sending();
        self.receiver.end_frame();
        if let Some(heap) = &mut self.heap {
            heap.release(pending);
        }
        self.free_heap_if_unused();
        self.refresh_fast_path();
    }

    /// The next of the last events: the response that rejected the request, if any, then the end. RFC 6455 §7.1.4: it
    /// was closed "_cleanly_" if that was "after the WebSocket closing handshake was completed".
    pub(super) fn report_end(&mut self) -> Option<Event<'static>> {
        if self.phase != Phase::Ended {
            return None;
        }
        let heap = self.heap.as_mut()?;
        match core::mem::take(&mut heap.pending) {
            Pending::Rejected(last_events) => {
                let (response, closed) = *last_events;
                heap.pending = Pending::Closed(closed);
                Some(Event::Rejected(response))
            }
            Pending::Closed(closed) => {
                self.phase = Phase::Reported;
                if closed.was_clean() {
                    // The content of the peer's Close can still be asked for.
                    heap.pending = Pending::Closed(closed.clone());
                }
                self.free_heap_if_unused();
                Some(Event::Closed(closed))
            }
            Pending::None | Pending::Handshake(_) | Pending::EarlyData(_) => None,
        }
    }
}

/// # Memory
impl Connection {
    #[inline]
    pub(super) fn heap(&mut self) -> &mut Heap {
        self.heap.get_or_insert_default()
    }

    /// An idle server has no heap.
    #[inline]
    pub(super) fn free_heap_if_unused(&mut self) {
        free_if_empty(&mut self.heap);
    }
}

#[cfg(test)]
mod tests;
