//! Why things end, in three types that never mix: why a connection had no clean end ([`ConnectionError`]), what the caller did
//! wrong while the connection is open ([`SendError`]), and what the caller asked of a handshake that cannot be
//! ([`RequestError`](crate::RequestError), [`AcceptError`](crate::AcceptError), [`RejectError`](crate::RejectError)).

mod fault;
mod send;

use core::fmt;

use crate::close_code::CloseCode;

pub(crate) use fault::{Fault, OutOfMemory};
pub use send::SendError;

/// Why a connection ended without a closing handshake; found in [`Closed::error`](crate::Closed::error).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionError {
    /// In a frame, after the opening handshake.
    Protocol(ProtocolError),
    /// In the opening handshake.
    Handshake(HandshakeError),
    /// The peer did not take what was to be sent: more than [`Config::max_output`](crate::Config::max_output), under
    /// [browser rules](crate::Config::browser_rules).
    Full,
    /// The peer took too long.
    Timeout(Timeout),
    /// The stream ended, or the caller gave up waiting, before the peer's Close was received (RFC 6455 §7.1.5, §7.2.1);
    /// on a server also while the request waited for the caller's decision.
    TransportLost,
    /// The caller called [`close`](crate::Connection::close), or one of its kin, before the connection was open.
    ClosedWhileConnecting,
    /// The caller [rejected](crate::Connection::reject) the request, with this HTTP status (RFC 6455 §4.2.2).
    RequestRejected(u16),
    /// Nothing: there was no memory for a message. Sends [`CloseCode::INTERNAL_ERROR`], if there is memory for that.
    OutOfMemory,
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(error) => error.fmt(f),
            Self::Handshake(error) => error.fmt(f),
            Self::Full => f.write_str("more to be sent than may wait"),
            Self::Timeout(timeout) => timeout.fmt(f),
            Self::TransportLost => f.write_str("ended without a Close frame (RFC 6455 §7.1.5)"),
            Self::ClosedWhileConnecting => f.write_str("closed before the connection was open (RFC 6455 §7.2)"),
            Self::RequestRejected(status) => write!(f, "request rejected with HTTP status {status} (RFC 6455 §4.2.2)"),
            Self::OutOfMemory => f.write_str("no memory for a message"),
        }
    }
}

impl core::error::Error for ConnectionError {}

impl From<ProtocolError> for ConnectionError {
    fn from(error: ProtocolError) -> Self {
        Self::Protocol(error)
    }
}

impl From<HandshakeError> for ConnectionError {
    fn from(error: HandshakeError) -> Self {
        Self::Handshake(error)
    }
}

impl From<Timeout> for ConnectionError {
    fn from(timeout: Timeout) -> Self {
        Self::Timeout(timeout)
    }
}

/// What the peer did not do in time: see [`Connection::time_out`](crate::Connection::time_out).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Timeout {
    /// Its share of the opening handshake. A server answers HTTP 408, or 503 if the request was whole and the caller
    /// did not decide; a client sends nothing.
    Opening,
    /// Send anything. A Close with [`CloseCode::TIMEOUT`] is sent, unless a Close was sent before: it is registered
    /// with this meaning and for both sides, while 1011, which some send here, would blame a server's internal error.
    KeepAlive,
    /// Answer a Close, or, once both sides have sent one, close a client's transport. Nothing is sent.
    Closing,
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Opening => "opening handshake not over in time",
            Self::KeepAlive => "nothing received for too long",
            Self::Closing => "Close not answered in time",
        })
    }
}

impl core::error::Error for Timeout {}

/// A breach of the framing rules or of a limit, with where it is.
///
/// # Examples
/// ```
/// use websocket_proto::{CloseCode, ProtocolErrorKind};
///
/// let kind = ProtocolErrorKind::InvalidUtf8;
/// assert_eq!(kind.close_code(), CloseCode::INVALID_FRAME_PAYLOAD_DATA);
/// assert_eq!(kind.section(), "RFC 6455 §8.1");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProtocolError {
    pub(crate) kind: ProtocolErrorKind,
    pub(crate) offset: u64,
}

impl ProtocolError {
    /// What was wrong.
    #[must_use]
    pub fn kind(&self) -> ProtocolErrorKind {
        self.kind
    }

