//! Error types. [`ConnectionError`]: the cause of an unclean end, reported in the last event. [`SendError`]: a mistake
//! of the caller while the connection is open, as an `Err`. Mistakes in a handshake message
//! ([`RequestError`](crate::RequestError), [`AcceptError`](crate::AcceptError), [`RejectError`](crate::RejectError),
//! [`HeaderError`](crate::handshake::HeaderError)) are in `handshake`.

mod fault;
mod send;

use core::fmt;

use crate::close_code::CloseCode;

pub(crate) use fault::{Fault, OutOfMemory};
pub use send::SendError;

/// The cause of an end without a closing handshake, returned by [`Closed::error`](crate::Closed::error).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The peer sent an invalid frame or message.
    Protocol(ProtocolError),
    /// The opening handshake failed.
    Handshake(HandshakeError),
    /// Under [browser rules](crate::Config::browser_rules), a message would have exceeded
    /// [`Config::max_output`](crate::Config::max_output).
    Full,
    /// The peer took too long.
    Timeout(Timeout),
    /// The caller reported the end of the stream before the peer's Close was received (RFC 6455 §7.1.5, §7.2.1); on a
    /// server also while the request waited for the caller's decision.
    TransportLost,
    /// The caller called [`close`](crate::Connection::close) or one of its variants before the connection was open.
    ClosedWhileConnecting,
    /// The caller [rejected](crate::Connection::reject) the request, with this HTTP status (RFC 6455 §4.2.2).
    RequestRejected(u16),
    /// There was no memory for a message. [`CloseCode::INTERNAL_ERROR`] was sent, if there was memory for that.
    OutOfMemory,
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(error) => error.fmt(f),
            Self::Handshake(error) => error.fmt(f),
            Self::Full => f.write_str("a message exceeds Config::max_output"),
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

/// The deadline that the peer missed: see [`Connection::time_out`](crate::Connection::time_out).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Timeout {
    /// The opening handshake was not completed. A server answers HTTP 408, or 503 if the request was complete and the
    /// caller had not decided; a client sends nothing.
    Handshake,
    /// No bytes arrived, not even a pong. A Close with [`CloseCode::TIMEOUT`] is sent, unless a Close was sent before:
    /// that code is registered with this meaning for both sides, while 1011, which some implementations send here,
    /// means an internal error of a server.
    KeepAlive,
    /// The peer did not answer a Close, or, after both Closes, the server did not close the transport. Nothing is sent.
    Closing,
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Handshake => "opening handshake not complete in time",
            Self::KeepAlive => "nothing received for too long",
            Self::Closing => "Close not answered in time",
        })
    }
}

impl core::error::Error for Timeout {}

/// A frame or message that breaks a rule or exceeds a limit, with its offset.
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
    /// The kind of error.
    #[must_use]
    pub fn kind(&self) -> ProtocolErrorKind {
        self.kind
    }

    /// The position in the bytes received on this connection, including the handshake, from 0. It is the first byte of
    /// the offending frame's header; for text, the first byte that makes it invalid UTF-8, or, if the text ends inside
    /// a character, the position after its last byte; in a compressed message, the first byte of the frame's payload.
    ///
    /// An error of a [`FrameReader`](crate::frame::FrameReader) has the first byte of the header, counted from the
    /// first byte that the reader was given.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The code in the Close that was sent to the peer, unless a Close had been sent before.
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

/// The ways in which a frame or message can be invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolErrorKind {
    /// A reserved bit is set that no negotiated extension defines.
    ReservedBits,
    /// An opcode that RFC 6455 reserves.
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
    /// A continuation while no message is in progress.
    UnexpectedContinuation,
    /// A new message inside a fragmented one.
    MissingContinuation,
    /// Text, or a Close reason, that is not UTF-8.
    InvalidUtf8,
    /// A Close whose body is a single byte.
    ClosePayloadTooShort,
    /// A Close with a code that must not be sent.
    InvalidCloseCode(u16),
    /// A compressed message that is not DEFLATE, is truncated, or does not end at the end of a block.
    InvalidDeflate,
    /// A frame longer than [`Config::max_frame_size`](crate::Config::max_frame_size).
    FrameTooBig,
    /// A message longer than [`Config::max_message_size`](crate::Config::max_message_size).
    MessageTooBig,
    /// A message of more frames than [`Config::max_fragments`](crate::Config::max_fragments).
    TooManyFragments,
}

