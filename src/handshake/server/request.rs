//! [`Request`]: the server's checks of a handshake request (RFC 6455 §4.2.1).

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::fmt;

use iri_string::types::UriStr;
use once_cell::race::OnceBox;

use super::request_headers::RequestHeaders;
use crate::config::Config;
use crate::error::HandshakeErrorKind;
use crate::handshake::Bootstrap;
use crate::handshake::accept_key::{ACCEPT_LEN, accept_key, is_key};
use crate::handshake::grammar::{ByteSet, Extension, parse_extensions};
use crate::handshake::headers::Headers;
use crate::handshake::http1::HeadScanner;
use crate::handshake::http1::{ParsedHead, RequestHead, parse_request_head};

/// A valid handshake request, and the right to answer it once. A connection's [`accept`](crate::Connection::accept),
/// [`accept_with`](crate::Connection::accept_with) and [`reject`](crate::Connection::reject) consume it. A request that
/// another HTTP stack has read (see the [module](crate::handshake)) is consumed by its own [`accept`](Self::accept) or
/// [`reject`](Self::reject).
///
/// A connection answers only the request that its own event delivered. It does not answer another connection's request,
/// even one with the same bytes, which a client can send. Requests from [`parse_request`] and the like belong to no
/// connection. `==` compares the content of requests, not their connections.
///
/// Answering twice does not compile:
/// ```compile_fail,E0382
/// # use websocket_proto::{Connection, Output, Reject, handshake::Request};
/// fn undecided(ws: &mut Connection, request: Request, output: &mut Output) {
///     ws.accept(request, output);
///     ws.reject(request, &Reject::forbidden(), output);
/// }
/// ```
///
/// # Examples
/// ```
/// # use websocket_proto::{Accept, Connection, Output, Reject, handshake::Request};
/// fn decide(ws: &mut Connection, request: Request, output: &mut Output) {
///     if request.path() != "/chat" {
///         ws.reject(request, &Reject::not_found(), output);
///     } else if request.origin().is_some() && !request.is_same_origin(true) {
///         ws.reject(request, &Reject::forbidden(), output);
///     } else if request.subprotocols().any(|name| name == "chat") {
///         let _ = ws.accept_with(request, &Accept::new().subprotocol("chat"), output);
///     } else {
///         ws.accept(request, output);
///     }
/// }
/// ```
#[must_use = "the client waits until the request is accepted or rejected"]
pub struct Request {
    /// Shared with the [`Ticket`] of the connection that waits for the decision.
    parts: Arc<Parts>,
}

struct Parts {
    resource_and_host: ResourceAndHost,
    headers: Headers,
    subprotocols: Vec<String>,
    /// Parsed on first use.
    extensions: OnceBox<Vec<Extension>>,
    /// The value of Sec-WebSocket-Accept for the response; `None` for an extended CONNECT.
    accept: Option<[u8; ACCEPT_LEN]>,
    /// Whether an upgrade's Expect headers have the element `100-continue`.
    expects_continue: bool,
}

impl Request {
    /// The resource name: path and query.
    #[must_use]
    pub fn resource(&self) -> &str {
        self.parts.resource_and_host.resource()
    }

    /// The path, still percent-encoded.
    #[must_use]
    pub fn path(&self) -> &str {
        self.resource().split_once('?').map_or(self.resource(), |(path, _)| path)
    }