    /// Where in everything received on this connection, the handshake included, in bytes from 0: the first byte of the
    /// offending frame's header, or the very byte of text that cannot be UTF-8; if text stops inside a character, where
    /// its next byte would have been. In a compressed message, the first byte of the frame's payload. From a
    /// [`FrameReader`](crate::frame::FrameReader), the first byte of the header, counted from the first that it was
    /// given.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The code that was sent to the peer, unless a Close had been sent before.
    #[must_use]
    pub fn close_code(&self) -> CloseCode {
        self.kind.close_code()
    }

    /// The rule that was broken.
    #[must_use]
    pub fn section(&self) -> &'static str {
        self.kind.section()
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {} ({}), close code {}", self.kind, self.offset, self.section(), self.close_code())
    }
}

impl core::error::Error for ProtocolError {}

/// How a frame can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolErrorKind {
    /// A reserved bit is set that no negotiated extension defines.
    ReservedBits,
    /// An opcode without a meaning.
    ReservedOpcode(u8),
    /// A client's frame is not masked.
    NotMasked,
    /// A server's frame is masked.
    Masked,
    /// A length that would fit into a shorter form.
    LengthNotMinimal,
    /// A 64-bit length with its most significant bit set.
    LengthTopBitSet,
    /// A control frame of more than 125 bytes.
    ControlFrameTooLong,
    /// A control frame without FIN.
    FragmentedControlFrame,
    /// A continuation while no message is under way.
    UnexpectedContinuation,
    /// A new message inside a fragmented one.
    MissingContinuation,
    /// Text, or a Close reason, that is not UTF-8.
    InvalidUtf8,
    /// A Close whose body is a single byte.
    ClosePayloadTooShort,
    /// A Close with a code that may not travel.
    InvalidCloseCode(u16),
    /// A compressed message that is not DEFLATE, is cut short, or does not end where a block does.
    InvalidDeflate,
    /// A frame longer than [`Config::max_frame_size`](crate::Config::max_frame_size).
    FrameTooBig,
    /// A message longer than [`Config::max_message_size`](crate::Config::max_message_size).
    MessageTooBig,
    /// A message of more frames than [`Config::max_fragments`](crate::Config::max_fragments).
    TooManyFragments,
}

impl ProtocolErrorKind {
    /// The code that tells the peer (RFC 6455 §7.4.1).
    #[must_use]
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::InvalidUtf8 | Self::InvalidDeflate => CloseCode::INVALID_FRAME_PAYLOAD_DATA,
            Self::FrameTooBig | Self::MessageTooBig => CloseCode::MESSAGE_TOO_BIG,
            Self::TooManyFragments => CloseCode::POLICY_VIOLATION,
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }

    /// The rule that was broken.
    #[must_use]
    pub const fn section(self) -> &'static str {
        match self {
            Self::ReservedBits | Self::ReservedOpcode(_) | Self::LengthNotMinimal | Self::LengthTopBitSet => {
                "RFC 6455 §5.2"
            }
            Self::NotMasked | Self::Masked => "RFC 6455 §5.1",
            Self::UnexpectedContinuation | Self::MissingContinuation => "RFC 6455 §5.4",
            Self::ControlFrameTooLong | Self::FragmentedControlFrame => "RFC 6455 §5.5",
            Self::ClosePayloadTooShort => "RFC 6455 §5.5.1",
            Self::InvalidUtf8 => "RFC 6455 §8.1",
            Self::InvalidDeflate => "RFC 7692 §7.2.2",
            Self::InvalidCloseCode(_) => "RFC 6455 §7.4",
            Self::FrameTooBig | Self::MessageTooBig | Self::TooManyFragments => "RFC 6455 §10.4",
        }
    }
}

impl fmt::Display for ProtocolErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReservedBits => "reserved bit set",
            Self::ReservedOpcode(opcode) => return write!(f, "reserved opcode {opcode}"),
            Self::NotMasked => "client frame not masked",
            Self::Masked => "server frame masked",
            Self::LengthNotMinimal => "length not in its minimal form",
            Self::LengthTopBitSet => "length with its most significant bit set",
            Self::ControlFrameTooLong => "control frame longer than 125 bytes",
            Self::FragmentedControlFrame => "fragmented control frame",
            Self::UnexpectedContinuation => "continuation without a message",
            Self::MissingContinuation => "new message inside a fragmented one",
            Self::InvalidUtf8 => "text that is not UTF-8",
            Self::InvalidDeflate => "compressed data that is not DEFLATE",
            Self::ClosePayloadTooShort => "Close with a body of one byte",
            Self::InvalidCloseCode(code) => return write!(f, "close code {code}"),
            Self::FrameTooBig => "frame larger than allowed",
            Self::MessageTooBig => "message larger than allowed",
            Self::TooManyFragments => "message in more fragments than allowed",
        })
    }
}

