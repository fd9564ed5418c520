//! The server's answer to an opening request (RFC 6455 §4.2.2): [`Accept`], [`Reject`], and the crate's own refusals.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::server::Request;
use super::{HeaderError, check_header, put_header};
use crate::error::HandshakeErrorKind;
use crate::output::Output;

/// How to accept: with a subprotocol, with further headers.
///
/// # Examples
/// ```
/// use websocket_proto::Accept;
///
/// let accept = Accept::new().subprotocol("chat").header("Set-Cookie", "session=1");
/// # let _ = accept;
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder: pass it to Connection::accept_with"]
pub struct Accept {
    subprotocol: Option<String>,
    headers: Vec<(String, Vec<u8>)>,
}

impl Accept {
    /// No subprotocol, no further headers.
    pub const fn new() -> Self {
        Self { subprotocol: None, headers: Vec::new() }
    }

    /// Selects a subprotocol, which has to be one of [`Request::subprotocols`].
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.subprotocol = Some(name.into());
        self
    }

    /// Adds a header to the response, such as a cookie.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// An [`Accept`] that cannot be: nothing was sent, and the request can still be answered.
///
/// # Examples
/// ```
/// # use websocket_proto::{Accept, Connection, Output, Reject, handshake::Request};
/// fn accept_or_fail(ws: &mut Connection, request: Request, accept: &Accept, output: &mut Output) {
///     if let Err(error) = ws.accept_with(request, accept, output) {
///         eprintln!("{error}");
///         ws.reject(error.into_request(), &Reject::internal_server_error(), output);
///     }
/// }
/// ```
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the client waits until the request inside is accepted or rejected"]
pub struct AcceptError {
    pub(crate) kind: AcceptErrorKind,
    pub(crate) request: Request,
}

impl AcceptError {
    /// What was wrong.
    #[must_use]
    pub fn kind(&self) -> AcceptErrorKind {
        self.kind
    }

    /// The request, to be answered otherwise.
    pub fn into_request(self) -> Request {
        self.request
    }
}

/// What can be wrong with an [`Accept`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcceptErrorKind {
    /// The connection does not wait for this decision: it has ended, or the request is another's.
    NotDeciding,
    /// The subprotocol is not among those that the client offered (RFC 6455 §4.2.2, 4).
    Subprotocol,
    /// A header cannot be sent.
    Header(HeaderError),
}

impl fmt::Display for AcceptErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotDeciding => f.write_str("the connection does not wait for this decision"),
            Self::Subprotocol => f.write_str("the client did not offer this subprotocol"),
            Self::Header(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for AcceptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl core::error::Error for AcceptErrorKind {}
impl core::error::Error for AcceptError {}

/// The 101 response (RFC 6455 §4.2.2, 5).
pub(crate) fn write_response(
    request: &Request,
    accept: &Accept,
    extensions: Option<&str>,
    output: &mut Output,
) -> Result<Option<Box<str>>, AcceptErrorKind> {
    // §4.2.2, 4: "the value chosen MUST be derived from the client's handshake, specifically by selecting one of the
    // values from the |Sec-WebSocket-Protocol| field".
    if let Some(name) = &accept.subprotocol
        && !request.subprotocols().any(|offered| offered == name)
    {
        return Err(AcceptErrorKind::Subprotocol);
    }
    for (name, value) in &accept.headers {
        check_header(name, value).map_err(AcceptErrorKind::Header)?;
    }
    let mut head = Vec::with_capacity(160);
    head.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n");
    put_header(&mut head, "Sec-WebSocket-Accept", request.accept());
    if let Some(name) = &accept.subprotocol {
        put_header(&mut head, "Sec-WebSocket-Protocol", name.as_bytes());
    }
    if let Some(extensions) = extensions {
        put_header(&mut head, "Sec-WebSocket-Extensions", extensions.as_bytes());
    }
    for (name, value) in &accept.headers {
        put_header(&mut head, name, value);
    }
    head.extend_from_slice(b"\r\n");
    output.put(&head);
    Ok(accept.subprotocol.as_deref().map(Into::into))
}

/// How to reject a request: an HTTP status, headers, a body.
///
/// # Examples
/// ```
/// use websocket_proto::Reject;
///
/// let login = Reject::new(401)?.header("WWW-Authenticate", "Basic realm=\"chat\"")?.body("log in first");
/// # let _ = login;
/// # Ok::<_, websocket_proto::RejectError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder: pass it to Connection::reject"]
pub struct Reject {
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Reject {
    /// A rejection with this HTTP status.
    ///
    /// # Errors
    /// If the status is not between 300 and 599, or 304: it would not reject, or not be an answer to this.
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

    /// 404: there is nothing of this name (RFC 6455 §4.2.2, 4).
    pub const fn not_found() -> Self {
        Self::with_status(404)
    }

    /// 408: the request did not come in time.
    pub(crate) const fn request_timeout() -> Self {
        Self::with_status(408)
    }

    /// 500: the server met an unexpected condition.
    pub const fn internal_server_error() -> Self {
        Self::with_status(500)
    }

    /// 503: the server is overloaded or in maintenance; a Retry-After header says for how long.
    pub const fn service_unavailable() -> Self {
        Self::with_status(503)
    }

    /// Adds a header.
    ///
    /// # Errors
    /// If it cannot be sent, or is the crate's to write.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Result<Self, RejectError> {
        let (name, value) = (name.into(), value.into());
        check_header(&name, &value).map_err(RejectError::Header)?;
        self.headers.push((name, value));
        Ok(self)
    }

    /// Sets the body; add a Content-Type header to say what it is.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    const fn with_status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }
}

/// What can be wrong with a [`Reject`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RejectError {
    /// The status is not between 300 and 599, or 304.
    Status,
    /// A header cannot be sent.
    Header(HeaderError),
}