    /// The query, still percent-encoded, without its `?`; `None` if there is no `?`.
    ///
    /// # Examples
    /// ```
    /// use websocket_proto::handshake::parse_request;
    ///
    /// let request = parse_request(b"GET /chat?room=1 HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\n\
    ///     Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n\r\n")?;
    /// assert_eq!((request.resource(), request.path()), ("/chat?room=1", "/chat"));
    /// assert_eq!((request.query(), request.host()), (Some("room=1"), "example.com"));
    /// assert!(request.extensions().is_empty());
    /// # Ok::<_, websocket_proto::HandshakeErrorKind>(())
    /// ```
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.resource().split_once('?').map(|(_, query)| query)
    }

    /// Whether the request is a GET or an extended CONNECT.
    #[must_use]
    pub fn bootstrap(&self) -> Bootstrap {
        if self.parts.accept.is_some() { Bootstrap::Upgrade } else { Bootstrap::ExtendedConnect }
    }

    /// The host, with the port if given: from the Host header, from the target if that is an absolute URI, or from the
    /// `:authority` of an extended CONNECT.
    #[must_use]
    pub fn host(&self) -> &str {
        self.parts.resource_and_host.host()
    }

    /// The Origin header as received (RFC 6455 §10.2). `None` if it is absent: most clients other than browsers send
    /// none. Such clients can also send any Origin they like: the header protects a browser's user, not the server.
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        core::str::from_utf8(self.parts.headers.get("Origin")?).ok()
    }

    /// Whether the Origin is this host: the check that keeps pages of other sites from using a browser's cookies here.
    /// `secure`: whether the client used TLS; a server with a proxy in front must learn that from the proxy.
    ///
    /// False without an Origin. The client is then probably not a browser; the caller decides whether to accept it.
    #[must_use]
    pub fn is_same_origin(&self, secure: bool) -> bool {
        let (scheme, default_port) = if secure { ("https://", ":443") } else { ("http://", ":80") };
        self.origin()
            .and_then(|origin| {
                let (start, host) = origin.split_at_checked(scheme.len())?;
                start.eq_ignore_ascii_case(scheme).then(|| is_same_authority(host, self.host(), default_port))
            })
            .unwrap_or(false)
    }

    /// The subprotocols that the client offers, in its order of preference.
    pub fn subprotocols(&self) -> impl Iterator<Item = &str> {
        self.parts.subprotocols.iter().map(String::as_str)
    }

    /// The extensions that the client offers, in its order of preference. The crate accepts or declines
    /// permessage-deflate according to `Config::deflate`, and declines the others.
    #[must_use]
    pub fn extensions(&self) -> &[Extension] {
        let parse = || parse_extensions(self.headers().get_all("Sec-WebSocket-Extensions")).unwrap_or_default();
        self.parts.extensions.get_or_init(|| Box::new(parse()))
    }

    /// All headers, without pseudo-headers. Over HTTP/2 and HTTP/3, a cookie list may be split into several Cookie
    /// headers: join their values with `; ` (RFC 9113 §8.2.3).
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.parts.headers
    }

    /// The value of Sec-WebSocket-Accept for the response; `None` for an extended CONNECT.
    pub(crate) fn accept_value(&self) -> Option<&[u8; ACCEPT_LEN]> {
        self.parts.accept.as_ref()
    }

    /// Whether 100 (Continue) must be sent before 101.
    ///
    /// RFC 9110 §7.8: "If a server receives both an Upgrade and an Expect header field with the "100-continue"
    /// expectation (Section 10.1.1), the server MUST send a 100 (Continue) response before sending a 101 (Switching
    /// Protocols) response." §10.1.1 lets a server omit it "if the framing indicates that there is no content", which
    /// is the case here; but §7.8 is about this case only and has no exception, and a client that asked for a 100 can
    /// read one. Before a rejection, which is a final status, §10.1.1 requires none.
    pub(crate) fn expects_continue(&self) -> bool {
        self.parts.expects_continue
    }

    /// The identity of this request.
    pub(crate) fn ticket(&self) -> Ticket {
        Ticket(Arc::downgrade(&self.parts))
    }

    /// Whether `ticket` identifies this request. An equal request has another ticket.
    pub(crate) fn has_ticket(&self, ticket: &Ticket) -> bool {
        // Both keep the allocation alive, so the same address means the same request.
        Arc::as_ptr(&self.parts) == ticket.0.as_ptr()
    }

    pub(crate) fn new(
        resource_and_host: ResourceAndHost,
        subprotocols: Vec<String>,
        headers: Headers,
        accept: Option<[u8; ACCEPT_LEN]>,
        expects_continue: bool,
    ) -> Self {
        let extensions = OnceBox::new();
        Self {
            parts: Arc::new(Parts { resource_and_host, headers, subprotocols, extensions, accept, expects_continue }),
        }
    }
}

/// The identity of a [`Request`], kept by the connection that waits for the decision about it. The address of the
/// request's parts is not reused while the ticket exists; the parts themselves are dropped with the request.
#[derive(Debug)]
pub(crate) struct Ticket(Weak<Parts>);

