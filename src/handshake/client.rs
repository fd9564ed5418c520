//! The client's opening request (RFC 6455 §4.1, RFC 8441 §5), checked as a whole and made into headers. Its nonce comes
//! from outside.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::fields::{put_field, read_fields};
use super::head::{Headers, ResponseHead};
use super::header::is_token;
use super::negotiated::Negotiated;
use super::response::{Offer, Response, check_response};
use super::{Bootstrap, HeaderError, KEY_LEN, accept_key, check_header, check_value, put_header, request_key};
use crate::config::Config;
use crate::error::HandshakeErrorKind;
use crate::output::Output;
use crate::uri::{Uri, UriError};

/// What a client asks for: a URI, and what goes with it. Checked as a whole by
/// [`Connection::client`](crate::Connection::client), before a byte is written.
///
/// # Examples
/// ```
/// use websocket_proto::ClientRequest;
///
/// let request = ClientRequest::new("wss://example.com/chat")
///     .subprotocol("chat")
///     .subprotocol("superchat")
///     .origin("https://example.com")
///     .header("Authorization", "Bearer token");
/// # let _ = request;
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
    /// A request for a `ws` or `wss` URI, in the sense of [`Uri::parse`].
    pub fn new(uri: impl AsRef<str>) -> Self {
        Self::with(Uri::parse(uri.as_ref()))
    }

    /// A request for a URI that is parsed already, by a browser's rules for instance, or to know where to connect.
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

    /// Offers a subprotocol, after those offered before it in the order of preference. Has to be a token, once.
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.subprotocols.push(name.into());
        self
    }

    /// Sets the Origin header, as browsers do; [`header`](Self::header) must not set it too.
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.origin = Some(origin.into());
        self
    }

    /// Adds a header, such as a cookie or Authorization. Those of the opening handshake itself are the crate's.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The HTTP/1.1 request, to be sent by something other than a [`Connection`](crate::Connection), which does all
    /// this by itself. The nonce is 16 random bytes, anew for every connection (RFC 6455 §4.1, 7); of the config,
    /// `Config::deflate` and [`Config::browser_rules`] count.
    ///
    /// # Errors
    /// If the request cannot be sent.
    pub fn upgrade(&self, config: &Config, nonce: [u8; 16]) -> Result<ClientHandshake, RequestError> {
        self.handshake(config, Some(request_key(nonce)))
    }

    /// The request in HTTP/2 (RFC 8441) or HTTP/3 (RFC 9220), to be sent if the server has allowed it by
    /// `SETTINGS_ENABLE_CONNECT_PROTOCOL`. Headers that belong to an HTTP/1.1 connection, such as Keep-Alive, are left
    /// out. Of the config, `Config::deflate` and [`Config::browser_rules`] count.
    ///
    /// # Errors
    /// If the request cannot be sent.
    pub fn extended_connect(&self, config: &Config) -> Result<ClientHandshake, RequestError> {
        self.handshake(config, None)
    }

    /// RFC 6455 §4.1, "the requirements for this handshake"; RFC 8441 §5 if there is no key.
    fn handshake(&self, config: &Config, key: Option<[u8; KEY_LEN]>) -> Result<ClientHandshake, RequestError> {
        let uri = self.uri.clone().map_err(RequestError::Uri)?;
        self.check_subprotocols()?;
        self.check_headers()?;
        let bootstrap = if key.is_some() { Bootstrap::Upgrade } else { Bootstrap::ExtendedConnect };
        let mut headers = Headers::with_capacity(16, EXPECTED_LEN);
        let mut put = |name: &str, value: &[u8]| put_field(bootstrap, &mut headers, name, value);
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
            // With the space: some servers split there and nowhere else.
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

    fn check_headers(&self) -> Result<(), RequestError> {
        for (name, value) in &self.headers {
            check_header(name, value).map_err(RequestError::Header)?;
        }
        let origins = self.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("Origin")).count();
        if origins + usize::from(self.origin.is_some()) > 1 {
            return Err(RequestError::Header(HeaderError::Reserved));
        }
        self.origin.iter().try_for_each(|origin| check_value(origin.as_bytes())).map_err(RequestError::Header)
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

/// The request is no longer, unless the caller adds headers.
const EXPECTED_LEN: usize = 256;

/// A client's opening handshake, to be sent by another HTTP stack, which gives back the response to be
/// [checked](Self::check): by that, the handshake is used up.
///
/// # Examples
/// ```
/// use websocket_proto::{ClientRequest, Config};
///
/// let request = ClientRequest::new("wss://server.example.com/chat").subprotocol("chat").header("Cookie", "a=b");
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
#[must_use = "it is to be sent, and checks the response"]
pub struct ClientHandshake {
    uri: Uri,
    headers: Headers,
    offer: Offer,
    config: Config,
}

impl ClientHandshake {
    /// How it asks: by GET or by CONNECT.
    #[must_use]
    pub fn bootstrap(&self) -> Bootstrap {
        self.offer.bootstrap()
    }

    /// Where it is to be sent, and in [`Uri::resource`] the target of an HTTP/1.1 request.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The headers, in order. In HTTP/2 and HTTP/3 they begin with the pseudo-headers and are all of the request; the
    /// other names are lower-case there.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// Checks the final response: its status and its headers, each name and value as bytes or text. A pseudo-header
    /// `:status` may be among the headers of an HTTP/2 or HTTP/3 response; it is the status given that counts.
    ///
    /// # Errors
    /// [`Rejected`](HandshakeErrorKind::Rejected) for any status but 101, or 2xx to an extended CONNECT; otherwise the
    /// first rule that is broken (RFC 6455 §4.1, RFC 8441 §5). The stream is then to be closed, and nothing sent.
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
        let (_, headers) = read_fields(self.bootstrap(), headers, [":status"])?;
        check_response(ResponseHead { status, minor_version: 1, headers }, &self.offer, &self.config)
    }

    /// Writes it as an HTTP/1.1 request.
    pub(crate) fn write_http1(&self, output: &mut Output) {
        output.put_with(EXPECTED_LEN, |head| {
            for part in ["GET ", self.uri.resource(), " HTTP/1.1\r\n"] {
                head.extend_from_slice(part.as_bytes());
            }
            for (name, value) in self.headers.lines() {
                put_header(head, name, value);
            }
            head.extend_from_slice(b"\r\n");
        });
    }

    /// What the response is checked against.
    pub(crate) fn into_offer(self) -> Offer {
        self.offer
    }
}

/// A [`ClientRequest`] that cannot be sent. Nothing was.
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
    /// The URI is no WebSocket URI.
    Uri(UriError),
    /// A subprotocol is not a token (RFC 6455 §4.1, 10; the WebSocket API's `SyntaxError`).
    Subprotocol,
    /// A subprotocol is named twice.
    RepeatedSubprotocol,
    /// A header, or the origin, cannot be sent.
    Header(HeaderError),
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uri(error) => error.fmt(f),
            Self::Subprotocol => f.write_str("a subprotocol is not a token"),
            Self::RepeatedSubprotocol => f.write_str("a subprotocol is offered twice"),
            Self::Header(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for RequestError {}
