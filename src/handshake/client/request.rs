//! [`ClientRequest`]: the client's handshake request (RFC 6455 §4.1, RFC 8441 §5). [`ClientHandshake`]: its headers,
//! and the check of the response.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::response::{Offer, Response, check_response};
use crate::config::Config;
use crate::error::HandshakeErrorKind;
use crate::handshake::Bootstrap;
use crate::handshake::accept_key::{KEY_LEN, accept_key, request_key};
use crate::handshake::grammar::is_token;
use crate::handshake::header_checks::{HeaderError, check_value, checked_header, write_header_line};
use crate::handshake::header_list::{push_header, read_header_list};
use crate::handshake::headers::Headers;
use crate::handshake::http1::ResponseHead;
use crate::handshake::negotiated::Negotiated;
use crate::output::Output;
use crate::uri::{Uri, UriError};

/// The handshake request that a client sends: a URI, subprotocols, headers.
/// [`Connection::client`](crate::Connection::client) checks the URI and the subprotocols before it writes a byte;
/// headers are checked when they are added.
///
/// # Examples
/// ```
/// use websocket_proto::ClientRequest;
///
/// let request = ClientRequest::new("wss://example.com/chat")
///     .subprotocol("chat")
///     .subprotocol("superchat")
///     .origin("https://example.com")?
///     .header("Authorization", "Bearer token")?;
/// # let _ = request;
/// # Ok::<_, websocket_proto::handshake::HeaderError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder: pass it to Connection::client"]
pub struct ClientRequest {
    uri: Result<Uri, UriError>,
    subprotocols: Vec<String>,
    origin: Option<String>,
    headers: Vec<(String, Vec<u8>)>,
}

impl ClientRequest {
    /// A request for a `ws` or `wss` URI, parsed with [`Uri::parse`].
    pub fn new(uri: impl AsRef<str>) -> Self {
        Self::with(Uri::parse(uri.as_ref()))
    }

    /// A request for a parsed URI: for instance one parsed by a browser's rules, or one whose host was needed before.
    ///
    /// # Examples
    /// ```
    /// use websocket_proto::{ClientRequest, uri::Uri};
    ///
    /// let uri = Uri::parse_whatwg("https://example.com/chat")?;
    /// let (host, port) = (uri.host().to_owned(), uri.port());
    /// let request = ClientRequest::to(uri);
    /// # let _ = (host, port, request);
    /// # Ok::<_, websocket_proto::uri::UriError>(())
    /// ```
    pub fn to(uri: Uri) -> Self {
        Self::with(Ok(uri))
    }

    fn with(uri: Result<Uri, UriError>) -> Self {
        Self { uri, subprotocols: Vec::new(), origin: None, headers: Vec::new() }
    }