/// The resource name and the host, in one allocation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ResourceAndHost {
    joined: String,
    resource_len: usize,
}

impl ResourceAndHost {
    /// `host` must be a valid authority.
    pub(crate) fn new(resource: &str, host: &[u8]) -> Self {
        let joined = [resource.as_bytes(), host].concat();
        Self { joined: String::from_utf8(joined).unwrap_or_default(), resource_len: resource.len() }
    }

    fn resource(&self) -> &str {
        self.joined.get(..self.resource_len).unwrap_or_default()
    }

    fn host(&self) -> &str {
        self.joined.get(self.resource_len..).unwrap_or_default()
    }
}

impl PartialEq for Request {
    fn eq(&self, other: &Self) -> bool {
        // The other parts follow from the headers.
        self.bootstrap() == other.bootstrap()
            && self.parts.resource_and_host == other.parts.resource_and_host
            && self.headers() == other.headers()
    }
}

impl Eq for Request {}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("resource", &self.resource())
            .field("host", &self.host())
            .field("headers", self.headers())
            .finish_non_exhaustive()
    }
}

/// Parses and checks the head of a handshake request (RFC 6455 §4.2.1). `head` must end with the empty line.
///
/// For servers that read HTTP themselves; they must limit the head's size. [`Answer`](super::Answer) has an example.
/// [`Connection::server`](crate::Connection::server) does all of this itself.
///
/// # Errors
/// The first rule that the request breaks. Send its [`answer`](HandshakeErrorKind::answer).
pub fn parse_request(head: &[u8]) -> Result<Request, HandshakeErrorKind> {
    let unbounded = Config::new().max_head_size(usize::MAX).max_headers(u16::MAX);
    let mut scanner = HeadScanner::request();
    if let Some((len, request)) = scanner.parse_at_once(head, &unbounded, check_request) {
        return if len == head.len() { request } else { Err(HandshakeErrorKind::MalformedHttp) };
    }
    if scanner.scan(head, &unbounded).map_err(|bad| bad.kind)? != Some(head.len()) {
        return Err(HandshakeErrorKind::MalformedHttp);
    }
    let mut head = head.to_vec();
    scanner.normalize(&mut head);
    check_request(&head, scanner.line_count()).map_or(Err(HandshakeErrorKind::MalformedHttp), |(_, request)| request)
}

/// Parses the request head at the start of `bytes`, as [`parse_request_head`] does, and checks it.
pub(crate) fn check_request(bytes: &[u8], max_headers: usize) -> Option<ParsedHead<Request>> {
    parse_request_head(bytes, max_headers).map(|(len, head)| (len, check_request_head(head)))
}

/// Checks the parsed head of a [`Bootstrap::Upgrade`] request.
pub(crate) fn check_request_head(head: RequestHead<'_>) -> Result<Request, HandshakeErrorKind> {
    use HandshakeErrorKind as Kind;

    let RequestHead { method, target, minor_version, headers } = head;
    // RFC 6455 §4.2.1, 1: "An HTTP/1.1 or higher GET request".
    if minor_version < 1 {
        return Err(Kind::HttpVersionTooOld);
    }
    if method != "GET" {
        return Err(Kind::UnsupportedMethod);
    }
    let (resource, authority) = split_target(target).ok_or(Kind::InvalidRequestTarget)?;
    let fields = RequestHeaders::of(&headers);
    // §4.2.1, 2: "A |Host| header field containing the server's authority"; RFC 9112 §3.2: exactly one, and an
    // authority in the target overrides it.
    let host = fields.host.get().ok().flatten().filter(|host| is_authority(host)).ok_or(Kind::InvalidHost)?;
    let host = authority.map_or(host, str::as_bytes);
    fields.check_no_body()?;
    // §4.2.1, 3: "An |Upgrade| header field containing the value "websocket", treated as an ASCII case-insensitive
    // value".
    if !fields.upgrades {
        return Err(Kind::MissingUpgrade);
    }
    // §4.2.1, 4: "A |Connection| header field that includes the token "Upgrade"".
    if !fields.connection_upgrades {
        return Err(Kind::MissingConnectionUpgrade);
    }
    fields.check_version()?;
    // §4.2.1, 5: "a base64-encoded value that, when decoded, is 16 bytes in length"; §11.3.1: at most once.
    let key = fields.key.get().ok().flatten().filter(|key| is_key(key)).ok_or(Kind::InvalidKey)?;
    let (resource_and_host, subprotocols) = (ResourceAndHost::new(&resource, host), fields.read_optional(&headers)?);
    let (accept, expects_continue) = (accept_key(key), fields.expects_continue);
    Ok(Request::new(resource_and_host, subprotocols, headers, Some(accept), expects_continue))
}

