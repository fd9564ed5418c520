//! HTTP/1.1 heads: found in linear time however they are cut, bounded, then parsed once by httparse.

use alloc::vec::Vec;

use crate::config::Config;
use crate::error::HandshakeErrorKind;

/// The header lines of a request or response, in order.
///
/// Names keep their case and are found without regard to it; values are bytes, because HTTP allows any but control
/// characters in them.
///
/// # Examples
/// ```
/// use websocket_proto::handshake::parse_request;
///
/// let request = parse_request(b"GET / HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\n\
///     Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n\r\n")?;
/// assert_eq!(request.headers().get("host"), Some(b"example.com".as_slice()));
/// assert_eq!(request.headers().iter().count(), 5);
/// # Ok::<_, websocket_proto::HandshakeErrorKind>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// All names and values, end to end.
    bytes: Vec<u8>,
    /// Where each name and each value ends in `bytes`.
    ends: Vec<(usize, usize)>,
}

impl Headers {
    /// Every line's name and value, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let mut start = 0;
        self.ends.iter().filter_map(move |&(name_end, value_end)| {
            let line = (self.bytes.get(start..name_end)?, self.bytes.get(name_end..value_end)?);
            start = value_end;
            Some((core::str::from_utf8(line.0).ok()?, line.1))
        })
    }

    /// The value of the first header with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.get_all(name).next()
    }

    /// The values of all headers with this name, in order.
    pub fn get_all(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.iter().filter(move |line| line.0.eq_ignore_ascii_case(name)).map(|line| line.1)
    }

    /// The value of the only header with this name: `Ok(None)` if there is none, `Err` if there are several.
    pub(crate) fn get_only(&self, name: &str) -> Result<Option<&[u8]>, Repeated> {
        let mut values = self.get_all(name);
        let first = values.next();
        if values.next().is_some() { Err(Repeated) } else { Ok(first) }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub(super) fn push(&mut self, name: &str, value: &[u8]) {
        self.bytes.extend_from_slice(name.as_bytes());
        let name_end = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.ends.push((name_end, self.bytes.len()));
    }

    fn collect(lines: &[httparse::Header<'_>]) -> Self {
        let size = lines.iter().map(|line| line.name.len() + line.value.len()).sum();
        let mut headers = Self { bytes: Vec::with_capacity(size), ends: Vec::with_capacity(lines.len()) };
        for line in lines {
            headers.push(line.name, line.value);
        }
        headers
    }
}

/// A header that must stand alone does not.
#[derive(Debug)]
pub(crate) struct Repeated;

/// A request's first line, checked as far as HTTP goes, and its headers.
pub(crate) struct RequestHead<'h> {
    pub(crate) method: &'h str,
    pub(crate) target: &'h str,
    pub(crate) minor_version: u8,
    pub(crate) headers: Headers,
}

/// A response's status line and headers.
#[derive(Debug, Default)]
pub(crate) struct ResponseHead {
    pub(crate) status: u16,
    pub(crate) minor_version: u8,
    pub(crate) headers: Headers,
}

pub(crate) fn parse_request_head(head: &[u8]) -> Result<RequestHead<'_>, HandshakeErrorKind> {
    let mut lines = line_slots(head);
    let mut request = httparse::Request::new(&mut lines);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) | Err(_) => return Err(HandshakeErrorKind::MalformedHttp),
    }
    match (request.method, request.path, request.version) {
        (Some(method), Some(target), Some(minor_version)) => {
            Ok(RequestHead { method, target, minor_version, headers: Headers::collect(request.headers) })
        }
        _ => Err(HandshakeErrorKind::MalformedHttp),
    }
}

pub(crate) fn parse_response_head(head: &[u8]) -> Result<ResponseHead, HandshakeErrorKind> {
    let mut lines = line_slots(head);
    let mut response = httparse::Response::new(&mut lines);
    match response.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) | Err(_) => return Err(HandshakeErrorKind::MalformedHttp),
    }
    match (response.code, response.version) {
        (Some(status @ 100..), Some(minor_version)) => {
            Ok(ResponseHead { status, minor_version, headers: Headers::collect(response.headers) })
        }
        _ => Err(HandshakeErrorKind::MalformedHttp),
    }
}

/// As many slots as the head has lines, which the scanner has bounded.
fn line_slots(head: &[u8]) -> Vec<httparse::Header<'_>> {
    let lines = head.iter().filter(|&&byte| byte == b'\n').count();
    alloc::vec![httparse::EMPTY_HEADER; lines]
}

/// Looks for the end of a head, byte by byte and each byte once, and refuses what cannot be one at the first byte
/// that shows it: so a head costs linear time however it is cut, and fails at the same place.
#[derive(Debug, Default)]
pub(crate) struct HeadScanner {
    /// Bytes seen, over all heads on this connection.
    seen: u32,
    lines: u16,
    /// Whether an empty line came before the first, or none may.
    led: bool,
    /// Whether the line under way has a byte other than CR.
    in_line: bool,
    after_cr: bool,
}

/// Where a head was found wanting: after how many bytes of the piece.
pub(crate) struct BadHead {
    pub(crate) kind: HandshakeErrorKind,
    pub(crate) consumed: usize,
}

impl HeadScanner {
    /// `may_lead`: whether an empty line before the head is ignored, as a server does.
    pub(crate) fn new(may_lead: bool) -> Self {
        Self { led: !may_lead, ..Self::default() }
    }

    /// Takes the next piece; returns how many bytes of it belong to the head if the head ends in it.
    pub(crate) fn scan(&mut self, piece: &[u8], config: &Config) -> Result<Option<usize>, BadHead> {
        for (index, &byte) in piece.iter().enumerate() {
            let consumed = index + 1;
            let bad = |kind| BadHead { kind, consumed };
            self.seen = self.seen.saturating_add(1);
            if self.seen > config.max_head_size {
                return Err(bad(HandshakeErrorKind::HeadTooLarge));
            }
            match (self.after_cr, byte) {
                (true, b'\n') => {
                    self.after_cr = false;
                    // RFC 9112 §2.2: "a server that is expecting to receive and parse a request-line SHOULD ignore at
                    // least one empty line (CRLF) received prior to the request-line."
                    if !self.in_line && self.lines == 0 && !self.led {
                        self.led = true;
                        continue;
                    }
                    if !self.in_line {
                        return Ok(Some(consumed));
                    }
                    self.in_line = false;
                    self.lines = self.lines.saturating_add(1);
                    // The first line is no header.
                    if self.lines > config.max_headers.saturating_add(1) {
                        return Err(bad(HandshakeErrorKind::HeadTooLarge));
                    }
                }
                (false, b'\r') => self.after_cr = true,
                (false, b'\t' | 0x20..=0x7e | 0x80..) => self.in_line = true,
                // Control bytes, among them a bare CR and a bare LF. RFC 9112 §2.2 lets a recipient take a bare LF for
                // the end of a line; but what two parsers read differently smuggles requests.
                _ => return Err(bad(HandshakeErrorKind::MalformedHttp)),
            }
        }
        Ok(None)
    }

    /// Gets ready for the next head, of which there is one after an interim response.
    pub(crate) fn restart(&mut self) {
        *self = Self { seen: self.seen, ..Self::new(false) };
    }
}
