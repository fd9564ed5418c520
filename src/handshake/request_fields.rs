//! The headers that decide about an opening request, over any HTTP, found in one pass. The request line and
//! pseudo-headers are not looked at.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use super::head::{Headers, Repeated};
use super::header::{check_extensions, has_element, parse_tokens, parse_version};
use crate::error::HandshakeErrorKind;

#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is the answer to a question of its own")]
pub(super) struct RequestFields<'h> {
    pub(super) host: Only<'h>,
    pub(super) key: Only<'h>,
    /// Whether the Upgrade headers have `websocket` among their elements.
    pub(super) upgrades: bool,
    /// Whether the Connection headers have `Upgrade` among their elements.
    pub(super) connection_upgrades: bool,
    /// Whether the Expect headers have `100-continue` among their elements. RFC 9110 §10.1.1 leaves it to the server
    /// whether it answers others with 417; we ignore them.
    pub(super) expects_continue: bool,
    version: Only<'h>,
    origin: Only<'h>,
    subprotocols: Only<'h>,
    extensions: Only<'h>,
    has_body: bool,
}

impl<'h> RequestFields<'h> {
    pub(super) fn of(headers: &'h Headers) -> Self {
        let mut fields = Self::default();
        for (name, value) in headers.lines() {
            match name.len() {
                4 if is_name(name, b"Host") => fields.host.put(value),
                6 if is_name(name, b"Origin") => fields.origin.put(value),
                6 if is_name(name, b"Expect") => fields.expects_continue |= has_element(value, "100-continue"),
                7 if is_name(name, b"Upgrade") => fields.upgrades |= has_element(value, "websocket"),
                10 if is_name(name, b"Connection") => fields.connection_upgrades |= has_element(value, "Upgrade"),
                14 if is_name(name, b"Content-Length") => fields.has_body |= value != b"0",
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

    /// A body would be read as frames, or worse, the frames as a body. `Content-Length: 0` announces none.
    pub(super) fn check_no_body(&self) -> Result<(), HandshakeErrorKind> {
        if self.has_body { Err(HandshakeErrorKind::UnexpectedBody) } else { Ok(()) }
    }

    pub(super) fn check_version(&self) -> Result<(), HandshakeErrorKind> {
        // RFC 6455 §4.2.1, 6: "A |Sec-WebSocket-Version| header field, with a value of 13"; §11.3.5: not more than
        // once.
        match self.version.get() {
            Ok(Some(b"13")) => Ok(()),
            // §4.2.2: "If this version does not match a version understood by the server, the server MUST abort [...]
            // and instead send an appropriate HTTP error code (such as 426 Upgrade Required) and a
            // |Sec-WebSocket-Version| header field".
            Ok(Some(value)) if parse_version(value).is_some() => Err(HandshakeErrorKind::UnsupportedVersion),
            _ => Err(HandshakeErrorKind::InvalidVersion),
        }
    }

    /// Checks what there need not be, and returns the subprotocols that are offered.
    pub(super) fn read_optional(&self, headers: &Headers) -> Result<Vec<String>, HandshakeErrorKind> {
        // RFC 6454 §7.3: at most one Origin. What is absent here, is absent.
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
            Ok(None) => Ok(()),
            Ok(Some(list)) => check_extensions([list]),
            Err(Repeated) => check_extensions(headers.get_all("Sec-WebSocket-Extensions")),
        };
        extensions.map(|()| subprotocols).map_err(|_| HandshakeErrorKind::InvalidExtensions)
    }
}

/// RFC 6455 §4.1, 10: "The elements that comprise this value MUST be non-empty strings with characters in the range
/// U+0021 to U+007E not including separator characters [...] and MUST all be unique strings."
fn parse_subprotocols<'v>(lists: impl IntoIterator<Item = &'v [u8]>) -> Result<Vec<String>, HandshakeErrorKind> {
    let offered = parse_tokens(lists).map_err(|_| HandshakeErrorKind::InvalidSubprotocol)?;
    let mut seen = BTreeSet::new();
    if offered.iter().all(|name| seen.insert(name)) { Ok(offered) } else { Err(HandshakeErrorKind::InvalidSubprotocol) }
}

/// Whether this is the known name: as RFC 6455 spells it in most requests, in any case in the others.
fn is_name<const N: usize>(name: &[u8], known: &[u8; N]) -> bool {
    name == known || name.eq_ignore_ascii_case(known)
}

/// A header that must stand alone, or may.
#[derive(Debug, Default)]
pub(super) struct Only<'h> {
    value: Option<&'h [u8]>,
    repeated: bool,
}

impl<'h> Only<'h> {
    fn put(&mut self, value: &'h [u8]) {
        self.repeated = self.value.replace(value).is_some();
    }

    /// Its value: `Ok(None)` if it is not there, `Err` if it is there several times.
    pub(super) fn get(&self) -> Result<Option<&'h [u8]>, Repeated> {
        if self.repeated { Err(Repeated) } else { Ok(self.value) }
    }
}
