//! [`Response`], and the client's check of it against the request (RFC 6455 §4.1, RFC 8441 §5).

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::config::Config;
use crate::error::HandshakeErrorKind;
use crate::handshake::Bootstrap;
use crate::handshake::accept_key::ACCEPT_LEN;
use crate::handshake::grammar::{
    count_extensions, elements, has_element, parse_digits, parse_extensions, parse_version,
};
use crate::handshake::headers::Headers;
use crate::handshake::http1::ResponseHead;
use crate::handshake::negotiated::Negotiated;

/// The server's final response to the handshake request.
///
/// # Examples
/// ```
/// # use websocket_proto::Event;
/// fn report(event: &Event<'_>) {
///     match event {
///         Event::Open(response) => println!("open, subprotocol {:?}", response.subprotocol()),
///         Event::Rejected(response) => {
///             let location = response.headers().get("Location").map(String::from_utf8_lossy);
///             println!("{}: {location:?}", response.status());
///         }
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
    /// A response whose status does not open the connection.
    pub(crate) fn rejection(head: ResponseHead, body: Vec<u8>) -> Self {
        Self { parts: Box::new(Parts { status: head.status, headers: head.headers, subprotocol: None, body }) }
    }

    /// The HTTP status: 101, or 2xx to an extended CONNECT, if the connection is open.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.parts.status
    }

    /// All headers: Set-Cookie, or, of a rejection, Location, WWW-Authenticate, Retry-After, Sec-WebSocket-Version.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.parts.headers
    }

    /// The subprotocol that the server selected, if any.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.parts.subprotocol.as_deref()
    }

    /// The received part of a rejection's body, at most [`Config::max_head_size`](crate::Config::max_head_size) bytes;
    /// of a chunked body, only the data. A body without Content-Length or chunks ends with the stream (RFC 9112 §6.3):
    /// the response is reported then, or when that limit is reached, or when the caller stops waiting with
    /// [`time_out`](crate::Connection::time_out) or [`close`](crate::Connection::close).
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.parts.body
    }

    /// The protocol versions that a rejecting server supports (RFC 6455 §4.4), from all Sec-WebSocket-Version headers.
    /// Values that are not numbers from 0 to 255 are skipped.
    ///
    /// # Examples
    /// ```
    /// # use websocket_proto::handshake::Response;
    /// fn speaks_hybi_8(rejection: &Response) -> bool {
    ///     rejection.versions().any(|version| version == 8)
    /// }
    /// ```
    pub fn versions(&self) -> impl Iterator<Item = u8> {
        elements(self.parts.headers.get_all("Sec-WebSocket-Version")).filter_map(parse_version)
    }

    /// The time that the server asks to wait before the next request (Retry-After, RFC 9110 §10.2.3), whatever the
    /// status. The longest time if several headers give one; `None` without a valid header.
    ///
    /// A Retry-After date is measured from the response's Date header, so no clock is needed; without that header, or
    /// without feature `std`, the date is ignored. A date in the past is a time of zero.
    ///
    /// # Examples
    /// ```
    /// # use websocket_proto::handshake::Response;
    /// fn is_worth_waiting_for(rejection: &Response) -> bool {
    ///     rejection.retry_after().is_some_and(|wait| wait.as_secs() < 60)
    /// }
    /// ```
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let values = self.parts.headers.get_all("Retry-After");
        // RFC 9110 §10.2.3: "Retry-After = HTTP-date / delay-seconds".
        values.filter_map(|value| parse_digits(value).map(Duration::from_secs).or_else(|| self.until(value))).max()
    }

    /// The time from the response's Date to `date`.
    #[cfg(feature = "std")]
    fn until(&self, date: &[u8]) -> Option<Duration> {
        let parse = |date| httpdate::parse_http_date(core::str::from_utf8(date).ok()?).ok();
        let sent = parse(self.parts.headers.get_only("Date").ok()??)?;
        Some(parse(date)?.duration_since(sent).unwrap_or_default())
    }

    #[cfg(not(feature = "std"))]
    #[expect(clippy::unused_self, reason = "the same signature as with the feature")]
    fn until(&self, _date: &[u8]) -> Option<Duration> {
        None
    }
}

