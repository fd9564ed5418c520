//! [`WebSocket`]: an open connection, as a stream and a sink of messages.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::{FusedStream, Stream};
use futures_sink::Sink;
use tokio::io::{AsyncRead, AsyncWrite};
use websocket_proto::{CloseCode, Closed, Connection, PreparedMessage};

use crate::driver::Driver;
use crate::error::Error;
use crate::message::Message;
use crate::split::{self, Receiver, Sender};

/// An open connection: a [`Stream`] of messages, and a [`Sink`] of messages.
///
/// # Receiving
/// [`recv`](Self::recv), or `next` of the stream, returns the next message. The last one is [`Message::Close`] or an
/// error, and comes when the connection is over, with the transport closed in order; then `None`.
///
/// # Sending
/// [`send`](Self::send) waits until the message is written; [`feed`](Self::feed) only until it is queued. What is queued
/// is written by the next `flush` or `send`, and by `recv` before it waits: an echo server that feeds writes the answers
/// to all messages of one read at once. Both wait while 64 KiB or more wait for the peer. An error means that no message
/// can be sent any more; `recv` says why.
///
/// # Cancellation
/// All futures may be dropped at any time. A dropped `recv` has received nothing. A dropped `feed` has sent nothing; if
/// it is complete, the message will be sent, once. A dropped `send` has sent the whole message, or nothing: in a
/// `select!`, use `feed` or send in the branch's body. Dropping the `WebSocket` sends no Close: the peer sees an abnormal
/// end.
///
/// # Polling
/// Everything happens while one of the futures is polled: writing, reading, pongs, keep-alive, deadlines. So receive all
/// the time, beside what else the task does. While the application sends and does not receive, messages that arrive are
/// queued, so that two peers that both send do not wait for each other. Above 256 KiB nothing more is read: the peer has
/// to wait, and its pings, too.
pub struct WebSocket<S>(Box<Driver<S>>);

/// # Getters
impl<S> WebSocket<S> {
    pub(crate) fn new(driver: Box<Driver<S>>) -> Self {
        Self(driver)
    }

    /// The protocol's state: subprotocol, counters, the peer's Close.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        self.0.connection()
    }

    /// The subprotocol in use.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.connection().subprotocol()
    }

    /// How the connection ended.
    #[must_use]
    pub fn closed(&self) -> Option<&Closed> {
        self.0.closed.as_ref()
    }

    /// The round-trip time of the keep-alive's last ping.
    pub fn round_trip(&mut self) -> Option<Duration> {
        self.0.session.timers().round_trip()
    }

    /// The transport.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        &self.0.io
    }

    /// The transport, to change its options. Reading or writing it breaks the connection.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.0.io
    }

    /// Two halves for two tasks: see [`Receiver`] and [`Sender`].
    #[must_use]
    pub fn split(self) -> (Sender<S>, Receiver<S>) {
        split::split(self.0)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Receives the next message. The last one is [`Message::Close`] or an error; then `None`.
    ///
    /// # Errors
    /// [`Error::Connection`], with the reason of an end without a closing handshake.
    pub async fn recv(&mut self) -> Option<Result<Message, Error>> {
        poll_fn(|cx| self.0.poll_recv(cx)).await
    }

    /// Queues a message. Waits while 64 KiB or more wait for the peer.
    ///
    /// # Errors
    /// [`Error::Send`]: the message is not queued.
    pub async fn feed(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        poll_fn(|cx| self.0.poll_ready(cx)).await?;
        let message = message.into();
        self.0.start_send(false, |ws, output| message.send(ws, output))
    }

    /// Sends a message, and waits until it is written.
    ///
    /// # Errors
    /// As [`feed`](Self::feed).
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        poll_fn(|cx| self.0.poll_ready(cx)).await?;
        let message = message.into();
        self.0.start_send(true, |ws, output| message.send(ws, output))?;
        self.flush().await
    }

    /// Queues a message that was prepared for many connections.
    ///
    /// # Errors
    /// As [`feed`](Self::feed).
    pub async fn feed_prepared(&mut self, message: &PreparedMessage) -> Result<(), Error> {
        poll_fn(|cx| self.0.poll_ready(cx)).await?;
        self.0.start_send(false, |ws, output| ws.send_prepared(message, output))
    }

    /// Waits until everything is written.
    ///
    /// # Errors
    /// [`Error::Connection`] if the connection ended before, without a closing handshake.
    pub async fn flush(&mut self) -> Result<(), Error> {
        poll_fn(|cx| self.0.poll_flush(cx)).await
    }

    /// Closes: sends a Close after everything else, waits for the peer's, and closes the transport in order. Drops
    /// messages that still arrive; to receive them, send [`Message::Close`] and go on with `recv`.
    ///
    /// If the future is dropped, the Close is sent nevertheless, as soon as the connection is polled again.
    ///
    /// # Errors
    /// [`Error::Connection`] if the connection ended in another way.
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        self.0.discard();
        self.0.start_send(true, |ws, output| {
            ws.close(code, reason, output);
            Ok(())
        })?;
        poll_fn(|cx| self.0.poll_over(cx)).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for WebSocket<S> {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> FusedStream for WebSocket<S> {
    fn is_terminated(&self) -> bool {
        self.0.is_reported
    }
}

/// `poll_close` closes with 1000.
impl<S: AsyncRead + AsyncWrite + Unpin> Sink<Message> for WebSocket<S> {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.poll_ready(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        self.0.start_send(false, |ws, output| message.send(ws, output))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.poll_close(cx)
    }
}

impl<S> fmt::Debug for WebSocket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WebSocket").field(self.connection()).finish()
    }
}
