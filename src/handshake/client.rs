//! The client's side of the opening handshake (RFC 6455 §4.1): the request, and what the response has to be.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use super::head::{Headers, ResponseHead};
use super::header::{Extension, elements, is_token, parse_digits, parse_extensions, parse_version};
use super::{ACCEPT_LEN, HeaderError, accept_key, check_header, check_value, put_header, request_key};
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

    /// Writes the request (RFC 6455 §4.1, "the requirements for this handshake").
    pub(crate) fn write(
        &self,
        nonce: [u8; 16],
        extensions: Option<&str>,
        output: &mut Output,
    ) -> Result<Offer, RequestError> {
        let uri = self.uri.as_ref().map_err(|error| RequestError::Uri(*error))?;
        self.check_subprotocols()?;
        for (name, value) in &self.headers {
            check_header(name, value).map_err(RequestError::Header)?;
        }
        let origins = self.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("Origin")).count();
        if origins + usize::from(self.origin.is_some()) > 1 {
            return Err(RequestError::Header(HeaderError::Reserved));
        }
        let key = request_key(nonce);
        let mut head = Vec::with_capacity(256);
        for part in ["GET ", uri.resource(), " HTTP/1.1\r\n"] {
            head.extend_from_slice(part.as_bytes());
        }
        put_header(&mut head, "Host", uri.authority().as_bytes());
        put_header(&mut head, "Upgrade", b"websocket");
        put_header(&mut head, "Connection", b"Upgrade");
        put_header(&mut head, "Sec-WebSocket-Key", &key);
        put_header(&mut head, "Sec-WebSocket-Version", b"13");
        if !self.subprotocols.is_empty() {
            // With the space: some servers split there and nowhere else.
            put_header(&mut head, "Sec-WebSocket-Protocol", self.subprotocols.join(", ").as_bytes());
        }
        if let Some(extensions) = extensions {
            put_header(&mut head, "Sec-WebSocket-Extensions", extensions.as_bytes());
        }
        if let Some(origin) = &self.origin {
            check_value(origin.as_bytes()).map_err(RequestError::Header)?;
            put_header(&mut head, "Origin", origin.as_bytes());
        }
        for (name, value) in &self.headers {
            put_header(&mut head, name, value);
        }
        head.extend_from_slice(b"\r\n");
        output.put(&head);
        Ok(Offer {
            accept: accept_key(&key),
            subprotocols: self.subprotocols.iter().map(|s| s.as_str().into()).collect(),
        })
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

/// What the client has to remember of its request until the response is there.
#[derive(Debug)]
pub(crate) struct Offer {
    accept: [u8; ACCEPT_LEN],
    subprotocols: Vec<Box<str>>,
}

/// The server's final response to the opening request.
///
/// # Examples
/// ```
/// # use websocket_proto::Event;
/// fn report(event: &Event<'_>) {
///     match event {
///         Event::Open(response) => println!("open, subprotocol {:?}", response.subprotocol()),
///         Event::Rejected(response) => println!("{}: {:?}", response.status(), response.headers().get("Location")),
///         _ => {}
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    parts: Box<Parts>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Parts {
    status: u16,
    headers: Headers,
    subprotocol: Option<String>,
    body: Vec<u8>,
}

impl Response {
    /// Any status but 101.
    pub(crate) fn refusal(head: ResponseHead, body: Vec<u8>) -> Self {
        Self { parts: Box::new(Parts { status: head.status, headers: head.headers, subprotocol: None, body }) }
    }

    /// The HTTP status: 101 if the connection is open.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.parts.status
    }

    /// All header lines: cookies, or a refusal's Location, WWW-Authenticate, Retry-After, Sec-WebSocket-Version.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.parts.headers
    }

    /// The subprotocol that the server selected, if any.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.parts.subprotocol.as_deref()
    }

    /// A refusal's body, as far as it came and at most [`Config::max_head_size`](crate::Config::max_head_size)
    /// bytes. Only a body with a Content-Length or in chunks is waited for: one that ends with the connection is not.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.parts.body
    }

    /// The versions of the protocol that a refusing server understands (RFC 6455 §4.4), from all
    /// Sec-WebSocket-Version headers; what is no number between 0 and 255 is left out.
    ///
    /// # Examples
    /// ```
    /// # use websocket_proto::handshake::Response;
    /// fn speaks_hybi_8(refusal: &Response) -> bool {
    ///     refusal.versions().any(|version| version == 8)
    /// }
    /// ```
    pub fn versions(&self) -> impl Iterator<Item = u8> {
        elements(self.parts.headers.get_all("Sec-WebSocket-Version")).filter_map(parse_version)
    }

    /// How long a refusing server asks to wait before the next request (RFC 9110 §10.2.3, Retry-After), with any status.
    /// The longest, if it says so more than once; `None` if it does not, or in no form that is understood.
    ///
    /// A date is counted from the response's own Date, so that no clock is needed: without one, or without the feature
    /// `std`, it is not understood. A date in the past is no time at all.
    ///
    /// # Examples
    /// ```
    /// # use websocket_proto::handshake::Response;
    /// fn is_worth_waiting_for(refusal: &Response) -> bool {
    ///     refusal.retry_after().is_some_and(|wait| wait.as_secs() < 60)
    /// }
    /// ```
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let values = self.parts.headers.get_all("Retry-After");
        // RFC 9110 §10.2.3: "Retry-After = HTTP-date / delay-seconds".
        values.filter_map(|value| parse_digits(value).map(Duration::from_secs).or_else(|| self.until(value))).max()
    }

    /// The time from the response's Date to another date.
    #[cfg(feature = "std")]
    fn until(&self, date: &[u8]) -> Option<Duration> {
        let parse = |date| httpdate::parse_http_date(core::str::from_utf8(date).ok()?).ok();
        let sent = parse(self.parts.headers.get_only("Date").ok()??)?;
        Some(parse(date)?.duration_since(sent).unwrap_or_default())
    }

    #[cfg(not(feature = "std"))]
    #[expect(clippy::unused_self, reason = "stands for what the feature does")]
    fn until(&self, _date: &[u8]) -> Option<Duration> {
        None
    }
}

