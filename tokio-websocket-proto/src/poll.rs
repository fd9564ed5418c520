//! The operations of both halves, as polls of the [`Driver`].

use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::coop::{has_budget_remaining, poll_proceed};
use websocket_proto::{CloseCode, Connection, Event, Output, SendError, State};

use crate::driver::{Driver, Sending};
use crate::error::Error;
use crate::message::Message;
use crate::wakers::Side;

/// While this many bytes or more wait for the transport, sending waits.
const MAX_WAITING: usize = 64 << 10;

/// A message counts once for this many bytes.
const UNIT: usize = 16 << 10;

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    /// The next message; after the last one, why the connection ended; then `None`.
    pub(crate) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message, Error>>> {
        // A peer that never pauses must not keep the task from yielding.
        let budget = ready!(poll_proceed(cx));
        self.note_receiving();
        let was_full = self.queue.is_full();
        let received = self.poll_until(Side::Receiver, cx, |driver| {
            if let Some(message) = driver.queue.pop().or_else(|| driver.next_unread()) {
                return Some(Some(Ok(message)));
            }
            driver.is_over().then(|| driver.take_end())
        });
        if was_full {
            // The sending half may read again.
            self.wake(Side::Sender);
        }
        if let Poll::Ready(received) = &received {
            budget.made_progress();
            spend_budget(received.as_ref(), cx);
        }
        received
    }

    /// The last message or error, once.
    fn take_end(&mut self) -> Option<Result<Message, Error>> {
        if self.is_reported {
            return None;
        }
        self.is_reported = true;
        Some(match self.end() {
            Ok(()) => Ok(Message::from_clean_end(self.closed.as_ref()?)),
            Err(error) => Err(error),
        })
    }

    /// Why the connection ended.
    fn end(&self) -> Result<(), Error> {
        match self.closed.as_ref().and_then(|closed| closed.error()) {
            Some(error) => Err(error.clone().into()),
            None => Ok(()),
        }
    }

    /// Waits until a message can be sent, or never can: then until the connection is over.
    pub(crate) fn poll_ready(&mut self, cx: &Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_until(Side::Sender, cx, |driver| {
            if driver.connection().is_closed() {
                return driver.is_over().then_some(Err(SendError::Closing.into()));
            }
            // In `State::Closing`, the error is that of sending.
            let is_ready = driver.session.waiting() < MAX_WAITING || driver.connection().state() == State::Closing;
            if is_ready {
                return Some(Ok(()));
            }
            driver.fill_queue();
            None
        })
    }

    /// Sends a message, for which there is room. Writes it if `writes`.
    pub(crate) fn start_send(
        &mut self,
        writes: bool,
        send: impl FnOnce(&mut Connection, &mut Output) -> Result<(), SendError>,
    ) -> Result<(), Error> {
        let result = self.send(writes, send);
        if self.connection().state() != State::Open {
            // A receiving half that waits knows neither the Close nor its deadline.
            self.wake(Side::Receiver);
        }
        result.map_err(Error::Send)
    }

    /// Waits until everything is written and flushed, or the connection is over.
    pub(crate) fn poll_flush(&mut self, cx: &Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_until(Side::Sender, cx, |driver| {
            // An end without a Close may have dropped bytes.
            let has_ended = driver.closed.as_ref().is_some_and(|closed| closed.error().is_some());
            if driver.sending == Sending::Written && !has_ended {
                return Some(Ok(()));
            }
            driver.fill_queue();
            driver.is_over().then(|| driver.end())
        })
    }

    /// Closes with 1000, and waits until the connection is over.
    pub(crate) fn poll_close(&mut self, cx: &Context<'_>) -> Poll<Result<(), Error>> {
        if self.connection().state() == State::Open {
            self.start_send(true, |ws, output| {
                ws.close(CloseCode::NORMAL_CLOSURE, "", output);
                Ok(())
            })?;
        }
        self.poll_over(cx)
    }

    /// Waits until the connection is over.
    pub(crate) fn poll_over(&mut self, cx: &Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_until(Side::Sender, cx, |driver| {
            driver.fill_queue();
            driver.is_over().then(|| driver.end())
        })
    }

    /// Waits for the request, or for the answer to it.
    pub(crate) fn poll_handshake(&mut self, cx: &Context<'_>) -> Poll<Result<Event<'static>, Error>> {
        self.poll_until(Side::Receiver, cx, |driver| {
            if let Some(message) = driver.next_unread() {
                driver.queue.push(message);
            }
            match driver.handshake.take() {
                Some(event) => Some(Ok(*event)),
                None if driver.is_over() => Some(Err(driver.end().err()?)),
                None => None,
            }
        })
    }
}

/// A large message takes its time, and may have been a small one before decompression.
fn spend_budget(received: Option<&Result<Message, Error>>, cx: &mut Context<'_>) {
    let Some(Ok(message)) = received else { return };
    for _ in 0..message.payload().len() / UNIT {
        if !has_budget_remaining() {
            return;
        }
        if let Poll::Ready(budget) = poll_proceed(cx) {
            budget.made_progress();
        }
    }
}
