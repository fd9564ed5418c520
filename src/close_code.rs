//! Close codes, statuses and reasons: the payload of a Close frame (RFC 6455 §5.5.1, §7.4).

use core::fmt;

use crate::utf8;

/// A status code that a Close frame may carry (RFC 6455 §7.4, IANA "WebSocket Close Code Number Registry").
///
/// There is no value for codes that must never be sent (1005, 1006, 1015), the reserved 1004, and numbers outside the
/// ranges of §7.4.2; 1005 and 1006 are cases of [`CloseStatus`] instead.
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
    /// 1014: a gateway or proxy got an invalid response from its upstream server.
    pub const BAD_GATEWAY: Self = Self(1014);
    /// 3000: registered as "Unauthorized".
    pub const UNAUTHORIZED: Self = Self(3000);
    /// 3003: registered as "Forbidden".
    pub const FORBIDDEN: Self = Self(3003);
    /// 3008: registered as "Timeout".
    pub const TIMEOUT: Self = Self(3008);

    /// The code with this number, or `None` if a Close frame must not carry it.
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

/// The peer's Close code, or its absence (RFC 6455 §7.1.5, "The WebSocket Connection Close Code").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseStatus {
    /// The peer's Close frame carried this code.
    Code(CloseCode),
    /// The peer's Close frame carried no code. Reported as 1005, which is never sent.
    NoStatus,
    /// No Close frame was received. Reported as 1006, which is never sent.
    Abnormal,
}

impl CloseStatus {
    /// The WebSocket API's `CloseEvent.code`: the code, 1005 or 1006.
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

/// How the payload of a Close frame can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClosePayloadError {
    TooShort,
    InvalidCode(u16),
    /// The reason is not UTF-8, from this byte of the payload on.
    InvalidReason(usize),
}

/// The status and the reason in the payload of a received Close frame.
pub(crate) fn parse_close_payload(payload: &[u8]) -> Result<(CloseStatus, &str), ClosePayloadError> {
    match payload {
        // RFC 6455 §7.1.5: "If this Close control frame contains no status code, _The WebSocket Connection Close
        // Code_ is considered to be 1005."
        [] => Ok((CloseStatus::NoStatus, "")),
        // RFC 6455 §5.5.1: "If there is a body, the first two bytes of the body MUST be a 2-byte unsigned integer".
        [_] => Err(ClosePayloadError::TooShort),
        [high, low, reason @ ..] => {
            let number = u16::from_be_bytes([*high, *low]);
            let code = CloseCode::new(number).ok_or(ClosePayloadError::InvalidCode(number))?;
            let reason = utf8::check(reason).map_err(|error| ClosePayloadError::InvalidReason(error.index + 2))?;
            Ok((CloseStatus::Code(code), reason))
        }
    }
}

/// The most bytes of a reason in a Close frame: 125, minus two for the code (RFC 6455 §5.5.1).
pub(crate) const MAX_REASON: usize = 123;

/// The longest prefix of the reason that fits into a Close frame and ends between two characters.
pub(crate) fn cut_reason(reason: &str) -> &str {
    let fits = |end: &usize| reason.is_char_boundary(*end);
    let end = (0..=MAX_REASON.min(reason.len())).rev().find(fits).unwrap_or_default();
    reason.get(..end).unwrap_or_default()
}

/// The exception that a browser's `close(code, reason)` throws (the WHATWG standard's `close` method).
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

/// Checks the arguments of a browser's `close(code, reason)` by the WHATWG's rules; returns the code to send.
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