    /// Offers a subprotocol; call it in order of preference. Each name must be a token and must be offered only once.
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.subprotocols.push(name.into());
        self
    }

    /// Sets the Origin header, which browsers send. A second call replaces it.
    ///
    /// # Errors
    /// If the value is malformed, or if [`header`](Self::header) has added an Origin.
    pub fn origin(mut self, origin: impl Into<String>) -> Result<Self, HeaderError> {
        let origin = origin.into();
        check_value(origin.as_bytes())?;
        if self.headers.iter().any(|(name, _)| is_origin(name)) {
            return Err(HeaderError::Reserved);
        }
        self.origin = Some(origin);
        Ok(self)
    }

    /// Adds a header, such as Cookie or Authorization.
    ///
    /// # Errors
    /// If the header is malformed, one that the crate writes itself, or a second Origin.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Result<Self, HeaderError> {
        let (name, value) = checked_header(name, value)?;
        let has_origin = || self.origin.is_some() || self.headers.iter().any(|(name, _)| is_origin(name));
        if is_origin(&name) && has_origin() {
            return Err(HeaderError::Reserved);
        }
        self.headers.push((name, value));
        Ok(self)
    }

    /// The request over HTTP/1.1, for another HTTP stack to send; [`Connection::client`](crate::Connection::client)
    /// writes it itself. `nonce` is 16 random bytes, new for every connection (RFC 6455 §4.1, 7). Of `config`, only
    /// `Config::deflate` and [`Config::browser_rules`] are used.
    ///
    /// # Errors
    /// If the request breaks a rule, and so cannot be sent.
    pub fn upgrade(&self, config: &Config, nonce: [u8; 16]) -> Result<ClientHandshake, RequestError> {
        self.handshake(config, Some(request_key(nonce)))
    }

    /// The request over HTTP/2 (RFC 8441) or HTTP/3 (RFC 9220). Send it only if the server has sent
    /// `SETTINGS_ENABLE_CONNECT_PROTOCOL`. Headers of an HTTP/1.1 connection, such as Keep-Alive, are left out. Of
    /// `config`, only `Config::deflate` and [`Config::browser_rules`] are used.
    ///
    /// # Errors
    /// If the request breaks a rule, and so cannot be sent.
    pub fn extended_connect(&self, config: &Config) -> Result<ClientHandshake, RequestError> {
        self.handshake(config, None)
    }

    /// Builds an upgrade with this key (RFC 6455 §4.1, "the requirements for this handshake"), or an extended CONNECT
    /// if there is no key (RFC 8441 §5).
    fn handshake(&self, config: &Config, key: Option<[u8; KEY_LEN]>) -> Result<ClientHandshake, RequestError> {
        let uri = self.uri.clone().map_err(RequestError::Uri)?;
        self.check_subprotocols()?;
        let bootstrap = if key.is_some() { Bootstrap::Upgrade } else { Bootstrap::ExtendedConnect };
        let mut headers = Headers::with_capacity(16, EXPECTED_LEN);
        let mut put = |name: &str, value: &[u8]| push_header(bootstrap, &mut headers, name, value);
        if let Some(key) = &key {
            put("Host", uri.authority().as_bytes());
            put("Upgrade", b"websocket");
            put("Connection", b"Upgrade");
            put("Sec-WebSocket-Key", key);
        } else {
            put(":method", b"CONNECT");
            put(":protocol", b"websocket");
            // RFC 8441 §5: "The scheme of the target URI [...] MUST be "https" for "wss"-schemed WebSockets and "http"
            // for "ws"-schemed WebSockets."
            put(":scheme", if uri.is_secure() { b"https" } else { b"http" });
            put(":authority", uri.authority().as_bytes());
            put(":path", uri.resource().as_bytes());
        }
        put("Sec-WebSocket-Version", b"13");
        if !self.subprotocols.is_empty() {
            // With a space after the comma: some servers split the list only at ", ".
            put("Sec-WebSocket-Protocol", self.subprotocols.join(", ").as_bytes());
        }
        if let Some(offer) = Negotiated::offer_extensions(config) {
            put("Sec-WebSocket-Extensions", offer.as_bytes());
        }
        if let Some(origin) = &self.origin {
            put("Origin", origin.as_bytes());
        }
        for (name, value) in &self.headers {
            put(name, value);
        }
        let subprotocols = self.subprotocols.iter().map(|name| name.as_str().into()).collect();
        let offer = Offer { accept: key.map(|key| accept_key(&key)), subprotocols };
        Ok(ClientHandshake { uri, headers, offer, config: config.clone() })
    }

    /// RFC 6455 §4.1, 10: "The elements that comprise this value MUST be non-empty strings [...] and MUST all be
    /// unique strings."
    fn check_subprotocols(&self) -> Result<(), RequestError> {
        for (index, name) in self.subprotocols.iter().enumerate() {
            if !is_token(name) {
                return Err(RequestError::Subprotocol);
            }
            if self.subprotocols.iter().take(index).any(|earlier| earlier == name) {
                return Err(RequestError::RepeatedSubprotocol);
            }
        }
        Ok(())
    }
}

fn is_origin(name: &str) -> bool {
    name.eq_ignore_ascii_case("Origin")
}

/// Enough for a request without the caller's own headers.
const EXPECTED_LEN: usize = 256;

