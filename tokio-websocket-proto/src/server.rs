//! [`Server`]: accepts connections on transports that are connected.

use std::fmt;
use std::future::poll_fn;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use websocket_proto::handshake::{Negotiated, Request};
use websocket_proto::{Accept, Config, Connection, ConnectionError, Event, Output, Reject, Role, SessionConfig};

use crate::driver::Driver;
use crate::error::Error;
use crate::websocket::WebSocket;

/// Accepts any request on a transport, with the defaults of [`Server`].
///
/// # Errors
/// As [`Server::accept`].
///
/// # Examples
/// ```
/// use tokio_websocket_proto::{Error, Message, accept};
///
/// async fn echo(tcp: tokio::net::TcpStream) -> Result<(), Error> {
///     let mut ws = accept(tcp).await?;
///     while let Some(message) = ws.recv().await {
///         match message? {
///             message if message.is_data() => ws.feed(message).await?,
///             _ => {}
///         }
///     }
///     Ok(())
/// }
/// ```
pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(io: S) -> Result<WebSocket<S>, Error> {
    Server::new().accept(io).await
}

/// The limits and deadlines of a server's connections.
///
/// # Examples
/// A decision about the request, in the time that [`Timeouts::handshake`](websocket_proto::Timeouts::handshake) gives:
/// ```
/// use tokio_websocket_proto::{Accept, Config, Deflate, Error, Reject, Server};
///
/// async fn serve(tcp: tokio::net::TcpStream) -> Result<(), Error> {
///     let server = Server::new().config(Config::new().deflate(Deflate::new()));
///     let incoming = server.request(tcp).await?;
///     if incoming.request().path() != "/chat" {
///         return incoming.reject(&Reject::not_found()).await;
///     }
///     let mut ws = incoming.accept(&Accept::new().subprotocol("chat")).await?;
///     ws.send("welcome").await
/// }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder: call `accept`"]
pub struct Server {
    pub(crate) config: Config,
    session: SessionConfig<Duration>,
}

impl Server {
    /// The defaults of [`Config::new`] and [`SessionConfig::new`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the protocol's limits, and compression.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Sets the deadlines, the keep-alive, and when a peer that does not read is no longer read from.
    pub fn session(mut self, session: SessionConfig<Duration>) -> Self {
        self.session = session;
        self
    }

    /// Accepts any request on `io`. For TCP, set `TCP_NODELAY` before.
    ///
    /// # Errors
    /// [`Error::Connection`] if there was no valid request in time. It was answered.
    pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, io: S) -> Result<WebSocket<S>, Error> {
        self.request(io).await?.accept(&Accept::new()).await
    }

    /// An open connection: other code did the handshake on `io`, and both sides agreed on `negotiated`. For HTTP servers:
    /// see [`Request::accept`].
    pub fn upgraded<S>(&self, io: S, negotiated: Negotiated) -> WebSocket<S> {
        // A server masks nothing: it needs no seed.
        let connection = Connection::upgraded(Role::Server, negotiated, self.config.clone(), [0; 32]);
        WebSocket::new(Driver::new(io, connection, Output::new(), self.session))
    }

    /// Waits for the request on `io`, to decide about it.
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    pub async fn request<S: AsyncRead + AsyncWrite + Unpin>(&self, io: S) -> Result<Incoming<S>, Error> {
        let connection = Connection::server(self.config.clone());
        let mut driver = Driver::new(io, connection, Output::new(), self.session);
        match poll_fn(|cx| driver.poll_handshake(cx)).await? {
            Event::Request(request) => Ok(Incoming { driver, request }),
            // A server's handshake has no other event.
            _ => Err(ConnectionError::TransportLost.into()),
        }
    }
}

/// A client's request, to accept or to reject. Dropping it closes the transport without an answer.
pub struct Incoming<S> {
    driver: Box<Driver<S>>,
    request: Request,
}

impl<S> Incoming<S> {
    /// The request.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// The transport.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        &self.driver.io
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Incoming<S> {
    /// Accepts, with a subprotocol or headers.
    ///
    /// # Errors
    /// [`Error::Accept`] if the client did not offer the subprotocol: then it got HTTP 500. [`Error::Connection`] if the
    /// connection has ended.
    pub async fn accept(mut self, accept: &Accept) -> Result<WebSocket<S>, Error> {
        let accepted = self.driver.send(true, |ws, output| ws.accept_with(self.request, accept, output));
        match accepted {
            Ok(()) => {
                poll_fn(|cx| self.driver.poll_flush(cx)).await?;
                Ok(WebSocket::new(self.driver))
            }
            Err(error) => {
                let kind = error.kind();
                self.request = error.into_request();
                self.reject(&Reject::internal_server_error()).await?;
                Err(Error::Accept(kind))
            }
        }
    }

    /// Rejects, and closes the transport in order.
    ///
    /// # Errors
    /// [`Error::Connection`] if the connection ended before the answer was sent.
    pub async fn reject(mut self, reject: &Reject) -> Result<(), Error> {
        self.driver.send(true, |ws, output| ws.reject(self.request, reject, output));
        match poll_fn(|cx| self.driver.poll_over(cx)).await {
            Err(Error::Connection(ConnectionError::RequestRejected(_))) => Ok(()),
            result => result,
        }
    }
}

impl<S> fmt::Debug for Incoming<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("request", &self.request).finish_non_exhaustive()
    }
}