/// Splits a request target into the resource name and, if it is an absolute URI, its authority (RFC 9112 §3.2).
fn split_target(target: &str) -> Option<(Cow<'_, str>, Option<&str>)> {
    if !is_target(target) {
        return None;
    }
    if target.starts_with('/') {
        return Some((target.into(), None));
    }
    let uri = UriStr::new(target).ok()?;
    let known = ["http", "https", "ws", "wss"].iter().any(|scheme| uri.scheme_str().eq_ignore_ascii_case(scheme));
    let authority = uri.authority_str().filter(|authority| known && is_authority(authority.as_bytes()))?;
    let path = if uri.path_str().is_empty() { "/" } else { uri.path_str() };
    let resource = uri.query_str().map_or_else(|| path.into(), |query| [path, "?", query].concat().into());
    Some((resource, Some(authority)))
}

/// Whether `text` has only visible ASCII characters, like every URI, and no fragment.
pub(crate) fn is_target(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
}

/// Whether `value` is a non-empty host, optionally with a port, without user information.
pub(crate) fn is_authority(value: &[u8]) -> bool {
    is_plain_authority(value) || core::str::from_utf8(value).is_ok_and(is_any_authority)
}

/// Whether `authority` is letters, digits, hyphens and dots, optionally with a port: the usual form, checked without a
/// URI parser.
fn is_plain_authority(authority: &[u8]) -> bool {
    const PLAIN: ByteSet = ByteSet::alphanumeric_and(b"-.");

    let host_len = authority.iter().take_while(|&&byte| PLAIN.has(byte)).count();
    let port = authority.get(host_len..).unwrap_or_default();
    host_len > 0 && (port.is_empty() || port.strip_prefix(b":").is_some_and(|port| port.iter().all(u8::is_ascii_digit)))
}

/// Whether `authority` is valid in any form, checked with a URI parser.
fn is_any_authority(authority: &str) -> bool {
    let uri = format!("http://{authority}");
    UriStr::new(&uri).is_ok_and(|uri| {
        uri.authority_str() == Some(authority)
            && uri.authority_components().is_some_and(|parts| !parts.host().is_empty() && parts.userinfo().is_none())
    })
}

/// Whether two authorities are the same. A missing or empty port (RFC 3986 §6.2.3) means the default one.
/// `default_port` includes the colon.
pub(crate) fn is_same_authority(one: &str, other: &str, default_port: &str) -> bool {
    let bare = |authority| without_default_port(authority, default_port);
    bare(one).eq_ignore_ascii_case(bare(other))
}

fn without_default_port<'a>(authority: &'a str, default_port: &str) -> &'a str {
    authority.strip_suffix(':').or(authority.strip_suffix(default_port)).unwrap_or(authority)
}

#[cfg(test)]
mod tests {
    use super::{is_any_authority, is_plain_authority};
    use alloc::format;

    /// RFC 3986 §3.2.2, §3.2.3: letters, digits, hyphens and dots form a reg-name, and a port is any number of digits.
    #[test]
    fn is_plain_authority_accepts_only_valid_authorities() {
        let mut plain = 0;
        for one in 0..=u8::MAX {
            for other in ["", "a", ":", "1", ".", ":0", ":65536", "::", ":a"] {
                let one = char::from(one);
                for authority in [format!("{one}{other}"), format!("a{one}{other}"), format!("{other}{one}")] {
                    let is_plain = is_plain_authority(authority.as_bytes());
                    assert!(!is_plain || is_any_authority(&authority), "{authority}");
                    plain += usize::from(is_plain);
                }
            }
        }
        assert!(plain > 500, "{plain} were plain");
    }
}
