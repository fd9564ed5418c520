//! How a connection ends, as values: close codes (RFC 6455 §7.4) and the [`Closed`] that the last event carries. When
//! it ends is not decided here.

use alloc::boxed::Box;
use core::fmt;

use crate::error::{ConnectionError, Fault};

/// A status code that may travel in a Close frame (RFC 6455 §7.4, IANA "WebSocket Close Code Number Registry").
///
/// Codes that must never be sent (1005, 1006, 1015), the reserved 1004 and everything outside the ranges of §7.4.2
/// cannot be made; 1005 and 1006 are cases of [`CloseStatus`] instead.
///
/// # Examples
/// ```
/// use websocket_proto::CloseCode;
///
/// assert_eq!(CloseCode::new(1000), Some(CloseCode::NORMAL_CLOSURE));
/// assert_eq!(CloseCode::new(4321).map(CloseCode::get), Some(4321));
/// assert_eq!(CloseCode::new(1006), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose for which the connection was established has been fulfilled.
    pub const NORMAL_CLOSURE: Self = Self(1000);
    /// 1001: a server going down or a browser having navigated away.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: a type of data that cannot be accepted, for instance binary where only text is understood.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// 1007: data inconsistent with the type of the message, such as text that is not UTF-8.
    pub const INVALID_FRAME_PAYLOAD_DATA: Self = Self(1007);
    /// 1008: a message that violates a policy, when no other code fits.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// 1009: a message too big to process.
    pub const MESSAGE_TOO_BIG: Self = Self(1009);
    /// 1010: the server did not negotiate an extension that the client needs; the reason lists them. A server has no
    /// use for this code, because it can fail the handshake instead (RFC 6455 §7.4.1).
    pub const MANDATORY_EXTENSION: Self = Self(1010);
    /// 1011: the server met an unexpected condition.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// 1012: the server restarts; clients may reconnect after a random delay.
    pub const SERVICE_RESTART: Self = Self(1012);
    /// 1013: the server is overloaded; clients should connect elsewhere or later.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// 1014: a gateway or proxy got an invalid response from the server behind it.
    pub const BAD_GATEWAY: Self = Self(1014);
    /// 3000: registered as "Unauthorized".
    pub const UNAUTHORIZED: Self = Self(3000);
    /// 3003: registered as "Forbidden".
    pub const FORBIDDEN: Self = Self(3003);
    /// 3008: registered as "Timeout".
    pub const TIMEOUT: Self = Self(3008);

    /// The code, or `None` if it may not travel in a Close frame.
    #[must_use]
    pub const fn new(code: u16) -> Option<Self> {
        match code {
            // RFC 6455 §7.4.1: 1004 is reserved; 1005, 1006 and 1015 "MUST NOT be set as a status code in a Close
            // control frame by an endpoint". 1012 to 1014 were registered later; 1016 to 2999 have no meaning yet.
            1000..=1003 | 1007..=1014 | 3000..=4999 => Some(Self(code)),
            _ => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloseCode({})", self.0)
    }
}

/// What is known of a connection's end (RFC 6455 §7.1.5, "The WebSocket Connection Close Code").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseStatus {
    /// The peer's Close frame carried this code.
    Code(CloseCode),
    /// The peer's Close frame carried no code. Known as 1005, which never travels.
    NoStatus,
    /// No Close frame was received. Known as 1006, which never travels.
    Abnormal,
}

impl CloseStatus {
    /// The number that the WebSocket API's `CloseEvent.code` shows: the code, 1005 or 1006.
    ///
    /// # Examples
    /// ```
    /// use websocket_proto::{CloseCode, CloseStatus};
    ///
    /// assert_eq!(CloseStatus::Code(CloseCode::GOING_AWAY).code(), 1001);
    /// assert_eq!(CloseStatus::NoStatus.code(), 1005);
    /// assert_eq!(CloseStatus::Abnormal.code(), 1006);
    /// ```
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::Code(code) => code.get(),
            Self::NoStatus => 1005,
            Self::Abnormal => 1006,
        }
    }
}

