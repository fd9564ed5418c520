//! [`StartLine`]: the first line of an HTTP/1.1 head, read byte by byte.

use crate::error::HandshakeErrorKind;
use crate::handshake::grammar::is_token_byte;

/// The part of a request line or status line that the next byte belongs to.
///
/// [`read`](Self::read) accepts every line that the parser accepts, and rejects all others at their first wrong byte,
/// except for a request target that is not UTF-8, which the parser rejects at the end of the head. So a client that
/// speaks TLS, SSH, SMTP or HTTP/2 on this port gets an answer at once: its bytes may never end a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StartLine {
    /// Before a request; one empty line may come first.
    BeforeRequest,
    /// Before a request, after that empty line.
    MethodStart,
    Method,
    TargetStart,
    Target,
    /// In a request's HTTP version, after this number of its bytes.
    RequestVersion(u8),
    /// In a response's HTTP version, after this number of its bytes.
    ResponseVersion(u8),
    /// In the status code, after this number of its digits.
    Status(u8),
    Reason,
}

const VERSION_LEN: u8 = 8;
const STATUS_LEN: u8 = 3;

impl StartLine {
    pub(crate) const REQUEST: Self = Self::BeforeRequest;
    pub(crate) const RESPONSE: Self = Self::ResponseVersion(0);

    /// Reads the next byte, which is no control byte except perhaps a tab.
    ///
    /// RFC 9112 §3: "request-line = method SP request-target SP HTTP-version"; §4: "status-line = HTTP-version SP
    /// status-code SP \[ reason-phrase \]". Without a reason phrase, the second space may be missing: many servers omit
    /// it, and the parser accepts that.
    pub(crate) fn read(self, byte: u8) -> Result<Self, HandshakeErrorKind> {
        match (self, byte) {
            (Self::BeforeRequest | Self::MethodStart | Self::Method, _) if is_token_byte(byte) => Ok(Self::Method),
            (Self::Method, b' ') => Ok(Self::TargetStart),
            (Self::TargetStart | Self::Target, 0x21..) => Ok(Self::Target),
            (Self::Target, b' ') => Ok(Self::RequestVersion(0)),
            (Self::RequestVersion(at), _) => read_version(at, byte).map(Self::RequestVersion),
            (Self::ResponseVersion(VERSION_LEN), b' ') => Ok(Self::Status(0)),
            (Self::ResponseVersion(at), _) => read_version(at, byte).map(Self::ResponseVersion),
            (Self::Status(at @ 0), b'1'..=b'9') | (Self::Status(at @ 1..STATUS_LEN), b'0'..=b'9') => {
                Ok(Self::Status(at.saturating_add(1)))
            }
            (Self::Status(STATUS_LEN), b' ') | (Self::Reason, _) => Ok(Self::Reason),
            _ => Err(HandshakeErrorKind::MalformedHttp),
        }
    }

    /// Whether the line may end here.
    pub(crate) fn may_end(self) -> bool {
        matches!(
            self,
            Self::BeforeRequest | Self::RequestVersion(VERSION_LEN) | Self::Status(STATUS_LEN) | Self::Reason
        )
    }
}

/// Reads the byte at `at` of an HTTP version. RFC 9112 §2.3: "HTTP-version = HTTP-name "/" DIGIT "." DIGIT"; the name
/// is case-sensitive.
fn read_version(at: u8, byte: u8) -> Result<u8, HandshakeErrorKind> {
    match (at, byte) {
        // RFC 9110 §15.6.6: 505 "indicates that the server does not support, or refuses to support, the major version
        // of HTTP that was used in the request message." For a response the error is the same.
        (5, b'0' | b'2'..=b'9') => Err(HandshakeErrorKind::UnsupportedHttpVersion),
        (0, b'H') | (1 | 2, b'T') | (3, b'P') | (4, b'/') | (5, b'1') | (6, b'.') | (7, b'0'..=b'9') => {
            Ok(at.saturating_add(1))
        }
        _ => Err(HandshakeErrorKind::MalformedHttp),
    }
}

/// Lowers the minor version in a complete head to 1, the highest that the parser knows.
///
/// RFC 9110 §6.2: "A recipient that receives a message with a major version number that it implements and a minor
/// version number higher than what it implements SHOULD process the message as if it were in the highest minor version
/// within that major version to which the recipient is conformant."
pub(crate) fn lower_minor_version(head: &mut [u8], is_request: bool) {
    let last = if is_request {
        let start = if head.starts_with(b"\r\n") { 2 } else { 0 };
        let line = head.get(start..).and_then(|rest| rest.iter().position(|&byte| byte == b'\r'));
        line.and_then(|len| start.saturating_add(len).checked_sub(1))
    } else {
        Some(usize::from(VERSION_LEN) - 1)
    };
    if let Some(minor @ b'2'..=b'9') = last.and_then(|at| head.get_mut(at)) {
        *minor = b'1';
    }
}
