//! [`Closed`]: how a connection ended, the content of the last event.

use alloc::boxed::Box;
use core::fmt;

use crate::close_code::CloseStatus;
use crate::error::{ConnectionError, Fault};

/// How the connection ended: the content of the last event.
///
/// If the closing handshake was completed, [`was_clean`](Self::was_clean) is true, and the code and the reason are
/// those of the peer's Close. Otherwise [`error`](Self::error) is the cause, the code is 1006, the reason is empty, and
/// the Close frame or HTTP response that tells the peer, if any, is in the output. `was_clean()` is always
/// `error().is_none()`, so a binding of the WebSocket API fires `error` before `close` exactly if there is an error.
///
/// The reason is the peer's text. RFC 6455 §5.5.1: "as the data is not guaranteed to be human readable, clients MUST
/// NOT show it to end users."
///
/// # Examples
/// ```
/// use websocket_proto::handshake::Negotiated;
/// use websocket_proto::{CloseStatus, Config, Connection, ConnectionError, Event, Role};
///
/// let mut server = Connection::upgraded(Role::Server, Negotiated::default(), Config::new(), [0; 32]);
/// let Some(Event::Closed(closed)) = server.receive_eof() else { unreachable!() };
/// assert_eq!((closed.code(), closed.status()), (1006, CloseStatus::Abnormal));
/// assert!(!closed.was_clean() && closed.reason().is_empty());
/// assert_eq!(closed.error(), Some(&ConnectionError::TransportLost));
/// assert_eq!(closed.to_string(), "ended without a Close frame (RFC 6455 §7.1.5)");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Boxed, because it occurs once per connection and would make every event larger. `None` means
    /// [`OUT_OF_MEMORY`], which must not allocate.
    end: Option<Box<End>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    /// The status and the reason of the peer's Close.
    Cleanly(CloseStatus, Box<str>),
    Failed(ConnectionError),
}

static OUT_OF_MEMORY: End = End::Failed(ConnectionError::OutOfMemory);

impl Closed {
    /// A clean end, with the status and the reason of the peer's Close.
    pub(crate) fn cleanly(status: CloseStatus, reason: &str) -> Self {
        Self { end: Some(Box::new(End::Cleanly(status, reason.into()))) }
    }

    /// An end without a completed closing handshake.
    pub(crate) fn failed(error: impl Into<ConnectionError>) -> Self {
        Self { end: Some(Box::new(End::Failed(error.into()))) }
    }

    fn end(&self) -> &End {
        self.end.as_deref().unwrap_or(&OUT_OF_MEMORY)
    }

    /// The status and the reason of the peer's Close, if the end is clean.
    pub(crate) fn received_close(&self) -> Option<(CloseStatus, &str)> {
        match self.end() {
            End::Cleanly(status, reason) => Some((*status, reason)),
            End::Failed(_) => None,
        }
    }

    /// The status of the peer's Close; [`Abnormal`](CloseStatus::Abnormal) without one.
    #[must_use]
    pub fn status(&self) -> CloseStatus {
        self.received_close().map_or(CloseStatus::Abnormal, |(status, _)| status)
    }

    /// The number of [`status`](Self::status), which is the WebSocket API's `CloseEvent.code`.
    #[must_use]
    pub fn code(&self) -> u16 {
        self.status().code()
    }

    /// The reason in the peer's Close, at most 123 bytes; empty if there was none.
    #[must_use]
    pub fn reason(&self) -> &str {
        self.received_close().map_or("", |(_, reason)| reason)
    }

    /// Whether the closing handshake was completed (RFC 6455 §7.1.4): the WebSocket API's `CloseEvent.wasClean`. True
    /// exactly if there is no [`error`](Self::error).
    #[must_use]
    pub fn was_clean(&self) -> bool {
        self.error().is_none()
    }

    /// The cause of an end without a closing handshake; `None` exactly if it [was clean](Self::was_clean).
    ///
    /// # Examples
    /// ```
    /// use bytes::Buf;
    /// use websocket_proto::{Config, Connection, ConnectionError, Event, HandshakeErrorKind, Input, Output};
    ///
    /// let (mut server, mut output) = (Connection::server(Config::new()), Output::new());
    /// let mut read = *b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n";
    /// let event = server.receive(&mut Input::new(&mut read), &mut output);
    /// let Some(Event::Closed(closed)) = event else { unreachable!() };
    /// let Some(ConnectionError::Handshake(error)) = closed.error() else { unreachable!() };
    /// assert_eq!((error.kind(), error.status(), error.offset()), (HandshakeErrorKind::MissingUpgrade, 426, 37));
    /// assert_eq!(error.to_string(), "opening handshake: no upgrade to websocket at byte 37 (RFC 6455 §4)");
    /// assert!(output.chunk().starts_with(b"HTTP/1.1 426 Upgrade Required\r\n"));
    /// ```
    #[must_use]
    pub fn error(&self) -> Option<&ConnectionError> {
        match self.end() {
            End::Cleanly(..) => None,
            End::Failed(error) => Some(error),
        }
    }
}

impl From<Fault> for Closed {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Peer(error) => Self::failed(error),
            Fault::OutOfMemory => Self { end: None },
        }
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.end() {
            End::Failed(error) => error.fmt(f),
            End::Cleanly(CloseStatus::Code(code), _) => write!(f, "closed cleanly, the peer's Close has code {code}"),
            End::Cleanly(..) => f.write_str("closed cleanly, the peer's Close has no code"),
        }
    }
}
