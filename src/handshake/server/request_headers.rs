//! [`RequestHeaders`]: finds the headers that a handshake request needs, in one pass, and checks those that every HTTP
//! version shares.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use crate::error::HandshakeErrorKind;
use crate::handshake::grammar::{count_extensions, has_element, parse_digits, parse_tokens, parse_version};
use crate::handshake::headers::{Headers, Repeated};

/// The headers that decide whether a handshake request is valid.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent of each other")]
pub(crate) struct RequestHeaders<'h> {
    pub(super) host: SingleHeader<'h>,
    pub(super) key: SingleHeader<'h>,
    /// Whether the Upgrade headers have the element `websocket`.
    pub(super) upgrades: bool,
    /// Whether the Connection headers have the element `Upgrade`.
    pub(super) connection_upgrades: bool,
    /// Whether the Expect headers have the element `100-continue`. RFC 9110 §10.1.1 lets a server answer other elements
    /// with 417; they are ignored here.
    pub(super) expects_continue: bool,
    version: SingleHeader<'h>,
    origin: SingleHeader<'h>,
    subprotocols: SingleHeader<'h>,
    extensions: SingleHeader<'h>,
    has_body: bool,
}

impl<'h> RequestHeaders<'h> {
    pub(crate) fn of(headers: &'h Headers) -> Self {
        let mut fields = Self::default();
        for (name, value) in headers.lines() {
            match name.len() {
                4 if is_name(name, b"Host") => fields.host.put(value),
                6 if is_name(name, b"Origin") => fields.origin.put(value),
                6 if is_name(name, b"Expect") => fields.expects_continue |= has_element(value, "100-continue"),
                7 if is_name(name, b"Upgrade") => fields.upgrades |= has_element(value, "websocket"),
                10 if is_name(name, b"Connection") => fields.connection_upgrades |= has_element(value, "Upgrade"),
                14 if is_name(name, b"Content-Length") => fields.has_body |= parse_digits(value) != Some(0),
                17 if is_name(name, b"Transfer-Encoding") => fields.has_body = true,
                17 if is_name(name, b"Sec-WebSocket-Key") => fields.key.put(value),
                21 if is_name(name, b"Sec-WebSocket-Version") => fields.version.put(value),
                22 if is_name(name, b"Sec-WebSocket-Protocol") => fields.subprotocols.put(value),
                24 if is_name(name, b"Sec-WebSocket-Extensions") => fields.extensions.put(value),
                _ => {}
            }
        }
        fields
    }

    /// Rejects a request with a body: the body could be read as frames, or, by a proxy, the frames as a body.
    /// `Content-Length: 0` is no body.
    pub(crate) fn check_no_body(&self) -> Result<(), HandshakeErrorKind> {
        if self.has_body { Err(HandshakeErrorKind::UnexpectedBody) } else { Ok(()) }
    }

    pub(crate) fn check_version(&self) -> Result<(), HandshakeErrorKind> {
        // RFC 6455 §4.2.1, 6: "A |Sec-WebSocket-Version| header field, with a value of 13"; §11.3.5: at most once.
        match self.version.get() {
            Ok(Some(b"13")) => Ok(()),
            // §4.2.2: "If this version does not match a version understood by the server, the server MUST abort [...]
            // and instead send an appropriate HTTP error code (such as 426 Upgrade Required) and a
            // |Sec-WebSocket-Version| header field".
            Ok(Some(value)) if parse_version(value).is_some() => Err(HandshakeErrorKind::UnsupportedVersion),
            _ => Err(HandshakeErrorKind::InvalidVersion),
        }
    }

    /// Checks the optional headers, and returns the offered subprotocols. `headers` must be those given to
    /// [`of`](Self::of).
    pub(crate) fn read_optional(&self, headers: &Headers) -> Result<Vec<String>, HandshakeErrorKind> {
        // RFC 6454 §7.3: at most one Origin.
        let origin = self.origin.get().map_err(|_| HandshakeErrorKind::InvalidOrigin)?;
        if origin.is_some_and(|origin| !origin.is_ascii() && core::str::from_utf8(origin).is_err()) {
            return Err(HandshakeErrorKind::InvalidOrigin);
        }
        let subprotocols = match self.subprotocols.get() {
            Ok(None) => Vec::new(),
            Ok(Some(list)) => parse_subprotocols([list])?,
            Err(Repeated) => parse_subprotocols(headers.get_all("Sec-WebSocket-Protocol"))?,
        };
        let extensions = match self.extensions.get() {
            Ok(None) => Ok((0, 0)),
            Ok(Some(list)) => count_extensions([list]),
            Err(Repeated) => count_extensions(headers.get_all("Sec-WebSocket-Extensions")),
        };
        extensions.map(|_| subprotocols).map_err(|_| HandshakeErrorKind::InvalidExtensions)
    }
}

/// RFC 6455 §4.1, 10: "The elements that comprise this value MUST be non-empty strings with characters in the range
/// U+0021 to U+007E not including separator characters [...] and MUST all be unique strings."
fn parse_subprotocols<'v>(lists: impl IntoIterator<Item = &'v [u8]>) -> Result<Vec<String>, HandshakeErrorKind> {
    let offered = parse_tokens(lists).map_err(|_| HandshakeErrorKind::InvalidSubprotocol)?;
    let mut seen = BTreeSet::new();
    if offered.iter().all(|name| seen.insert(name)) { Ok(offered) } else { Err(HandshakeErrorKind::InvalidSubprotocol) }
}

/// Whether `name` is `known`, compared without regard to case. Most requests spell names as RFC 6455 does, so the exact
/// comparison comes first.
fn is_name<const N: usize>(name: &[u8], known: &[u8; N]) -> bool {
    name == known || name.eq_ignore_ascii_case(known)
}

/// The value of a header, and whether the header is repeated.
#[derive(Debug, Default)]
pub(crate) struct SingleHeader<'h> {
    value: Option<&'h [u8]>,
    repeated: bool,
}

impl<'h> SingleHeader<'h> {
    fn put(&mut self, value: &'h [u8]) {
        self.repeated = self.value.replace(value).is_some();
    }

    /// The value: `Ok(None)` if the header is absent, `Err` if it is repeated.
    pub(crate) fn get(&self) -> Result<Option<&'h [u8]>, Repeated> {
        if self.repeated { Err(Repeated) } else { Ok(self.value) }
    }
}
