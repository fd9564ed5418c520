//! [`SendError`]: why a call to send failed.

use core::fmt;

/// Why a message or control frame was not sent. Nothing was written to the output.
///
/// # Examples
/// ```
/// use websocket_proto::{Config, Connection, Output, SendError};
///
/// let mut server = Connection::server(Config::new());
/// assert_eq!(server.send_text("too early", &mut Output::new()), Err(SendError::Connecting));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The opening handshake is not complete (the WebSocket API's `InvalidStateError`).
    Connecting,
    /// A Close was sent or received, or the connection is closed.
    Closing,
    /// A control frame's payload is limited to 125 bytes.
    ControlFrameTooLong,
    /// A fragmented message is being sent: finish it before the next begins.
    MessageInProgress,
    /// Text was given as bytes that are not UTF-8.
    InvalidUtf8,
    /// The output would exceed [`Config::max_output`](crate::Config::max_output).
    Full,
    /// There is no memory for compression. The message can be sent again later, or uncompressed.
    OutOfMemory,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "the opening handshake is not complete",
            Self::Closing => "the connection is closing or closed",
            Self::ControlFrameTooLong => "a control frame carries at most 125 bytes",
            Self::MessageInProgress => "a fragmented message is being sent",
            Self::InvalidUtf8 => "text that is not UTF-8",
            Self::Full => "the output would exceed Config::max_output",
            Self::OutOfMemory => "no memory to compress with",
        })
    }
}

impl core::error::Error for SendError {}