impl fmt::Display for RejectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status => f.write_str("the status is not between 300 and 599, or 304"),
            Self::Header(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for RejectError {}

/// The caller's rejection.
pub(crate) fn write_rejection(reject: &Reject, output: &mut Output) {
    let mut head = status_line(reject.status);
    if reject.status == 426 {
        put_upgrade(&mut head);
    }
    for (name, value) in &reject.headers {
        put_header(&mut head, name, value);
    }
    finish_rejection(head, &reject.body, output);
}

/// The crate's own answer to a request that cannot be accepted (RFC 6455 §4.2.2).
pub(crate) fn write_error(kind: HandshakeErrorKind, output: &mut Output) {
    let mut head = status_line(kind.status());
    match kind.status() {
        426 => put_upgrade(&mut head),
        // Said with every error, so that whoever knocked learns what would have been right.
        _ => put_header(&mut head, "Sec-WebSocket-Version", b"13"),
    }
    if kind == HandshakeErrorKind::Method {
        // RFC 9110 §15.5.6: "The origin server MUST generate an Allow header field in a 405 response".
        put_header(&mut head, "Allow", b"GET");
    }
    put_header(&mut head, "Content-Type", b"text/plain");
    finish_rejection(head, format!("{kind}\n").as_bytes(), output);
}

/// RFC 9110 §15.5.22: "The server MUST send an Upgrade header field in a 426 response", which is an option of the
/// connection. RFC 6455 §4.4: with "a |Sec-WebSocket-Version| header field indicating the version(s) it supports".
fn put_upgrade(head: &mut Vec<u8>) {
    put_header(head, "Sec-WebSocket-Version", b"13");
    put_header(head, "Upgrade", b"websocket");
    put_header(head, "Connection", b"Upgrade");
}

fn status_line(status: u16) -> Vec<u8> {
    format!("HTTP/1.1 {status} {}\r\n", reason_phrase(status)).into_bytes()
}

fn finish_rejection(mut head: Vec<u8>, body: &[u8], output: &mut Output) {
    put_header(&mut head, "Connection", b"close");
    put_header(&mut head, "Content-Length", format!("{}", body.len()).as_bytes());
    head.extend_from_slice(b"\r\n");
    head.extend_from_slice(body);
    output.put(&head);
}

/// RFC 9110 §15: the phrases of the statuses that a WebSocket server is likely to answer; it may be empty.
fn reason_phrase(status: u16) -> &'static str {
    match status {
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        410 => "Gone",
        421 => "Misdirected Request",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "",
    }
}
