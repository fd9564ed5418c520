//! The server's reading of an opening request (RFC 6455 §4.2.1): a pure function of the head, which answers nothing.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::fmt;

use iri_string::types::UriStr;
use once_cell::race::OnceBox;

use super::head::{Found, Headers, RequestHead, parse_request_head};
use super::header::{ByteSet, Extension, parse_extensions};
use super::request_fields::RequestFields;
use super::scanner::HeadScanner;
use super::{ACCEPT_LEN, Bootstrap, accept_key, is_key};
use crate::config::Config;
use crate::error::HandshakeErrorKind;

/// A valid opening request, and the right to answer it: [`accept`](crate::Connection::accept),
/// [`accept_with`](crate::Connection::accept_with) and [`reject`](crate::Connection::reject) of a connection take it by
/// value. So do its own [`accept`](Self::accept) and [`reject`](Self::reject), which are for requests that something
/// else has read: see the [module](super).
///
/// A connection decides about the request that its own event brought, and no other: another connection's is refused
/// even if it is the same to the byte, which its client can arrange. Requests of [`parse_request`] and its kin belong
/// to no connection. Two requests are equal if they say the same, whatever they belong to.
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
    /// Shared with the connection that waits for the decision, by a [`Ticket`].
    parts: Arc<Parts>,
}

struct Parts {
    names: Names,
    headers: Headers,
    subprotocols: Vec<String>,
    /// Parsed when somebody asks.
    extensions: OnceBox<Vec<Extension>>,
    /// The value of Sec-WebSocket-Accept that answers this; an extended CONNECT has none.
    accept: Option<[u8; ACCEPT_LEN]>,
    /// Whether the Expect headers of an upgrade have `100-continue` among their elements.
    expects_continue: bool,
}

impl Request {
    /// The resource name: path and query.
    #[must_use]
    pub fn resource(&self) -> &str {
        self.parts.names.resource()
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

    /// How the request asks.
    #[must_use]
    pub fn bootstrap(&self) -> Bootstrap {
        if self.parts.accept.is_some() { Bootstrap::Upgrade } else { Bootstrap::ExtendedConnect }
    }

    /// The host, and the port if given: from the Host header, or from the target where that is an absolute URI; from
    /// `:authority` in an extended CONNECT.
    #[must_use]
    pub fn host(&self) -> &str {
        self.parts.names.host()
    }

    /// The Origin header as it came (RFC 6455 §10.2). `None` if there is none, as from clients that are no browsers.
    /// Programs can send any Origin they like; it protects a browser's user, not the server.
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        core::str::from_utf8(self.parts.headers.get("Origin")?).ok()
    }

    /// Whether the Origin names this very host: the check that keeps other sites' pages from using a browser's
    /// cookies here. `secure` says whether the client spoke TLS, which a server behind a proxy has to know for itself.
    ///
    /// False if there is no Origin: then the client is likely no browser, which is for the caller to decide.
    #[must_use]
    pub fn is_same_origin(&self, secure: bool) -> bool {
        let (scheme, default_port) = if secure { ("https://", ":443") } else { ("http://", ":80") };
        self.origin()
            .and_then(|origin| {
                let (start, host) = origin.split_at_checked(scheme.len())?;
                start.eq_ignore_ascii_case(scheme).then(|| is_same_host(host, self.host(), default_port))
            })
            .unwrap_or(false)
    }

    /// The subprotocols that the client offers, in its order of preference.
    pub fn subprotocols(&self) -> impl Iterator<Item = &str> {
        self.parts.subprotocols.iter().map(String::as_str)
    }

    /// The extensions that the client offers, in its order of preference. permessage-deflate is answered by the crate,
    /// as `Config::deflate` says; the others are declined.
    #[must_use]
    pub fn extensions(&self) -> &[Extension] {
        let parse = || parse_extensions(self.headers().get_all("Sec-WebSocket-Extensions")).unwrap_or_default();
        self.parts.extensions.get_or_init(|| Box::new(parse()))
    }