/// A client's handshake over another HTTP stack. Send its headers, then check the response with [`check`](Self::check),
/// which consumes it.
///
/// # Examples
/// ```
/// use websocket_proto::{ClientRequest, Config};
///
/// let request = ClientRequest::new("wss://server.example.com/chat").subprotocol("chat").header("Cookie", "a=b")?;
/// let handshake = request.extended_connect(&Config::new())?;
/// let fields: Vec<(&str, &[u8])> = handshake.headers().iter().collect();
/// assert_eq!(fields, [
///     (":method", b"CONNECT".as_slice()),
///     (":protocol", b"websocket"),
///     (":scheme", b"https"),
///     (":authority", b"server.example.com"),
///     (":path", b"/chat"),
///     ("sec-websocket-version", b"13"),
///     ("sec-websocket-protocol", b"chat"),
///     ("cookie", b"a=b"),
/// ]);
/// let (response, negotiated) = handshake.check(200, [("sec-websocket-protocol", "chat")])?;
/// assert_eq!((response.status(), negotiated.subprotocol()), (200, Some("chat")));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "send its headers, then check the response with it"]
pub struct ClientHandshake {
    uri: Uri,
    headers: Headers,
    offer: Offer,
    config: Config,
}

impl ClientHandshake {
    /// Whether the request is a GET or an extended CONNECT.
    #[must_use]
    pub fn bootstrap(&self) -> Bootstrap {
        self.offer.bootstrap()
    }

    /// The URI to send the request to. Its [`resource`](Uri::resource) is the target of an HTTP/1.1 request.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The headers, in order. For an extended CONNECT they are the whole request: pseudo-headers first, then headers
    /// with lower-case names.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// Checks the final response: its status, and its headers as pairs of name and value, bytes or text. The headers of
    /// an HTTP/2 or HTTP/3 response may include the pseudo-header `:status`, which is ignored: `status` decides.
    ///
    /// # Errors
    /// [`Rejected`](HandshakeErrorKind::Rejected) for a status other than 101, or, to an extended CONNECT, other than
    /// 2xx; otherwise the first broken rule (RFC 6455 §4.1, RFC 8441 §5). Then close the stream and send nothing.
    pub fn check<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        self,
        status: u16,
        headers: impl IntoIterator<Item = (N, V)>,
    ) -> Result<(Response, Negotiated), HandshakeErrorKind> {
        let opens = match self.bootstrap() {
            Bootstrap::Upgrade => status == 101,
            // RFC 9110 §9.3.6: "Any 2xx (Successful) response indicates that the sender [...] will switch to tunnel
            // mode". RFC 9113 §8.6: "HTTP/2 does not support the 101 (Switching Protocols) informational status code".
            Bootstrap::ExtendedConnect => matches!(status, 200..=299),
        };
        if !opens {
            return Err(HandshakeErrorKind::Rejected(status));
        }
        let (_, headers) = read_header_list(self.bootstrap(), headers, [":status"])?;
        check_response(ResponseHead { status, minor_version: 1, headers }, &self.offer, &self.config)
    }

    /// Writes the HTTP/1.1 request.
    pub(crate) fn write_http1(&self, output: &mut Output) {
        let first_line = b"GET  HTTP/1.1\r\n".len().saturating_add(self.uri.resource().len());
        let expected = first_line.saturating_add(self.headers.http1_len()).saturating_add(b"\r\n".len());
        output.write_with(expected, |head| {
            for part in ["GET ", self.uri.resource(), " HTTP/1.1\r\n"] {
                head.extend_from_slice(part.as_bytes());
            }
            for (name, value) in self.headers.lines() {
                write_header_line(head, name, value);
            }
            head.extend_from_slice(b"\r\n");
        });
    }

    /// The part that the check of the response needs.
    pub(crate) fn into_offer(self) -> Offer {
        self.offer
    }
}

/// Why a [`ClientRequest`] cannot be sent. Nothing was written.
///
/// # Examples
/// ```
/// use websocket_proto::{ClientRequest, Config, Connection, Output, RequestError};
///
/// let request = ClientRequest::new("ws://example.com/").subprotocol("not a token");
/// let failed = Connection::client(&request, Config::new(), [0; 32], &mut Output::new());
/// assert_eq!(failed.err(), Some(RequestError::Subprotocol));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestError {
    /// The URI is not a WebSocket URI.
    Uri(UriError),
    /// A subprotocol is not a token (RFC 6455 §4.1, 10; the WebSocket API's `SyntaxError`).
    Subprotocol,
    /// A subprotocol is offered twice.
    RepeatedSubprotocol,
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uri(error) => error.fmt(f),
            Self::Subprotocol => f.write_str("a subprotocol is not a token"),
            Self::RepeatedSubprotocol => f.write_str("a subprotocol is offered twice"),
        }
    }
}

impl core::error::Error for RequestError {}
