//! [`Accept`]: how to accept a handshake request. [`Answer`]: the response to one (RFC 6455 §4.2.2).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::request::Request;
use crate::config::Config;
use crate::handshake::Bootstrap;
use crate::handshake::grammar::is_token_byte;
use crate::handshake::header_checks::{HeaderError, checked_header, write_header_line};
use crate::handshake::header_list::push_header;
use crate::handshake::headers::Headers;
use crate::handshake::negotiated::Negotiated;
use crate::output::Output;

/// How to accept a request: the subprotocol, and headers for the response.
///
/// # Examples
/// ```
/// use websocket_proto::Accept;
///
/// let accept = Accept::new().subprotocol("chat").header("Set-Cookie", "session=1")?;
/// # let _ = accept;
/// # Ok::<_, websocket_proto::handshake::HeaderError>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder: pass it to Connection::accept_with or Request::accept"]
pub struct Accept {
    subprotocol: Option<String>,
    headers: Vec<(String, Vec<u8>)>,
}

impl Accept {
    /// No subprotocol, no headers of the caller.
    pub const fn new() -> Self {
        Self { subprotocol: None, headers: Vec::new() }
    }

    /// Selects a subprotocol, which must be one of [`Request::subprotocols`].
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.subprotocol = Some(name.into());
        self
    }

    /// Adds a header to the response, such as Set-Cookie.
    ///
    /// # Errors
    /// If the header is malformed, or one that the crate writes itself.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Result<Self, HeaderError> {
        self.headers.push(checked_header(name, value)?);
        Ok(self)
    }
}

/// Why an [`Accept`] cannot be sent, and the request, which can still be answered. Nothing was written.
///
/// # Examples
/// ```
/// # use websocket_proto::handshake::{AcceptErrorKind, Request};
/// # use websocket_proto::{Accept, Connection, Output, Reject};
/// fn accept_or_fail(ws: &mut Connection, request: Request, accept: &Accept, output: &mut Output) {
///     if let Err(error) = ws.accept_with(request, accept, output) {
///         // Subprotocol: a bug in this program. NotDeciding: the connection has ended meanwhile.
///         if error.kind() != AcceptErrorKind::NotDeciding {
///             eprintln!("{error}");
///         }
///         ws.reject(error.into_request(), &Reject::internal_server_error(), output);
///     }
/// }
/// ```
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the client waits until the request in it is accepted or rejected"]
pub struct AcceptError {
    pub(crate) kind: AcceptErrorKind,
    pub(crate) request: Request,
}

impl AcceptError {
    /// The kind of error.
    #[must_use]
    pub fn kind(&self) -> AcceptErrorKind {
        self.kind
    }

    /// The request, to give it another answer.
    pub fn into_request(self) -> Request {
        self.request
    }
}

/// Why an [`Accept`] cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcceptErrorKind {
    /// The connection does not wait for this decision: it has ended, or its event did not deliver this request.
    NotDeciding,
    /// The client did not offer the subprotocol (RFC 6455 §4.2.2, 4).
    Subprotocol,
}

impl fmt::Display for AcceptErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotDeciding => "the connection does not wait for this decision",
            Self::Subprotocol => "the client did not offer this subprotocol",
        })
    }
}

impl fmt::Display for AcceptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl core::error::Error for AcceptErrorKind {}
impl core::error::Error for AcceptError {}