    /// All header lines; no pseudo-headers. In HTTP/2 and HTTP/3, Cookie may come in several, which are to be joined by
    /// `; ` (RFC 9113 §8.2.3).
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.parts.headers
    }

    /// The value of Sec-WebSocket-Accept that answers this request; an extended CONNECT has none.
    pub(super) fn accept_value(&self) -> Option<&[u8; ACCEPT_LEN]> {
        self.parts.accept.as_ref()
    }

    /// Whether 100 (Continue) is to be sent before 101.
    ///
    /// RFC 9110 §7.8: "If a server receives both an Upgrade and an Expect header field with the "100-continue"
    /// expectation (Section 10.1.1), the server MUST send a 100 (Continue) response before sending a 101 (Switching
    /// Protocols) response." §10.1.1 lets a server omit it "if the framing indicates that there is no content", as it
    /// does here; but §7.8 speaks of this case alone, has no exception, and its 100 harms no client that asked for one.
    /// A rejection is a final status, before which §10.1.1 asks for none.
    pub(super) fn expects_continue(&self) -> bool {
        self.parts.expects_continue
    }

    /// What tells this request from all others.
    pub(crate) fn ticket(&self) -> Ticket {
        Ticket(Arc::downgrade(&self.parts))
    }

    /// Whether the ticket was made of this very request.
    pub(crate) fn has_ticket(&self, ticket: &Ticket) -> bool {
        // Both keep their allocation, so two that are at the same address are the same.
        Arc::as_ptr(&self.parts) == ticket.0.as_ptr()
    }

    pub(super) fn new(
        names: Names,
        subprotocols: Vec<String>,
        headers: Headers,
        accept: Option<[u8; ACCEPT_LEN]>,
        expects_continue: bool,
    ) -> Self {
        let extensions = OnceBox::new();
        Self { parts: Arc::new(Parts { names, headers, subprotocols, extensions, accept, expects_continue }) }
    }
}

/// The identity of a [`Request`], for the connection that waits for the decision about it. It keeps the address of the
/// request's parts from being used again; the parts themselves are freed with the request.
#[derive(Debug)]
pub(crate) struct Ticket(Weak<Parts>);

/// The resource name and the host, end to end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Names {
    both: String,
    resource_len: usize,
}

impl Names {
    /// Of a host that is an authority.
    pub(super) fn new(resource: &str, host: &[u8]) -> Self {
        let both = [resource.as_bytes(), host].concat();
        Self { both: String::from_utf8(both).unwrap_or_default(), resource_len: resource.len() }
    }

    fn resource(&self) -> &str {
        self.both.get(..self.resource_len).unwrap_or_default()
    }

    fn host(&self) -> &str {
        self.both.get(self.resource_len..).unwrap_or_default()
    }
}