/// How the connection ended: the content of the last event.
///
/// There are two ways. Either the closing handshake was completed: [`was_clean`](Self::was_clean) is true, and the code
/// and the reason are those of the peer's Close. Or it was not: then [`error`](Self::error) says why, the code is 1006,
/// the reason is empty, and the Close frame or HTTP response that tells the peer, if there is one, is in the output.
/// `was_clean()` is always `error().is_none()`, so a binding of the WebSocket API fires `error` before `close` exactly
/// if there is one.
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
    /// Boxed, so that the largest event stays small: it comes once in a connection's life. `None` for
    /// [`OUT_OF_MEMORY`], for which no box can be had.
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
    /// By a closing handshake, in which the peer's Close said this.
    pub(crate) fn cleanly(status: CloseStatus, reason: &str) -> Self {
        Self { end: Some(Box::new(End::Cleanly(status, reason.into()))) }
    }

    /// Without a closing handshake.
    pub(crate) fn failed(error: impl Into<ConnectionError>) -> Self {
        Self { end: Some(Box::new(End::Failed(error.into()))) }
    }

    fn end(&self) -> &End {
        self.end.as_deref().unwrap_or(&OUT_OF_MEMORY)
    }

    /// The status and the reason of the peer's Close, if the connection ends by it.
    pub(crate) fn received_close(&self) -> Option<(CloseStatus, &str)> {
        match self.end() {
            End::Cleanly(status, reason) => Some((*status, reason)),
            End::Failed(_) => None,
        }
    }

    /// What the peer's Close said, if there was one.
    #[must_use]
    pub fn status(&self) -> CloseStatus {
        self.received_close().map_or(CloseStatus::Abnormal, |(status, _)| status)
    }

    /// The number of [`status`](Self::status): what the WebSocket API's `CloseEvent.code` shows.
    #[must_use]
    pub fn code(&self) -> u16 {
        self.status().code()
    }

    /// The reason in the peer's Close, at most 123 bytes; empty if there was none.
    #[must_use]
    pub fn reason(&self) -> &str {
        self.received_close().map_or("", |(_, reason)| reason)
    }

    /// Whether the closing handshake was completed (RFC 6455 §7.1.4): what the WebSocket API's `CloseEvent.wasClean`
    /// shows. True exactly if there is no [`error`](Self::error).
    #[must_use]
    pub fn was_clean(&self) -> bool {
        self.error().is_none()
    }

    /// Why the connection ended without a closing handshake; `None` exactly if it [was clean](Self::was_clean).
    ///
    /// # Examples
    /// ```
    /// use bytes::Buf;
    /// use websocket_proto::{Config, Connection, ConnectionError, Event, HandshakeErrorKind, Input, Output};
    ///
    /// let (mut server, mut output) = (Connection::server(Config::new()), Output::new());
    /// let mut read = *b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n";
    /// let Some(Event::Closed(closed)) = server.receive(&mut Input::new(&mut read), &mut output) else { unreachable!() };
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
            End::Cleanly(CloseStatus::Code(code), _) => write!(f, "closed by the peer with code {code}"),
            End::Cleanly(..) => f.write_str("closed by the peer without a code"),
        }
    }
}

/// The longest reason that fits into a Close frame: 125 bytes less two for the code (RFC 6455 §5.5.1).
pub(crate) const MAX_REASON: usize = 123;

/// As much of the reason as fits, cut at a character border.
pub(crate) fn cut_reason(reason: &str) -> &str {
    let fits = |end: &usize| reason.is_char_boundary(*end);
    let end = (0..=MAX_REASON.min(reason.len())).rev().find(fits).unwrap_or_default();
    reason.get(..end).unwrap_or_default()
}

/// Why the arguments of a browser's `close(code, reason)` are refused (the WHATWG standard's `close` method).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScriptCloseError {
    /// `InvalidAccessError`: the code is neither 1000 nor in 3000–4999.
    InvalidAccess,
    /// `SyntaxError`: the reason is longer than 123 bytes of UTF-8.
    Syntax,
}

impl fmt::Display for ScriptCloseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidAccess => "InvalidAccessError: the close code is neither 1000 nor between 3000 and 4999",
            Self::Syntax => "SyntaxError: the close reason is longer than 123 bytes",
        })
    }
}

impl core::error::Error for ScriptCloseError {}

/// The code of a browser's `close(code, reason)`, checked by the WHATWG's rules.
pub(crate) fn check_script_close(code: Option<u16>, reason: &str) -> Result<Option<CloseCode>, ScriptCloseError> {
    let code = match code {
        None => None,
        Some(code @ (1000 | 3000..=4999)) => Some(CloseCode(code)),
        Some(_) => return Err(ScriptCloseError::InvalidAccess),
    };
    if reason.len() > MAX_REASON {
        return Err(ScriptCloseError::Syntax);
    }
    // WHATWG: "If reason is non-empty but code is null, then set code to 1000 ("Normal Closure")."
    Ok(if reason.is_empty() { code } else { code.or(Some(CloseCode::NORMAL_CLOSURE)) })
}