/// The HTTP response to a handshake request, made by [`Request::accept`], [`Request::reject`] and
/// [`HandshakeErrorKind::answer`](crate::HandshakeErrorKind::answer).
///
/// # Examples
/// A server that reads HTTP/1.1 itself:
/// ```
/// use websocket_proto::handshake::{Bootstrap, parse_request};
/// use websocket_proto::{Accept, Config, Connection, Output, Reject, Role};
///
/// fn open(head: &[u8], output: &mut Output) -> Option<Connection> {
///     let config = Config::new();
///     match parse_request(head).map(|request| request.accept(&Accept::new(), &config)) {
///         Ok(Ok((answer, negotiated))) => {
///             answer.write_http1(output);
///             return Some(Connection::upgraded(Role::Server, negotiated, config, [0; 32]));
///         }
///         Ok(Err(error)) => error.into_request().reject(&Reject::internal_server_error()).write_http1(output),
///         Err(kind) => kind.answer(Bootstrap::Upgrade, head).write_http1(output),
///     }
///     None
/// }
/// # let mut output = Output::new();
/// # assert!(open(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", &mut output).is_none());
/// # assert!(bytes::Buf::chunk(&output).starts_with(b"HTTP/1.1 426 Upgrade Required\r\n"));
/// # let mut output = Output::new();
/// # assert!(open(b"HEAD / HTTP/1.1\r\nHost: example.com\r\n\r\n", &mut output).is_none());
/// # assert!(bytes::Buf::chunk(&output).ends_with(b"\r\n\r\n"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "send it: the client waits for it"]
pub struct Answer {
    status: u16,
    headers: Headers,
    /// `None` if the request's method is HEAD.
    body: Option<Vec<u8>>,
    /// Whether to send 100 (Continue) first.
    sends_continue: bool,
}

impl Answer {
    pub(crate) fn new(status: u16, headers: Headers, body: Vec<u8>) -> Self {
        Self { status, headers, body: Some(body), sends_continue: false }
    }

    /// The answer to this request: without a body if the method is HEAD. `request` starts with the method.
    pub(crate) fn for_request(mut self, request: &[u8]) -> Self {
        if is_head_request(request) {
            self.body = None;
        }
        self
    }

    /// The HTTP status: 101, or 200 for an extended CONNECT, if the connection is open.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The headers, in order; for an extended CONNECT with lower-case names. Without the headers of HTTP itself:
    /// Content-Length, Date, `Connection: close` and the pseudo-header `:status`.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The body of a rejection. Empty if the connection is open, or if the request's method is HEAD.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.body.as_deref().unwrap_or_default()
    }

    /// The body of a rejection, by value.
    #[cfg(feature = "http")]
    pub(crate) fn into_body(self) -> Vec<u8> {
        self.body.unwrap_or_default()
    }

    /// Writes the answer to a [`Bootstrap::Upgrade`] request as an HTTP/1.1 response. A rejection has
    /// `Connection: close`, and Content-Length unless the request's method is HEAD; once it is written, end the
    /// transport in order, as after [`Event::Closed`](crate::Event::Closed).
    ///
    /// If the request had `Expect: 100-continue`, writes 100 (Continue) before a 101 (RFC 9110 §7.8). An HTTP stack
    /// that sends the [status](Self::status) and [headers](Self::headers) must send that 100 itself.
    pub fn write_http1(&self, output: &mut Output) {
        let expected = EXPECTED_LEN.saturating_add(self.headers.http1_len()).saturating_add(self.body().len());
        output.write_with(expected, |head| {
            if self.sends_continue {
                head.extend_from_slice(CONTINUE);
            }
            let status_line = format!("HTTP/1.1 {} {}\r\n", self.status, reason_phrase(self.status));
            head.extend_from_slice(status_line.as_bytes());
            for (name, value) in self.headers.lines() {
                write_header_line(head, name, value);
            }
            if self.status != 101 {
                write_header_line(head, b"Connection", b"close");
                // RFC 9110 §8.6, of a response to HEAD: "a server MUST NOT send Content-Length in such a response
                // unless its field value equals the decimal number of octets that would have been sent in the content
                // of a response if the same request had used the GET method." GET might get another answer.
                if let Some(body) = &self.body {
                    write_header_line(head, b"Content-Length", format!("{}", body.len()).as_bytes());
                }
            }
            head.extend_from_slice(b"\r\n");
            head.extend_from_slice(self.body());
        });
    }
}

impl Request {
    /// Accepts the request over another HTTP stack: send the answer, then make the connection with
    /// [`Connection::upgraded`](crate::Connection::upgraded). Of `config`, only `Config::deflate` is used.
    ///
    /// # Errors
    /// If the client did not offer the subprotocol. The error contains the request, to give it another answer.
    pub fn accept(self, accept: &Accept, config: &Config) -> Result<(Answer, Negotiated), AcceptError> {
        let (negotiated, extensions) = match self.negotiate(accept, config) {
            Ok(agreed) => agreed,
            Err(kind) => return Err(AcceptError { kind, request: self }),
        };
        let bootstrap = self.bootstrap();
        let mut headers = Headers::default();
        push_header(bootstrap, &mut headers, "Upgrade", b"websocket");
        push_header(bootstrap, &mut headers, "Connection", b"Upgrade");
        self.write_headers(accept, extensions.as_deref(), |name, value| {
            push_header(bootstrap, &mut headers, name, value);
        });
        let status = match bootstrap {
            Bootstrap::Upgrade => 101,
            Bootstrap::ExtendedConnect => 200,
        };
        let sends_continue = self.expects_continue();
        Ok((Answer { sends_continue, ..Answer::new(status, headers, Vec::new()) }, negotiated))
    }

