//! Checks of the headers that the caller adds to a request or response.

use alloc::string::String;
use alloc::vec::Vec;

use super::grammar::is_token;

/// Whether the crate writes this header itself, so that the caller must not repeat or contradict it.
fn is_reserved_header(name: &str) -> bool {
    const RESERVED: [&str; 11] = [
        "Host",
        "Upgrade",
        "Connection",
        "Content-Length",
        "Transfer-Encoding",
        "Sec-WebSocket-Key",
        "Sec-WebSocket-Version",
        "Sec-WebSocket-Accept",
        "Sec-WebSocket-Protocol",
        "Sec-WebSocket-Extensions",
        "Trailer",
    ];
    RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name))
}

/// Why a header of the caller cannot be sent: the error of [`Accept::header`](crate::Accept::header),
/// [`Reject::header`](crate::Reject::header), [`ClientRequest::header`](crate::ClientRequest::header) and
/// [`ClientRequest::origin`](crate::ClientRequest::origin).
///
/// # Examples
/// ```
/// use websocket_proto::Reject;
/// use websocket_proto::handshake::HeaderError;
///
/// let error = |name: &str, value: &str| Reject::forbidden().header(name, value).err();
/// assert_eq!(error("X-Reason", "two\r\nlines"), Some(HeaderError::Value));
/// assert_eq!(error("Content-Length", "0"), Some(HeaderError::Reserved));
/// assert_eq!(error("X-Reason", "closed on Mondays"), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderError {
    /// The name is not a token (RFC 9110 §5.6.2).
    Name,
    /// The value has control characters, such as a line end, or leading or trailing white space.
    Value,
    /// The crate writes this header itself, or it is a second Origin.
    Reserved,
}

impl core::fmt::Display for HeaderError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Name => "header name is not a token",
            Self::Value => "header value has control characters or surrounding white space",
            Self::Reserved => "header that the crate writes itself, or a second Origin in a request",
        })
    }
}

impl core::error::Error for HeaderError {}

/// A header of the caller, if it can be sent.
///
/// RFC 9110 §5.5: "Field values containing CR, LF, or NUL characters are invalid and dangerous": a value from an
/// attacker could add headers or a body.
pub(crate) fn checked_header(
    name: impl Into<String>,
    value: impl Into<Vec<u8>>,
) -> Result<(String, Vec<u8>), HeaderError> {
    let (name, value) = (name.into(), value.into());
    if !is_token(&name) {
        return Err(HeaderError::Name);
    }
    if is_reserved_header(&name) {
        return Err(HeaderError::Reserved);
    }
    check_value(&value)?;
    Ok((name, value))
}

pub(crate) fn check_value(value: &[u8]) -> Result<(), HeaderError> {
    let clean = value.iter().all(|&byte| byte == b'\t' || (byte >= 0x20 && byte != 0x7f));
    if clean && value.trim_ascii().len() == value.len() { Ok(()) } else { Err(HeaderError::Value) }
}

/// Writes a header line, whose name and value are already checked.
pub(crate) fn write_header_line(head: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    for part in [name, b": ", value, b"\r\n"] {
        head.extend_from_slice(part);
    }
}
