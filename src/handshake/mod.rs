//! The opening handshake as pure functions and values: requests, responses and their checks, over HTTP/1.1 (RFC 6455
//! §4), HTTP/2 (RFC 8441) and HTTP/3 (RFC 9220). How many bytes of it have arrived, and when it is answered, is the
//! connection's business.
//!
//! # Where something else speaks HTTP
//! The decision is the same, and made by the same code, whoever reads and writes HTTP:
//!
//! - **Server**: [`parse_request`], [`parse_extended_connect`] or, with feature `http`, `Request::from_http` make a
//!   [`Request`] of what came. [`Request::accept`] and [`Request::reject`] make an [`Answer`] of it, whose status and
//!   headers are to be sent; so does [`HandshakeErrorKind::answer`] where there is no request to be had. If the request
//!   has `Expect: 100-continue`, the HTTP stack has to send a 100 before the 101 (RFC 9110 §7.8), which
//!   [`Answer::write_http1`] does.
//! - **Client**: [`ClientRequest::upgrade`] and [`ClientRequest::extended_connect`] make a [`ClientHandshake`], whose
//!   headers are to be sent, and which [checks](ClientHandshake::check) the response.
//! - What was agreed goes into [`Connection::upgraded`](crate::Connection::upgraded), and that is a connection like any
//!   other.
//!
//! # Examples
//! Both sides over HTTP/2 or HTTP/3, whose stacks carry header lists:
//! ```
//! use websocket_proto::handshake::{Bootstrap, parse_extended_connect};
//! use websocket_proto::{Accept, ClientRequest, Config, Connection, Role};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config::new();
//! let request = ClientRequest::new("wss://example.com/chat").subprotocol("chat");
//! let handshake = request.extended_connect(&config)?;
//! // … HEADERS goes to the server, in this order …
//! let request = parse_extended_connect(handshake.headers().iter())?;
//! assert_eq!((request.bootstrap(), request.path()), (Bootstrap::ExtendedConnect, "/chat"));
//! let (answer, negotiated) = request.accept(&Accept::new().subprotocol("chat"), &config)?;
//! let server = Connection::upgraded(Role::Server, negotiated, config.clone(), [0; 32]);
//! // … HEADERS comes back …
//! let (response, negotiated) = handshake.check(answer.status(), answer.headers().iter())?;
//! let client = Connection::upgraded(Role::Client, negotiated, config, [7; 32]);
//! assert_eq!((response.status(), server.subprotocol(), client.subprotocol()), (200, Some("chat"), Some("chat")));
//! # Ok(())
//! # }
//! ```

mod answer;
mod body;
mod client;
mod extended_connect;
mod fields;
mod head;
mod header;
#[cfg(feature = "http")]
mod http;
mod negotiated;
mod obs_fold;
mod reject;
mod request_fields;
mod response;
mod scanner;
mod server;
mod start_line;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

pub use answer::{Accept, AcceptError, AcceptErrorKind, Answer};
pub use client::{ClientHandshake, ClientRequest, RequestError};
pub use extended_connect::parse_extended_connect;
pub use head::Headers;
pub use header::{Extension, MalformedHeader, parse_extensions};
pub use negotiated::Negotiated;
pub use reject::{Reject, RejectError};
pub use response::Response;
pub use server::{Request, parse_request};

use header::ByteSet;

pub(crate) use answer::METHOD_LEN;
pub(crate) use body::Body;
pub(crate) use head::{Found, ResponseHead, parse_response_head};
pub(crate) use response::{Offer, check_response};
pub(crate) use scanner::{BadHead, HeadScanner};
pub(crate) use server::{Ticket, check_request};

#[cfg(doc)]
use crate::HandshakeErrorKind;

/// How an opening handshake asks for a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bootstrap {
    /// By GET with `Upgrade: websocket`, over HTTP/1.1 (RFC 6455 §4). The answer that opens the connection is 101.
    Upgrade,
    /// By CONNECT with `:protocol` `websocket`, over HTTP/2 (RFC 8441) or HTTP/3 (RFC 9220). The answer that opens the
    /// connection is 200, for a client any 2xx.
    ExtendedConnect,
}

/// A key's length in base64: 16 bytes give 24 characters.
const KEY_LEN: usize = 24;

/// An accept value's length in base64: 20 bytes give 28 characters.
const ACCEPT_LEN: usize = 28;