impl core::error::Error for ProtocolErrorKind {}

/// A breach of the rules for the opening handshake.
///
/// On a server the HTTP response that says so is in the output, unless the stream had ended; on a client nothing more
/// is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandshakeError {
    pub(crate) kind: HandshakeErrorKind,
    pub(crate) offset: u64,
}

impl HandshakeError {
    /// What was wrong.
    #[must_use]
    pub fn kind(&self) -> HandshakeErrorKind {
        self.kind
    }

    /// Where in everything received on this connection, in bytes from 0.
    ///
    /// It is the offending byte if that breaks the grammar of the start line, is a stray control byte, CR or LF, starts
    /// a folded line, or exceeds a limit. Otherwise it is the end of the head: for a malformed header line, a request
    /// target that is not UTF-8, and every rule about the meaning of a head. If the stream ended, or the server
    /// answered with another status, it is the number of bytes received.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The HTTP status that a server answers, or, for [`Rejected`](HandshakeErrorKind::Rejected), was answered.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.kind.status()
    }

    /// The rule that was broken.
    #[must_use]
    pub fn section(&self) -> &'static str {
        self.kind.section()
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "opening handshake: {} at byte {} ({})", self.kind, self.offset, self.section())
    }
}

impl core::error::Error for HandshakeError {}

/// How an opening handshake can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeErrorKind {
    /// Not HTTP/1.1: a stray control byte, a bare CR or LF, a folded line in a request, a bad request or status line.
    MalformedHttp,
    /// The head is longer than [`Config::max_head_size`](crate::Config::max_head_size) or has more lines than
    /// [`Config::max_headers`](crate::Config::max_headers).
    HeadTooLarge,
    /// The request line alone is longer than [`Config::max_head_size`](crate::Config::max_head_size).
    RequestLineTooLong,
    /// HTTP/1.0, which knows no upgrade.
    HttpVersionTooOld,
    /// A start line with another major version of HTTP than 1, such as HTTP/2's `PRI * HTTP/2.0`.
    UnsupportedHttpVersion,
    /// Not a header list of HTTP/2 or HTTP/3: a pseudo-header that is unknown, repeated or behind other headers, a name
    /// that is not lower-case, a control byte, a header that belongs to an HTTP/1.1 connection.
    MalformedHeaderList,
    /// A method other than GET, or other than CONNECT in HTTP/2 and HTTP/3.
    UnsupportedMethod,
    /// A CONNECT whose `:protocol` is missing, or another than `websocket`.
    UnsupportedConnectProtocol,
    /// A request target that is neither a path nor an absolute http(s) or ws(s) URI; in HTTP/2 and HTTP/3, no `:path`,
    /// or a `:scheme` other than http(s).
    InvalidRequestTarget,
    /// No Host header, more than one, or one that names no host; in HTTP/2 and HTTP/3, such an `:authority`, or a Host
    /// that differs from it.
    InvalidHost,
    /// More than one Origin header, or one that is not text.
    InvalidOrigin,
    /// The request has a body.
    UnexpectedBody,
    /// A response's Content-Length is not a number, or is several different ones.
    InvalidContentLength,
    /// The request is no upgrade to `websocket`, or the response none.
    MissingUpgrade,
    /// The Connection header lacks the token `Upgrade`.
    MissingConnectionUpgrade,
    /// Sec-WebSocket-Key is missing, repeated or not 16 bytes in base64.
    InvalidKey,
    /// Sec-WebSocket-Version is missing, repeated or not a number.
    InvalidVersion,
    /// Sec-WebSocket-Version is not 13.
    UnsupportedVersion,
    /// Sec-WebSocket-Protocol is malformed or names a subprotocol twice; in a response, it is one that was not
    /// offered, or more than one.
    InvalidSubprotocol,
    /// Sec-WebSocket-Extensions is malformed; in a response, it has an extension that was not offered.
    InvalidExtensions,
    /// Sec-WebSocket-Accept is missing, repeated or wrong.
    InvalidAccept,
    /// The server answered with this HTTP status instead of 101, or of 2xx to an extended CONNECT.
    Rejected(u16),
    /// None of the offered subprotocols was selected: an error only under
    /// [`Config::browser_rules`](crate::Config::browser_rules).
    MissingSubprotocol,
    /// More bytes followed the request, before it was answered, than
    /// [`Config::max_head_size`](crate::Config::max_head_size).
    EarlyDataTooLarge,
    /// The connection ended before the head was whole.
    IncompleteHead,
    /// The connection ended before the first byte of a request, as when a port is probed.
    MissingRequest,
}