    /// Accepts the request and writes the HTTP/1.1 response.
    pub(crate) fn accept_http1(
        self,
        accept: &Accept,
        config: &Config,
        output: &mut Output,
    ) -> Result<Negotiated, AcceptError> {
        let (negotiated, extensions) = match self.negotiate(accept, config) {
            Ok(agreed) => agreed,
            Err(kind) => return Err(AcceptError { kind, request: self }),
        };
        let added = accept.headers.iter().map(|(name, value)| name.len() + value.len() + b": \r\n".len());
        let subprotocol = accept.subprotocol.as_ref().map_or(0, String::len);
        output.write_with(EXPECTED_LEN + subprotocol + added.sum::<usize>(), |head| {
            if self.expects_continue() {
                head.extend_from_slice(CONTINUE);
            }
            head.extend_from_slice(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
            );
            self.write_headers(accept, extensions.as_deref(), |name, value| {
                write_header_line(head, name.as_bytes(), value);
            });
            head.extend_from_slice(b"\r\n");
        });
        Ok(negotiated)
    }

    /// Checks the subprotocol and selects extensions. Returns the result, and the value of Sec-WebSocket-Extensions.
    fn negotiate(&self, accept: &Accept, config: &Config) -> Result<(Negotiated, Option<String>), AcceptErrorKind> {
        // §4.2.2, 4: "the value chosen MUST be derived from the client's handshake, specifically by selecting one of
        // the values from the |Sec-WebSocket-Protocol| field".
        if let Some(name) = &accept.subprotocol
            && !self.subprotocols().any(|offered| offered == name)
        {
            return Err(AcceptErrorKind::Subprotocol);
        }
        let mut negotiated = Negotiated::new(accept.subprotocol.as_deref());
        let extensions = negotiated.answer_extensions(self, config);
        Ok((negotiated, extensions))
    }

    /// Passes the headers of an accepting response that vary to `put`, in order (RFC 6455 §4.2.2, 5; RFC 8441 §5).
    fn write_headers(&self, accept: &Accept, extensions: Option<&str>, mut write: impl FnMut(&str, &[u8])) {
        if let Some(value) = self.accept_value() {
            write("Sec-WebSocket-Accept", value);
        }
        if let Some(name) = &accept.subprotocol {
            write("Sec-WebSocket-Protocol", name.as_bytes());
        }
        if let Some(extensions) = extensions {
            write("Sec-WebSocket-Extensions", extensions.as_bytes());
        }
        for (name, value) in &accept.headers {
            write(name, value);
        }
    }
}

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The number of a request's first bytes that [`is_head_request`] needs.
pub(crate) const METHOD_LEN: usize = b"\r\nHEAD ".len();

/// Whether a request with this start has the method HEAD. RFC 9110 §9.3.2: "The HEAD method is identical to GET except
/// that the server MUST NOT send content in the response." An invalid HEAD request gets no content either.
fn is_head_request(start: &[u8]) -> bool {
    // An empty line may come first (RFC 9112 §2.2).
    let start = start.strip_prefix(b"\r\n").unwrap_or(start);
    start.strip_prefix(b"HEAD").is_some_and(|rest| !rest.first().is_some_and(|&byte| is_token_byte(byte)))
}

/// Enough for the response to a browser, without the caller's own headers.
const EXPECTED_LEN: usize = 256;

/// The reason phrases of statuses that a WebSocket server is likely to send (RFC 9110 §15). Others get an empty one,
/// which is allowed.
fn reason_phrase(status: u16) -> &'static str {
    match status {
        101 => "Switching Protocols",
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
        414 => "URI Too Long",
        421 => "Misdirected Request",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}
