//! [`Reject`]: how to reject a handshake request; and the answers to invalid requests (RFC 6455 §4.2.2).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::accept::Answer;
use super::request::Request;
use crate::error::HandshakeErrorKind;
use crate::handshake::Bootstrap;
use crate::handshake::header_checks::{HeaderError, checked_header};
use crate::handshake::header_list::push_header;
use crate::handshake::headers::Headers;

/// How to reject a request: an HTTP status, headers, a body.
///
/// # Examples
/// ```
/// use websocket_proto::Reject;
///
/// let login = Reject::new(401)?.header("WWW-Authenticate", "Basic realm=\"chat\"")?.body("log in first");
/// # let _ = login;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder: pass it to Connection::reject or Request::reject"]
pub struct Reject {
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Reject {
    /// A rejection with this HTTP status.
    ///
    /// # Errors
    /// If the status is below 300 or above 599, so that it rejects nothing, or if it is 304, which cannot answer such a
    /// request.
    pub const fn new(status: u16) -> Result<Self, RejectError> {
        match status {
            300..=303 | 305..=599 => Ok(Self::with_status(status)),
            _ => Err(RejectError::Status),
        }
    }

    /// 403: the Origin, or the user, is not allowed (RFC 6455 §10.2).
    pub const fn forbidden() -> Self {
        Self::with_status(403)
    }

    /// 404: the server has no such resource (RFC 6455 §4.2.2, 4).
    pub const fn not_found() -> Self {
        Self::with_status(404)
    }

    /// 408: the request did not arrive in time.
    pub(crate) const fn request_timeout() -> Self {
        Self::with_status(408)
    }

    /// 500: the server met an unexpected condition.
    pub const fn internal_server_error() -> Self {
        Self::with_status(500)
    }

    /// 503: the server is overloaded or in maintenance. Add a Retry-After header to say for how long.
    pub const fn service_unavailable() -> Self {
        Self::with_status(503)
    }

    /// Adds a header.
    ///
    /// # Errors
    /// If the header is malformed, or one that the crate writes itself.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Result<Self, HeaderError> {
        self.headers.push(checked_header(name, value)?);
        Ok(self)
    }

    /// Sets the body. Add a Content-Type header for it.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) const fn status(&self) -> u16 {
        self.status
    }

    const fn with_status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }
}

/// Why [`Reject::new`] makes no rejection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RejectError {
    /// The status is outside 300 to 599, or is 304.
    Status,
}

impl fmt::Display for RejectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status => f.write_str("the status is outside 300 to 599, or 304"),
        }
    }
}

impl core::error::Error for RejectError {}

impl Request {
    /// Rejects the request over another HTTP stack: send the answer.
    ///
    /// HTTP/2 and HTTP/3 have no Upgrade: there, 426 becomes 400, and headers of an HTTP/1.1 connection, such as
    /// Keep-Alive, are left out.
    pub fn reject(self, reject: &Reject) -> Answer {
        reject.answer(self.bootstrap())
    }
}

impl Reject {
    /// The response for a rejected request.
    pub(crate) fn answer(&self, bootstrap: Bootstrap) -> Answer {
        let mut headers = Headers::default();
        if self.status == 426 {
            push_version_header(bootstrap, &mut headers);
            push_upgrade_headers(bootstrap, &mut headers);
        }
        for (name, value) in &self.headers {
            push_header(bootstrap, &mut headers, name, value);
        }
        Answer::new(status_for(bootstrap, self.status), headers, self.body.clone())
    }
}

impl HandshakeErrorKind {
    /// A server's answer to a request with this error, for another HTTP stack to send (RFC 6455 §4.2.2).
    ///
    /// Its status is [`status`](Self::status), with two exceptions: over HTTP/2 and HTTP/3, which have no Upgrade, 426
    /// becomes 400; and errors that only a client can meet become 400.
    ///
    /// `request` is the request's method or, over HTTP/1.1, the received part of its head. The answer to HEAD has no
    /// body (RFC 9110 §9.3.2), even if the rest of the request is malformed.
    ///
    /// # Examples
    /// ```
    /// use websocket_proto::HandshakeErrorKind;
    /// use websocket_proto::handshake::{Bootstrap, parse_extended_connect};
    ///
    /// let fields = [(":method", "CONNECT"), (":authority", "example.com:443")];
    /// let error = parse_extended_connect(fields).unwrap_err();
    /// assert_eq!(error, HandshakeErrorKind::UnsupportedConnectProtocol);
    /// let answer = error.answer(Bootstrap::ExtendedConnect, "CONNECT");
    /// assert_eq!((answer.status(), answer.headers().get("sec-websocket-version")), (501, Some(b"13".as_slice())));
    ///
    /// let answer = HandshakeErrorKind::UnsupportedMethod.answer(Bootstrap::Upgrade, "POST");
    /// assert_eq!((answer.status(), answer.body()), (405, b"method that opens no WebSocket\n".as_slice()));
    /// let answer = HandshakeErrorKind::UnsupportedMethod.answer(Bootstrap::Upgrade, "HEAD");
    /// assert_eq!((answer.status(), answer.body()), (405, b"".as_slice()));
    /// ```
    pub fn answer(self, bootstrap: Bootstrap, request: impl AsRef<[u8]>) -> Answer {
        let status = match self {
            Self::Rejected(_) => 400,
            kind => kind.status(),
        };
        let mut headers = Headers::default();
        // With every error, so that the client learns the right version.
        push_version_header(bootstrap, &mut headers);
        if status == 426 {
            push_upgrade_headers(bootstrap, &mut headers);
        }
        if self == Self::UnsupportedMethod {
            // RFC 9110 §15.5.6: "The origin server MUST generate an Allow header field in a 405 response".
            let allowed: &[u8] = if bootstrap == Bootstrap::Upgrade { b"GET" } else { b"CONNECT" };
            push_header(bootstrap, &mut headers, "Allow", allowed);
        }
        push_header(bootstrap, &mut headers, "Content-Type", b"text/plain");
        Answer::new(status_for(bootstrap, status), headers, format!("{self}\n").into_bytes())
            .for_request(request.as_ref())
    }
}

/// RFC 6455 §4.4: "a |Sec-WebSocket-Version| header field indicating the version(s) it supports".
fn push_version_header(bootstrap: Bootstrap, headers: &mut Headers) {
    push_header(bootstrap, headers, "Sec-WebSocket-Version", b"13");
}

/// RFC 9110 §15.5.22: "The server MUST send an Upgrade header field in a 426 response". Upgrade is an option of the
/// connection, so Connection names it.
fn push_upgrade_headers(bootstrap: Bootstrap, headers: &mut Headers) {
    push_header(bootstrap, headers, "Upgrade", b"websocket");
    push_header(bootstrap, headers, "Connection", b"Upgrade");
}

/// The status that is sent: HTTP/2 and HTTP/3 have no 426.
fn status_for(bootstrap: Bootstrap, status: u16) -> u16 {
    if status == 426 && bootstrap == Bootstrap::ExtendedConnect { 400 } else { status }
}
