//! [`Sender`] and [`Receiver`]: the halves of a connection, for two tasks.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures_core::{FusedStream, Stream};
use futures_sink::Sink;
use tokio::io::{AsyncRead, AsyncWrite};
use websocket_proto::{CloseCode, PreparedMessage};

use crate::driver::Driver;
use crate::error::Error;
use crate::message::Message;

/// The half that sends: a [`Sink`] of messages. See [`WebSocket`](crate::WebSocket#sending).
///
/// While it waits for the peer, it goes on reading, so that two peers that both send do not wait for each other. Up to
/// 256 KiB of messages, and the last one, are queued for the [`Receiver`]; then nothing is read until it receives. The
/// keep-alive does not count that time against the peer.
///
/// Dropping it sends nothing, and the receiver goes on.
pub struct Sender<S>(Shared<S>);

/// The half that receives: a [`Stream`] of messages. See [`WebSocket`](crate::WebSocket#receiving).
///
/// While it waits for the peer, it writes what the [`Sender`] has queued, and keeps the deadlines. If it is dropped,
/// messages that arrive are dropped, too; pings are answered whenever the sender is polled.
pub struct Receiver<S>(Shared<S>);

/// The lock is held while one half is polled, never while one waits.
struct Shared<S>(Arc<Mutex<Box<Driver<S>>>>);

impl<S> Shared<S> {
    fn lock(&self) -> MutexGuard<'_, Box<Driver<S>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn split<S>(driver: Box<Driver<S>>) -> (Sender<S>, Receiver<S>) {
    let shared = Arc::new(Mutex::new(driver));
    (Sender(Shared(shared.clone())), Receiver(Shared(shared)))
}

impl<S: AsyncRead + AsyncWrite + Unpin> Sender<S> {
    /// Queues a message: as [`WebSocket::feed`](crate::WebSocket::feed).
    ///
    /// # Errors
    /// [`Error::Send`]: the message is not queued.
    pub async fn feed(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        poll_fn(|cx| self.0.lock().poll_ready(cx)).await?;
        let message = message.into();
        self.0.lock().start_send(false, |ws, output| message.send(ws, output))
    }

    /// Sends a message, and waits until it is written: as [`WebSocket::send`](crate::WebSocket::send).
    ///
    /// # Errors
    /// As [`feed`](Self::feed).
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        poll_fn(|cx| self.0.lock().poll_ready(cx)).await?;
        let message = message.into();
        self.0.lock().start_send(true, |ws, output| message.send(ws, output))?;
        self.flush().await
    }

    /// Queues a message that was prepared for many connections.
    ///
    /// # Errors
    /// As [`feed`](Self::feed).
    pub async fn feed_prepared(&mut self, message: &PreparedMessage) -> Result<(), Error> {
        poll_fn(|cx| self.0.lock().poll_ready(cx)).await?;
        self.0.lock().start_send(false, |ws, output| ws.send_prepared(message, output))
    }

    /// Waits until everything is written.
    ///
    /// # Errors
    /// [`Error::Connection`] if the connection ended before, without a closing handshake.
    pub async fn flush(&mut self) -> Result<(), Error> {
        poll_fn(|cx| self.0.lock().poll_flush(cx)).await
    }

    /// Closes, and waits until the connection is over. The receiver goes on receiving until the peer's Close: if it
    /// neither receives nor is dropped, and the peer sends much, the deadline for the Close ends the connection.
    ///
    /// # Errors
    /// [`Error::Connection`] if the connection ended in another way.
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        self.0.lock().start_send(true, |ws, output| {
            ws.close(code, reason, output);
            Ok(())
        })?;
        poll_fn(|cx| self.0.lock().poll_over(cx)).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Receiver<S> {
    /// Receives the next message: as [`WebSocket::recv`](crate::WebSocket::recv).
    ///
    /// # Errors
    /// [`Error::Connection`], with the reason of an end without a closing handshake.
    pub async fn recv(&mut self) -> Option<Result<Message, Error>> {
        poll_fn(|cx| self.0.lock().poll_recv(cx)).await
    }
}

impl<S> Drop for Receiver<S> {
    fn drop(&mut self) {
        self.0.lock().discard();
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for Receiver<S> {
    type Item = Result<Message, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.lock().poll_recv(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> FusedStream for Receiver<S> {
    fn is_terminated(&self) -> bool {
        self.0.lock().is_reported
    }
}

/// `poll_close` closes with 1000.
impl<S: AsyncRead + AsyncWrite + Unpin> Sink<Message> for Sender<S> {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.lock().poll_ready(cx)
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        self.0.lock().start_send(false, |ws, output| message.send(ws, output))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.lock().poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.lock().poll_close(cx)
    }
}

impl<S> fmt::Debug for Sender<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sender").field(self.0.lock().connection()).finish()
    }
}

impl<S> fmt::Debug for Receiver<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receiver").field(self.0.lock().connection()).finish()
    }
}