/// Checks the headers of a response whose status opens the connection (RFC 6455 §4.1, "the client MUST validate the
/// server's response as follows").
pub(crate) fn check_response(
    head: ResponseHead,
    offer: &Offer,
    config: &Config,
) -> Result<(Response, Negotiated), HandshakeErrorKind> {
    // The other headers follow the same rules over every HTTP. RFC 8441 §5: "The Origin [RFC6454],
    // Sec-WebSocket-Version, Sec-WebSocket-Protocol, and Sec-WebSocket-Extensions header fields are used in the CONNECT
    // request and response-header fields as they were in [RFC6455]."
    if let Some(accept) = &offer.accept {
        check_upgrade_headers(&head, accept)?;
    }
    let ResponseHead { status, headers, .. } = head;
    // RFC 6455 §4.1, 5: "If the response includes a |Sec-WebSocket-Extensions| header field and this header field
    // indicates the use of an extension that was not present in the client's handshake". §11.3.2: a response has the
    // header at most once.
    let extensions = match headers.get_only("Sec-WebSocket-Extensions") {
        Ok(None) => Vec::new(),
        // RFC 7692 §7.1: permessage-deflate, the one extension that is offered, has four parameters. A list of more is
        // not read, so that it costs no memory.
        Ok(Some(value)) if matches!(count_extensions([value]), Ok((1, 0..=4))) => {
            parse_extensions([value]).map_err(|_| HandshakeErrorKind::InvalidExtensions)?
        }
        _ => return Err(HandshakeErrorKind::InvalidExtensions),
    };
    let subprotocol = selected_subprotocol(&headers, offer, config)?;
    let mut negotiated = Negotiated::new(subprotocol.as_deref());
    negotiated.check_extensions(&extensions, config)?;
    Ok((Response { parts: Box::new(Parts { status, headers, subprotocol, body: Vec::new() }) }, negotiated))
}

/// Checks the version and the headers with which a 101 response switches protocols.
fn check_upgrade_headers(head: &ResponseHead, accept: &[u8]) -> Result<(), HandshakeErrorKind> {
    use HandshakeErrorKind as Kind;

    let ResponseHead { minor_version, headers, .. } = head;
    if *minor_version < 1 {
        return Err(Kind::HttpVersionTooOld);
    }
    // §4.1, 2: "If the response lacks an |Upgrade| header field or the |Upgrade| header field contains a value that is
    // not an ASCII case-insensitive match for the value "websocket"".
    let mut protocols = elements(headers.get_all("Upgrade")).map(|name| name.eq_ignore_ascii_case(b"websocket"));
    if protocols.next() != Some(true) || !protocols.all(|is_websocket| is_websocket) {
        return Err(Kind::MissingUpgrade);
    }
    // §4.1, 3: "If the response lacks a |Connection| header field or the |Connection| header field doesn't contain a
    // token that is an ASCII case-insensitive match for the value "Upgrade"".
    if !headers.get_all("Connection").any(|options| has_element(options, "Upgrade")) {
        return Err(Kind::MissingConnectionUpgrade);
    }
    // §4.1, 4: "[...] but ignoring any leading and trailing whitespace", which the parser has cut off; §11.3.3: at most
    // once.
    match headers.get_only("Sec-WebSocket-Accept") {
        Ok(Some(value)) if value == accept => Ok(()),
        _ => Err(Kind::InvalidAccept),
    }
}

/// RFC 6455 §4.1, 6: "If the response includes a |Sec-WebSocket-Protocol| header field and this header field indicates
/// the use of a subprotocol that was not present in the client's handshake".
fn selected_subprotocol(
    headers: &Headers,
    offer: &Offer,
    config: &Config,
) -> Result<Option<String>, HandshakeErrorKind> {
    let selected = headers.get_only("Sec-WebSocket-Protocol").map_err(|_| HandshakeErrorKind::InvalidSubprotocol)?;
    match selected {
        Some(name) => {
            let offered = offer.subprotocols.iter().find(|offered| offered.as_bytes() == name);
            Ok(Some(offered.ok_or(HandshakeErrorKind::InvalidSubprotocol)?.as_ref().into()))
        }
        // WHATWG: "If protocols is not the empty list and extracting header list values given `Sec-WebSocket-Protocol`
        // and response's header list results in null, failure, or the empty byte sequence, then fail the WebSocket
        // connection." RFC 6455 allows a response without one.
        None if config.browser_rules && !offer.subprotocols.is_empty() => Err(HandshakeErrorKind::MissingSubprotocol),
        None => Ok(None),
    }
}

/// The part of a request that the client keeps to check the response.
#[derive(Debug)]
pub(crate) struct Offer {
    /// The expected Sec-WebSocket-Accept; `None` for an extended CONNECT.
    pub(super) accept: Option<[u8; ACCEPT_LEN]>,
    pub(super) subprotocols: Vec<Box<str>>,
}

impl Offer {
    pub(crate) fn bootstrap(&self) -> Bootstrap {
        if self.accept.is_some() { Bootstrap::Upgrade } else { Bootstrap::ExtendedConnect }
    }
}