impl ProtocolErrorKind {
    /// The close code to send for this error (RFC 6455 §7.4.1).
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

/// A failed opening handshake.
///
/// On a server, the HTTP response with the error is in the output, unless the stream had ended; a client sends nothing
/// more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandshakeError {
    pub(crate) kind: HandshakeErrorKind,
    pub(crate) offset: u64,
}

impl HandshakeError {
    /// The kind of error.
    #[must_use]
    pub fn kind(&self) -> HandshakeErrorKind {
        self.kind
    }

    /// The position in the bytes received on this connection, from 0.
    ///
    /// It is the offending byte if that breaks the grammar of the start line, is a stray control byte, CR or LF, starts
    /// a folded line, or exceeds a limit. Otherwise it is the end of the head: for a malformed header line, a request
    /// target that is not UTF-8, a response with another status, and every rule about the meaning of a head. If the
    /// stream ended, it is the number of bytes received; inside the body of a rejection, the end of the head.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The HTTP status of a server's answer to this error; for [`Rejected`](HandshakeErrorKind::Rejected), the status
    /// that the server sent.
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

/// The ways in which an opening handshake can fail.
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
    /// HTTP/1.0, which has no upgrade.
    HttpVersionTooOld,
    /// A start line with another major version of HTTP than 1, such as HTTP/2's `PRI * HTTP/2.0`.
    UnsupportedHttpVersion,
    /// Not a header list of HTTP/2 or HTTP/3: an unknown or repeated pseudo-header, one after other headers, a name
    /// that is not lower-case, a control byte, or a header of an HTTP/1.1 connection.
    MalformedHeaderList,
    /// A method other than GET, or other than CONNECT in HTTP/2 and HTTP/3.
    UnsupportedMethod,
    /// A CONNECT without a `:protocol`, or with another one than `websocket`.
    UnsupportedConnectProtocol,
    /// A request target that is neither a path nor an absolute http(s) or ws(s) URI; in HTTP/2 and HTTP/3, no `:path`,
    /// or a `:scheme` other than http(s).
    InvalidRequestTarget,
    /// No Host header, more than one, or one without a valid host; in HTTP/2 and HTTP/3, the same for `:authority`, or
    /// a Host that differs from it.
    InvalidHost,
    /// More than one Origin header, or one that is not text.
    InvalidOrigin,
    /// The request has a body.
    UnexpectedBody,
    /// A response's Content-Length is not a number, or is several different ones.
    InvalidContentLength,
    /// The request or response is not an upgrade to `websocket`.
    MissingUpgrade,
    /// The Connection header lacks the token `Upgrade`.
    MissingConnectionUpgrade,
    /// Sec-WebSocket-Key is missing, repeated or not 16 bytes in base64.
    InvalidKey,
    /// Sec-WebSocket-Version is missing, repeated or not a number.
    InvalidVersion,
    /// Sec-WebSocket-Version is not 13.
    UnsupportedVersion,
    /// Sec-WebSocket-Protocol is malformed or names a subprotocol twice; in a response, it names one that was not
    /// offered, or more than one.
    InvalidSubprotocol,
    /// Sec-WebSocket-Extensions is malformed; in a response, it has an extension that was not offered.
    InvalidExtensions,
    /// Sec-WebSocket-Accept is missing, repeated or wrong.
    InvalidAccept,
    /// The server answered with this HTTP status instead of 101, or of 2xx to an extended CONNECT.
    Rejected(u16),
    /// The server selected none of the offered subprotocols. An error only under
    /// [`Config::browser_rules`](crate::Config::browser_rules).
    MissingSubprotocol,
    /// Before the request was answered, more bytes followed it than
    /// [`Config::max_head_size`](crate::Config::max_head_size).
    EarlyDataTooLarge,
    /// The connection ended before the head was complete.
    IncompleteHead,
    /// The connection ended before the first byte of a request, as from a port scan.
    MissingRequest,
}

impl HandshakeErrorKind {
    /// The HTTP status of a server's answer over HTTP/1.1; 400 for an error that only a client can meet, except that a
    /// [rejection](Self::Rejected) keeps its status. [`answer`](Self::answer) makes the whole answer, over any HTTP.
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
            Self::Rejected(status) => return write!(f, "rejected with HTTP status {status}"),
            Self::MissingSubprotocol => "no subprotocol selected",
            Self::EarlyDataTooLarge => "too much data before the request was answered",
            Self::IncompleteHead => "end of stream before the end of the head",
            Self::MissingRequest => "end of stream before a request",
        })
    }
}

impl core::error::Error for HandshakeErrorKind {}