/// Checks a 101 response (RFC 6455 §4.1, "the client MUST validate the server's response as follows").
pub(crate) fn check_response(
    head: ResponseHead,
    offer: &Offer,
    browser_rules: bool,
) -> Result<(Response, Vec<Extension>), HandshakeErrorKind> {
    use HandshakeErrorKind as Kind;

    let ResponseHead { status, minor_version, headers } = head;
    if minor_version < 1 {
        return Err(Kind::HttpVersion);
    }
    // §4.1, 2: "If the response lacks an |Upgrade| header field or the |Upgrade| header field contains a value that is
    // not an ASCII case-insensitive match for the value "websocket"".
    let is_websocket = |protocol: &[u8]| protocol.eq_ignore_ascii_case(b"websocket");
    let protocols = || elements(headers.get_all("Upgrade"));
    if !protocols().any(is_websocket) || !protocols().all(is_websocket) {
        return Err(Kind::Upgrade);
    }
    // §4.1, 3: "If the response lacks a |Connection| header field or the |Connection| header field doesn't contain a
    // token that is an ASCII case-insensitive match for the value "Upgrade"".
    if !elements(headers.get_all("Connection")).any(|option| option.eq_ignore_ascii_case(b"Upgrade")) {
        return Err(Kind::Connection);
    }
    // §4.1, 4: "[...] but ignoring any leading and trailing whitespace", which the parser has cut off; §11.3.3: not more
    // than once.
    match headers.get_only("Sec-WebSocket-Accept") {
        Ok(Some(accept)) if accept == offer.accept => {}
        _ => return Err(Kind::Accept),
    }
    // §4.1, 5: "If the response includes a |Sec-WebSocket-Extensions| header field and this header field indicates the
    // use of an extension that was not present in the client's handshake": which ones were, the caller knows. §11.3.2:
    // not more than once in a response.
    let extensions = match headers.get_only("Sec-WebSocket-Extensions") {
        Ok(None) => Vec::new(),
        Ok(Some(value)) => parse_extensions([value]).map_err(|_| Kind::Extensions)?,
        Err(_) => return Err(Kind::Extensions),
    };
    let subprotocol = selected_subprotocol(&headers, offer, browser_rules)?;
    Ok((Response { parts: Box::new(Parts { status, headers, subprotocol, body: Vec::new() }) }, extensions))
}

/// RFC 6455 §4.1, 6: "If the response includes a |Sec-WebSocket-Protocol| header field and this header field indicates
/// the use of a subprotocol that was not present in the client's handshake".
fn selected_subprotocol(
    headers: &Headers,
    offer: &Offer,
    browser_rules: bool,
) -> Result<Option<String>, HandshakeErrorKind> {
    let selected = headers.get_only("Sec-WebSocket-Protocol").map_err(|_| HandshakeErrorKind::Subprotocol)?;
    match selected {
        Some(name) => {
            let offered = offer.subprotocols.iter().find(|offered| offered.as_bytes() == name);
            Ok(Some(offered.ok_or(HandshakeErrorKind::Subprotocol)?.as_ref().into()))
        }
        // WHATWG: "If protocols is not the empty list and extracting header list values given
        // `Sec-WebSocket-Protocol` and response's header list results in null, failure, or the empty byte sequence,
        // then fail the WebSocket connection." RFC 6455 opens without one.
        None if browser_rules && !offer.subprotocols.is_empty() => Err(HandshakeErrorKind::NoSubprotocol),
        None => Ok(None),
    }
}