impl HandshakeErrorKind {
    /// The HTTP status that a server answers to this over HTTP/1.1; 400 for an error that only a client can
    /// meet, except the status of a [rejection](Self::Rejected). The whole
    /// answer, over any HTTP, is [`answer`](Self::answer).
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::UnsupportedMethod => 405,
            Self::RequestLineTooLong => 414,
            Self::HeadTooLarge => 431,
            Self::UnsupportedHttpVersion => 505,
            Self::MissingUpgrade | Self::UnsupportedVersion => 426,
            // RFC 9220 §3: "If a server receives an Extended CONNECT request with a ":protocol" value that is unknown
            // or is not supported, the server SHOULD respond to the request with a 501 (Not Implemented) status code".
            Self::UnsupportedConnectProtocol => 501,
            Self::Rejected(status) => status,
            _ => 400,
        }
    }

    /// The rule that was broken.
    #[must_use]
    pub const fn section(self) -> &'static str {
        match self {
            Self::MalformedHttp | Self::IncompleteHead | Self::MissingRequest => "RFC 9112 §2",
            Self::MalformedHeaderList => "RFC 9113 §8",
            Self::UnsupportedConnectProtocol => "RFC 8441 §5",
            Self::UnsupportedHttpVersion => "RFC 9112 §2.3",
            Self::RequestLineTooLong => "RFC 9112 §3",
            Self::HeadTooLarge | Self::EarlyDataTooLarge => "RFC 6455 §10.4",
            Self::UnexpectedBody => "RFC 9112 §6",
            Self::InvalidContentLength => "RFC 9112 §6.3",
            Self::InvalidOrigin => "RFC 6454 §7",
            Self::MissingSubprotocol => "WHATWG WebSockets §2",
            Self::InvalidAccept | Self::Rejected(_) => "RFC 6455 §4.1",
            Self::UnsupportedVersion => "RFC 6455 §4.4",
            Self::InvalidExtensions => "RFC 6455 §9.1",
            _ => "RFC 6455 §4",
        }
    }
}

impl fmt::Display for HandshakeErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MalformedHttp => "malformed HTTP",
            Self::HeadTooLarge => "head larger than allowed",
            Self::RequestLineTooLong => "request line longer than allowed",
            Self::HttpVersionTooOld => "HTTP/1.0",
            Self::UnsupportedHttpVersion => "HTTP version is not 1.1",
            Self::MalformedHeaderList => "malformed header list",
            Self::UnsupportedMethod => "method that opens no WebSocket",
            Self::UnsupportedConnectProtocol => "CONNECT for something other than websocket",
            Self::InvalidRequestTarget => "unusable request target",
            Self::InvalidHost => "missing, repeated or invalid host",
            Self::InvalidOrigin => "repeated or invalid Origin",
            Self::UnexpectedBody => "request with a body",
            Self::InvalidContentLength => "response with an invalid Content-Length",
            Self::MissingUpgrade => "no upgrade to websocket",
            Self::MissingConnectionUpgrade => "Connection without Upgrade",
            Self::InvalidKey => "missing, repeated or invalid Sec-WebSocket-Key",
            Self::InvalidVersion => "missing, repeated or invalid Sec-WebSocket-Version",
            Self::UnsupportedVersion => "Sec-WebSocket-Version is not 13",
            Self::InvalidSubprotocol => "invalid Sec-WebSocket-Protocol",
            Self::InvalidExtensions => "invalid Sec-WebSocket-Extensions",
            Self::InvalidAccept => "missing, repeated or wrong Sec-WebSocket-Accept",
            Self::Rejected(status) => return write!(f, "refused with HTTP status {status}"),
            Self::MissingSubprotocol => "no subprotocol selected",
            Self::EarlyDataTooLarge => "too much data before the request was answered",
            Self::IncompleteHead => "end of stream before the end of the head",
            Self::MissingRequest => "end of stream before a request",
        })
    }
}

impl core::error::Error for HandshakeErrorKind {}
