//! [`Reject`], and the answers to requests that are not accepted, by the caller or by the crate (RFC 6455 §4.2.2).
//! Nothing is sent from here.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::answer::Answer;
use super::fields::put_field;
use super::head::Headers;
use super::server::Request;
use super::{Bootstrap, HeaderError, check_header};
use crate::error::HandshakeErrorKind;

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

    pub(crate) const fn status(&self) -> u16 {
        self.status
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

impl Request {
    /// Rejects, where something other than a [`Connection`](crate::Connection) speaks HTTP: the answer is all there is.
    ///
    /// HTTP/2 and HTTP/3 have no upgrade that could be required: there, 426 goes out as 400, and headers that belong to
    /// an HTTP/1.1 connection, such as Keep-Alive, are left out.
    pub fn reject(self, reject: &Reject) -> Answer {
        reject.answer(self.bootstrap())
    }
}

impl Reject {
    /// The response that says so.
    pub(crate) fn answer(&self, bootstrap: Bootstrap) -> Answer {
        let mut headers = Headers::default();
        if self.status == 426 {
            put_version(bootstrap, &mut headers);
            put_upgrade(bootstrap, &mut headers);
        }
        for (name, value) in &self.headers {
            put_field(bootstrap, &mut headers, name, value);
        }
        Answer::new(status_for(bootstrap, self.status), headers, self.body.clone())
    }
}

impl HandshakeErrorKind {
    /// A server's answer to a request that has this wrong, where something other than a
    /// [`Connection`](crate::Connection) speaks HTTP (RFC 6455 §4.2.2). The status is [`status`](Self::status), but for
    /// HTTP/2 and HTTP/3, which have no upgrade that could be required: there, 426 goes out as 400. 400, too, for what
    /// only a client can meet.
    ///
    /// `request` is the request's method or, over HTTP/1.1, as much of its head as came, which begins with the method.
    /// HEAD is answered without a body (RFC 9110 §9.3.2), also if the rest of the request is malformed.
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
        // Said with every error, so that whoever knocked learns what would have been right.
        put_version(bootstrap, &mut headers);
        if status == 426 {
            put_upgrade(bootstrap, &mut headers);
        }
        if self == Self::UnsupportedMethod {
            // RFC 9110 §15.5.6: "The origin server MUST generate an Allow header field in a 405 response".
            let allowed: &[u8] = if bootstrap == Bootstrap::Upgrade { b"GET" } else { b"CONNECT" };
            put_field(bootstrap, &mut headers, "Allow", allowed);
        }
        put_field(bootstrap, &mut headers, "Content-Type", b"text/plain");
        Answer::new(status_for(bootstrap, status), headers, format!("{self}\n").into_bytes())
            .for_request(request.as_ref())
    }
}

/// RFC 6455 §4.4: "a |Sec-WebSocket-Version| header field indicating the version(s) it supports".
fn put_version(bootstrap: Bootstrap, headers: &mut Headers) {
    put_field(bootstrap, headers, "Sec-WebSocket-Version", b"13");
}

/// RFC 9110 §15.5.22: "The server MUST send an Upgrade header field in a 426 response", which is an option of the
/// connection.
fn put_upgrade(bootstrap: Bootstrap, headers: &mut Headers) {
    put_field(bootstrap, headers, "Upgrade", b"websocket");
    put_field(bootstrap, headers, "Connection", b"Upgrade");
}

fn status_for(bootstrap: Bootstrap, status: u16) -> u16 {
    if status == 426 && bootstrap == Bootstrap::ExtendedConnect { 400 } else { status }
}
