//! [`Error`]: why a connection did not open, or ended, or did not take a message.

use std::{fmt, io};

use websocket_proto::handshake::{AcceptErrorKind, Response};
use websocket_proto::{ConnectionError, RequestError, SendError};

/// Why a connection did not open, or ended, or did not take a message.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The transport did not open: the name, TCP or TLS.
    Connect(io::Error),
    /// The client's request is invalid: its URL, or a subprotocol.
    Request(RequestError),
    /// The server answered the client's request with another status than 101.
    Rejected(Box<Response>),
    /// The server's own answer does not fit the request.
    Accept(AcceptErrorKind),
    /// The connection ended without a closing handshake: by a protocol error or a limit, a deadline, or the transport.
    Connection(ConnectionError),
    /// The message was not sent.
    Send(SendError),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => write!(f, "cannot connect: {error}"),
            Self::Request(error) => error.fmt(f),
            Self::Rejected(response) => write!(f, "request rejected with HTTP status {}", response.status()),
            Self::Accept(error) => error.fmt(f),
            Self::Connection(error) => error.fmt(f),
            Self::Send(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Connect(error) => Some(error),
            Self::Request(error) => Some(error),
            Self::Rejected(_) => None,
            Self::Accept(error) => Some(error),
            Self::Connection(error) => Some(error),
            Self::Send(error) => Some(error),
        }
    }
}

impl From<RequestError> for Error {
    fn from(error: RequestError) -> Self {
        Self::Request(error)
    }
}

impl From<ConnectionError> for Error {
    fn from(error: ConnectionError) -> Self {
        Self::Connection(error)
    }
}

impl From<SendError> for Error {
    fn from(error: SendError) -> Self {
        Self::Send(error)
    }
}