/// The value of Sec-WebSocket-Accept that answers a Sec-WebSocket-Key (RFC 6455 §4.2.2, step 5.4): 28 characters of
/// base64. White space around the key does not count.
///
/// # Examples
/// ```
/// use websocket_proto::handshake::accept_key;
///
/// assert_eq!(&accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// ```
#[must_use]
pub fn accept_key(key: &[u8]) -> [u8; ACCEPT_LEN] {
    const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

    let mut sha1 = sha1_smol::Sha1::new();
    sha1.update(key.trim_ascii());
    sha1.update(GUID);
    let mut accept = [0; ACCEPT_LEN];
    // 20 bytes always fill 28 characters.
    let _ = STANDARD.encode_slice(sha1.digest().bytes(), &mut accept);
    accept
}

/// The value of Sec-WebSocket-Key for a nonce: 24 characters of base64 (RFC 6455 §4.1, step 7).
///
/// # Examples
/// ```
/// use websocket_proto::handshake::request_key;
///
/// assert_eq!(&request_key([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]), b"AQIDBAUGBwgJCgsMDQ4PEA==");
/// ```
#[must_use]
pub fn request_key(nonce: [u8; 16]) -> [u8; KEY_LEN] {
    let mut key = [0; KEY_LEN];
    // 16 bytes always fill 24 characters.
    let _ = STANDARD.encode_slice(nonce, &mut key);
    key
}

/// Whether a Sec-WebSocket-Key decodes to 16 bytes: 22 characters of base64, and two of padding.
///
/// The RFC's own example is not canonical base64 (its last character has bits beyond the sixteenth byte), so trailing
/// bits are tolerated; the key is only ever hashed as text.
fn is_key(key: &[u8]) -> bool {
    const BASE64: ByteSet = ByteSet::alphanumeric_and(b"+/");

    key.len() == KEY_LEN && key.strip_suffix(b"==").is_some_and(|digits| BASE64.has_all(digits))
}

/// The headers that the crate writes itself: a caller's own may not repeat or contradict them.
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

/// Why a header given by the caller cannot be sent.
///
/// # Examples
/// ```
/// use websocket_proto::handshake::HeaderError;
/// use websocket_proto::{Reject, RejectError};
///
/// let refused = |name: &str, value: &str| Reject::forbidden().header(name, value).err();
/// assert_eq!(refused("X-Reason", "two\r\nlines"), Some(RejectError::Header(HeaderError::Value)));
/// assert_eq!(refused("Content-Length", "0"), Some(RejectError::Header(HeaderError::Reserved)));
/// assert_eq!(refused("X-Reason", "closed on Mondays"), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderError {
    /// The name is no token (RFC 9110 §5.6.2).
    Name,
    /// The value has control characters, such as a line end, or white space at its ends.
    Value,
    /// The header is the crate's to write.
    Reserved,
}

impl core::fmt::Display for HeaderError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Name => "header name is not a token",
            Self::Value => "header value has control characters or surrounding white space",
            Self::Reserved => "header is written by the crate itself",
        })
    }
}

impl core::error::Error for HeaderError {}

/// RFC 9110 §5.5: "Field values containing CR, LF, or NUL characters are invalid and dangerous": they would let
/// whoever chose the value write headers, or a body, of their own.
fn check_header(name: &str, value: &[u8]) -> Result<(), HeaderError> {
    if !header::is_token(name) {
        return Err(HeaderError::Name);
    }
    if is_reserved_header(name) {
        return Err(HeaderError::Reserved);
    }
    check_value(value)
}

fn check_value(value: &[u8]) -> Result<(), HeaderError> {
    let clean = value.iter().all(|&byte| byte == b'\t' || (byte >= 0x20 && byte != 0x7f));
    if clean && value.trim_ascii().len() == value.len() { Ok(()) } else { Err(HeaderError::Value) }
}

/// A header line, checked to be one.
fn put_header(head: &mut alloc::vec::Vec<u8>, name: &[u8], value: &[u8]) {
    for part in [name, b": ", value, b"\r\n"] {
        head.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::is_key;
    use base64::Engine;
    use base64::alphabet::STANDARD;
    use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

    /// RFC 6455 §4.2.1, 5: "a base64-encoded [...] value that, when decoded, is 16 bytes in length".
    #[test]
    fn a_key_is_what_decodes_to_16_bytes() {
        let lenient = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
        let lenient = GeneralPurpose::new(&STANDARD, lenient);
        let keys = ["dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ", ""];
        for (key, at) in keys.into_iter().flat_map(|key| (0..key.len()).map(move |at| (key, at))) {
            for byte in 0..=u8::MAX {
                let mut key = key.as_bytes().to_vec();
                key[at] = byte;
                let is_nonce = lenient.decode(&key).is_ok_and(|nonce| nonce.len() == 16);
                assert_eq!(is_key(&key), is_nonce, "{}", key.escape_ascii());
            }
        }
    }
}