impl PartialEq for Request {
    fn eq(&self, other: &Self) -> bool {
        // The rest is read from the headers.
        self.bootstrap() == other.bootstrap()
            && self.parts.names == other.parts.names
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

/// Parses and checks the head of an opening request, up to and with its empty line and no further (RFC 6455 §4.2.1).
///
/// For servers that read HTTP themselves, and bound what they read: the [`Answer`](super::Answer)'s docs have one.
/// [`Connection::server`](crate::Connection::server) does it all.
///
/// # Errors
/// The first rule that is broken, whose [`status`](HandshakeErrorKind::status) is what to answer.
pub fn parse_request(head: &[u8]) -> Result<Request, HandshakeErrorKind> {
    let unbounded = Config::new().max_head_size(u32::MAX).max_headers(u16::MAX);
    let mut scanner = HeadScanner::request();
    if let Some((len, request)) = scanner.skip(head, &unbounded, check_request) {
        return if len == head.len() { request } else { Err(HandshakeErrorKind::MalformedHttp) };
    }
    if scanner.scan(head, &unbounded).map_err(|bad| bad.kind)? != Some(head.len()) {
        return Err(HandshakeErrorKind::MalformedHttp);
    }
    let mut head = head.to_vec();
    scanner.normalize(&mut head);
    check_request(&head, scanner.lines()).map_or(Err(HandshakeErrorKind::MalformedHttp), |(_, request)| request)
}

/// Parses and checks the head that these bytes begin with, if they begin with one of no more headers.
pub(crate) fn check_request(bytes: &[u8], max_headers: usize) -> Option<Found<Request>> {
    parse_request_head(bytes, max_headers).map(|(len, head)| (len, check_request_head(head)))
}

/// Checks a request that asks by [`Bootstrap::Upgrade`].
pub(super) fn check_request_head(head: RequestHead<'_>) -> Result<Request, HandshakeErrorKind> {
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
    let fields = RequestFields::of(&headers);
    // §4.2.1, 2: "A |Host| header field containing the server's authority"; RFC 9112 §3.2: exactly one, and the
    // target's own authority comes before it.
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
    // §4.2.1, 5: "a base64-encoded value that, when decoded, is 16 bytes in length"; §11.3.1: not more than once.
    let key = fields.key.get().ok().flatten().filter(|key| is_key(key)).ok_or(Kind::InvalidKey)?;
    let (names, subprotocols) = (Names::new(&resource, host), fields.read_optional(&headers)?);
    let (accept, expects_continue) = (accept_key(key), fields.expects_continue);
    Ok(Request::new(names, subprotocols, headers, Some(accept), expects_continue))
}

/// The resource name in a request target, and the authority if the target is an absolute URI (RFC 9112 §3.2).
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
    let resource = uri.query_str().map_or_else(|| path.into(), |query| format!("{path}?{query}").into());
    Some((resource, Some(authority)))
}

/// Nothing but what a URI is made of, and no fragment.
pub(super) fn is_target(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
}

/// A host that is not empty, and perhaps a port; no user information.
pub(super) fn is_authority(value: &[u8]) -> bool {
    is_plain_host(value) || core::str::from_utf8(value).is_ok_and(is_any_host)
}

/// The usual case: letters, digits, hyphens and dots, and perhaps a port.
fn is_plain_host(host: &[u8]) -> bool {
    const PLAIN: ByteSet = ByteSet::alphanumeric_and(b"-.");

    let name = host.iter().take_while(|&&byte| PLAIN.has(byte)).count();
    let port = host.get(name..).unwrap_or_default();
    name > 0 && (port.is_empty() || port.strip_prefix(b":").is_some_and(|port| port.iter().all(u8::is_ascii_digit)))
}

fn is_any_host(host: &str) -> bool {
    let uri = format!("http://{host}");
    UriStr::new(&uri).is_ok_and(|uri| {
        uri.authority_str() == Some(host)
            && uri.authority_components().is_some_and(|parts| !parts.host().is_empty() && parts.userinfo().is_none())
    })
}

/// Whether two authorities are one, where a port that is not given, or empty (RFC 3986 §6.2.3), is the default one,
/// with its colon.
pub(super) fn is_same_host(one: &str, other: &str, default_port: &str) -> bool {
    let bare = |host| without_port(host, default_port);
    bare(one).eq_ignore_ascii_case(bare(other))
}

fn without_port<'h>(host: &'h str, default_port: &str) -> &'h str {
    host.strip_suffix(':').or(host.strip_suffix(default_port)).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::{is_any_host, is_plain_host};
    use alloc::format;

    /// RFC 3986 §3.2.2, §3.2.3: letters, digits, hyphens and dots are a reg-name, and a port is any number of digits.
    #[test]
    fn a_plain_host_is_a_host() {
        let mut plain = 0;
        for one in 0..=u8::MAX {
            for other in ["", "a", ":", "1", ".", ":0", ":65536", "::", ":a"] {
                let one = char::from(one);
                for host in [format!("{one}{other}"), format!("a{one}{other}"), format!("{other}{one}")] {
                    let is_plain = is_plain_host(host.as_bytes());
                    assert!(!is_plain || is_any_host(&host), "{host}");
                    plain += usize::from(is_plain);
                }
            }
        }
        assert!(plain > 500, "{plain} were plain");
    }
}
