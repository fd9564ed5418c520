//! Ending a connection whose peer took too long: when that is, somebody with a clock decides.

use super::opening::{Opening, Stage};
use super::{Connection, Phase, State};
use crate::close_code::CloseCode;
use crate::error::{HandshakeError, HandshakeErrorKind, Timeout};
use crate::event::{Closed, Event};
use crate::handshake::{Bootstrap, Reject, Response};
use crate::output::Output;

/// # Running out of time
/// For drivers with timers of their own; [`Timers`](crate::Timers) calls it for all others.
impl Connection {
    /// Ends the connection because the peer took too long. What is sent then, [`Timeout`] says.
    ///
    /// Does nothing if the connection does not wait for that any more, so that a timer may fire too late:
    /// [`Opening`](Timeout::Opening) ends a connection only in [`State::Connecting`], [`Closing`](Timeout::Closing)
    /// only in [`State::Closing`], [`KeepAlive`](Timeout::KeepAlive) in that and in [`State::Open`]; and none of them
    /// one that [is over](Self::is_closed).
    ///
    /// The next [`receive`](Self::receive) or [`receive_eof`](Self::receive_eof) gives the last event. Its
    /// [`error`](Closed::error) is the timeout, except where the peer did say how it ends: a client that has both
    /// Closes and only waits for the transport to be closed ends as by `receive_eof`, and so does one that waits for
    /// the body of a refusal, which is [reported](Event::Rejected) with as much of it as came. Messages that a client
    /// sent ahead of the answer to its request are not delivered any more.
    ///
    /// A peer that is gone reads nothing more: write what is in the output as far as that goes without waiting.
    ///
    /// # Examples
    /// ```
    /// use bytes::Buf;
    /// use websocket_proto::{Config, Connection, ConnectionError, Event, Output, Timeout};
    ///
    /// let (mut server, mut output) = (Connection::server(Config::new()), Output::new());
    /// server.time_out(Timeout::Opening, &mut output);
    /// assert!(server.is_closed() && output.chunk().starts_with(b"HTTP/1.1 408 Request Timeout\r\n"));
    /// let Some(Event::Closed(closed)) = server.receive_eof() else { unreachable!() };
    /// assert_eq!(closed.error(), Some(&ConnectionError::Timeout(Timeout::Opening)));
    /// ```
    pub fn time_out(&mut self, timeout: Timeout, output: &mut Output) {
        if self.is_closed() {
            return;
        }
        match (timeout, self.state()) {
            (Timeout::Opening, State::Connecting) => self.end_opening(output),
            (Timeout::KeepAlive, State::Open | State::Closing) | (Timeout::Closing, State::Closing) => {
                self.end_frames(timeout, output);
            }
            _ => {}
        }
    }

    fn end_opening(&mut self, output: &mut Output) {
        if self.end_with_refusal() {
            return;
        }
        let start = self.opening().map(Opening::start).unwrap_or_default();
        match self.opening().map(|opening| &opening.stage) {
            // RFC 9110 §15.5.9: "the server did not receive a complete request message within the time that it was
            // prepared to wait."
            Some(Stage::Request) => {
                Reject::request_timeout().answer(Bootstrap::Upgrade).for_request(start).write_http1(output);
            }
            // RFC 9110 §15.6.4: "the server is currently unable to handle the request due to a temporary overload".
            Some(Stage::Deciding(_)) => Reject::service_unavailable().answer(Bootstrap::Upgrade).write_http1(output),
            Some(Stage::Response(_) | Stage::Refusal(..)) | None => {}
        }
        self.end(Closed::failed(Timeout::Opening));
    }

    /// Ends a client that waits for the rest of a refusal's body; returns whether it did. The refusal is then
    /// [reported](Self::report_refusal), with as much of its body as came.
    pub(super) fn end_with_refusal(&mut self) -> bool {
        let Some(Stage::Refusal(head, _)) = self.opening().map(|opening| &opening.stage) else { return false };
        let kind = HandshakeErrorKind::Rejected(head.status);
        let opening = self.held().opening.take();
        self.end(Closed::failed(HandshakeError { kind, offset: self.position }));
        self.held().opening = opening;
        true
    }

    /// The refusal that the connection has ended with, once.
    pub(super) fn report_refusal(&mut self) -> Option<Event<'static>> {
        let Stage::Refusal(head, mut body) = self.held.as_mut()?.opening.take()?.stage else { return None };
        Some(Event::Rejected(Response::rejection(head, body.take_data())))
    }

    fn end_frames(&mut self, timeout: Timeout, output: &mut Output) {
        if self.phase == Phase::Draining {
            // RFC 6455 §5.5.1: "the client SHOULD wait for the server to close the connection but MAY close the
            // connection at any time after sending and receiving a Close message".
            self.phase = Phase::Ending;
            return;
        }
        // While the answer to a Close is waited for, it was sent.
        self.put_close(Some(CloseCode::TIMEOUT), "nothing received for too long", output);
        self.end(Closed::failed(timeout));
    }

    /// How many bytes were consumed since the connection began.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }
}
