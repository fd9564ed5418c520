//! The server's checks of an extended CONNECT request: a header list that an HTTP/2 (RFC 8441) or HTTP/3 (RFC 9220)
//! stack has decoded.

use super::request::{Request, ResourceAndHost, is_authority, is_same_authority, is_target};
use super::request_headers::RequestHeaders;
use crate::error::HandshakeErrorKind;
use crate::handshake::Bootstrap;
use crate::handshake::header_list::read_header_list;

/// Checks the header list of an extended CONNECT request (RFC 8441 §4, §5; RFC 9220 §3): pairs of name and value, bytes
/// or text, with the pseudo-headers.
///
/// The HTTP stack must have limited the list's size, and must have sent `SETTINGS_ENABLE_CONNECT_PROTOCOL`. Never open
/// a tunnel to the host in `:authority` for a request with a `:protocol`, whether it is accepted or not.
///
/// # Errors
/// The first broken rule. Send its [`answer`](HandshakeErrorKind::answer).
///
/// # Examples
/// ```
/// use websocket_proto::handshake::parse_extended_connect;
/// use websocket_proto::{Accept, Config};
///
/// let request = parse_extended_connect([
///     (":method", "CONNECT"),
///     (":protocol", "websocket"),
///     (":scheme", "https"),
///     (":path", "/chat"),
///     (":authority", "server.example.com"),
///     ("sec-websocket-protocol", "chat, superchat"),
///     ("sec-websocket-version", "13"),
///     ("origin", "http://www.example.com"),
/// ])?;
/// assert_eq!((request.host(), request.path()), ("server.example.com", "/chat"));
/// let (answer, _) = request.accept(&Accept::new().subprotocol("chat"), &Config::new()).unwrap();
/// assert_eq!(answer.status(), 200);
/// assert!(answer.headers().iter().eq([("sec-websocket-protocol", b"chat".as_slice())]));
/// # Ok::<_, websocket_proto::HandshakeErrorKind>(())
/// ```
pub fn parse_extended_connect<N: AsRef<[u8]>, V: AsRef<[u8]>>(
    fields: impl IntoIterator<Item = (N, V)>,
) -> Result<Request, HandshakeErrorKind> {
    use HandshakeErrorKind as Kind;

    const PSEUDO_HEADERS: [&str; 5] = [":method", ":protocol", ":scheme", ":authority", ":path"];
    let (pseudo, headers) = read_header_list(Bootstrap::ExtendedConnect, fields, PSEUDO_HEADERS)?;
    let [method, protocol, scheme, authority, path] = pseudo;
    // RFC 8441 §5: "This request replaces the GET-based request in [RFC6455]".
    if method.is_none_or(|method| method != "CONNECT") {
        return Err(Kind::UnsupportedMethod);
    }
    // §5: "it MUST have a value of "websocket"", which is a token "from the "Hypertext Transfer Protocol (HTTP) Upgrade
    // Token Registry"" (§4); RFC 9110 §16.7: such tokens are case-insensitive. Without a `:protocol`, the request is
    // the CONNECT of RFC 9110 §9.3.6, which asks for a tunnel.
    if protocol.is_none_or(|protocol| !protocol.eq_ignore_ascii_case("websocket")) {
        return Err(Kind::UnsupportedConnectProtocol);
    }
    // §4: "On requests that contain the :protocol pseudo-header field, the :scheme and :path pseudo-header fields of
    // the target URI (see Section 5) MUST also be included."
    let default_port = match scheme.as_deref() {
        Some("https") => ":443",
        Some("http") => ":80",
        _ => return Err(Kind::InvalidRequestTarget),
    };
    let resource = path.filter(|path| path.starts_with('/') && is_target(path)).ok_or(Kind::InvalidRequestTarget)?;
    // §5: "The Host information is conveyed as part of the :authority pseudo-header field, which is required on every
    // HTTP/2 transaction."
    let host = authority.filter(|authority| is_authority(authority.as_bytes())).ok_or(Kind::InvalidHost)?;
    let fields = RequestHeaders::of(&headers);
    // RFC 9113 §8.3.1: "A server SHOULD treat a request as malformed if it contains a Host header field that identifies
    // an entity that differs from the entity in the ":authority" pseudo-header field."
    let agrees = |other| core::str::from_utf8(other).is_ok_and(|other| is_same_authority(other, &host, default_port));
    if !fields.host.get().map_err(|_| Kind::InvalidHost)?.is_none_or(agrees) {
        return Err(Kind::InvalidHost);
    }
    fields.check_no_body()?;
    fields.check_version()?;
    // §5: "Implementations using this extended CONNECT to bootstrap WebSockets do not do the processing of the
    // Sec-WebSocket-Key and Sec-WebSocket-Accept header fields".
    let subprotocols = fields.read_optional(&headers)?;
    // No 100 (Continue): RFC 9110 §7.8 requires one only before a 101, which HTTP/2 and HTTP/3 do not have.
    Ok(Request::new(ResourceAndHost::new(&resource, host.as_bytes()), subprotocols, headers, None, false))
}
