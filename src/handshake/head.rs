//! HTTP/1.1 heads: found in linear time however they are cut, bounded, and parsed by httparse. What they say is judged
//! elsewhere.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::mem::MaybeUninit;
use core::ops::Range;

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
/// assert_eq!(request.headers().get_all("Cookie").count(), 0);
/// assert_eq!(request.headers().iter().count(), 5);
/// # Ok::<_, websocket_proto::HandshakeErrorKind>(())
/// ```
#[derive(Clone, Default)]
pub struct Headers {
    /// The lines as they came, or names and values end to end.
    bytes: Vec<u8>,
    lines: Vec<Line>,
}

/// Where a line's name and value lie: in no more than 4 GiB, which every head is limited to.
#[derive(Clone, Debug)]
struct Line {
    name: Range<u32>,
    value: Range<u32>,
}

impl Headers {
    /// Every line's name and value, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.lines().filter_map(|(name, value)| Some((core::str::from_utf8(name).ok()?, value)))
    }

    /// The value of the first header with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.get_all(name).next()
    }

    /// The values of all headers with this name, in order.
    pub fn get_all(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.lines().filter(move |line| line.0.eq_ignore_ascii_case(name.as_bytes())).map(|line| line.1)
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

    /// None yet, with room for some.
    pub(super) fn with_capacity(lines: usize, bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), lines: Vec::with_capacity(lines) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// No fewer bytes than all lines have in HTTP/1.1.
    pub(super) fn http1_len(&self) -> usize {
        self.bytes.len().saturating_add(self.lines.len().saturating_mul(b": \r\n".len()))
    }

    /// [`iter`](Self::iter), without a look at the characters of the names, which are tokens.
    pub(super) fn lines(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.lines.iter().filter_map(|line| Some((self.slice(&line.name)?, self.slice(&line.value)?)))
    }

    fn slice(&self, range: &Range<u32>) -> Option<&[u8]> {
        self.bytes.get(range.start as usize..range.end as usize)
    }

    /// Adds a line; nothing beyond 4 GiB, which no HTTP stack takes.
    pub(super) fn push(&mut self, name: &str, value: &[u8]) {
        let name_start = self.bytes.len();
        let value_start = name_start.saturating_add(name.len());
        let value_end = value_start.saturating_add(value.len());
        if u32::try_from(value_end).is_ok() {
            self.bytes.extend_from_slice(name.as_bytes());
            self.bytes.extend_from_slice(value);
            let name = name_start as u32..value_start as u32;
            self.lines.push(Line { name, value: value_start as u32..value_end as u32 });
        }
    }

    /// The lines that httparse has found in a head, from its first byte to its last; `None` if one ends in a bare LF,
    /// which httparse takes.
    fn of(head: &[u8], found: &[httparse::Header<'_>]) -> Option<Self> {
        // One copy for all of them.
        let start = found.first().map_or(head.len(), |first| offset_in(head, first.name.as_bytes()));
        let mut lines = Vec::with_capacity(found.len());
        for line in found {
            let at = offset_in(head, line.name.as_bytes());
            if head.get(at.wrapping_sub(2)..at) != Some(b"\r\n") {
                return None;
            }
            let range = |part| {
                let at = offset_in(head, part).wrapping_sub(start);
                at as u32..at.wrapping_add(part.len()) as u32
            };
            lines.push(Line { name: range(line.name.as_bytes()), value: range(line.value) });
        }
        head.ends_with(b"\r\n\r\n").then_some(Self { bytes: head.get(start..)?.into(), lines })
    }
}

/// Where a part of a slice begins in it.
fn offset_in(whole: &[u8], part: &[u8]) -> usize {
    part.as_ptr().addr().wrapping_sub(whole.as_ptr().addr())
}

impl PartialEq for Headers {
    fn eq(&self, other: &Self) -> bool {
        self.lines().eq(other.lines())
    }
}

impl Eq for Headers {}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(name, value)| (name, String::from_utf8_lossy(value)))).finish()
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

/// What a head says, or what is wrong with that, and the head's length.
pub(crate) type Found<T> = (usize, Result<T, HandshakeErrorKind>);

/// A place for a header that httparse finds.
type Slot<'h> = MaybeUninit<httparse::Header<'h>>;

/// Heads of up to so many headers, which is more than a browser sends, are parsed without an allocation.
const FEW_HEADERS: usize = 64;

/// The request head that these bytes begin with. `None` if none does that is whole, well-formed and of no more headers.
pub(crate) fn parse_request_head(bytes: &[u8], max_headers: usize) -> Option<(usize, RequestHead<'_>)> {
    let (mut few, mut many) = ([const { MaybeUninit::uninit() }; FEW_HEADERS], Vec::new());
    let mut request = httparse::Request::new(&mut []);
    let parsed = request.parse_with_uninit_headers(bytes, slots(max_headers, &mut few, &mut many));
    let Ok(httparse::Status::Complete(len)) = parsed else { return None };
    let (method, target, minor_version) = (request.method?, request.path?, request.version?);
    let head = bytes.get(..len)?;
    // httparse skips any number of empty lines, and ones that end in a bare LF.
    if !matches!(head.get(..offset_in(head, method.as_bytes()))?, b"" | b"\r\n") {
        return None;
    }
    Some((len, RequestHead { method, target, minor_version, headers: Headers::of(head, request.headers)? }))
}

/// The response head that these bytes begin with, as [`parse_request_head`].
pub(crate) fn parse_response_head(bytes: &[u8], max_headers: usize) -> Option<Found<ResponseHead>> {
    let (mut few, mut many) = ([const { MaybeUninit::uninit() }; FEW_HEADERS], Vec::new());
    let mut response = httparse::Response::new(&mut []);
    let slots = slots(max_headers, &mut few, &mut many);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut response, bytes, slots);
    let Ok(httparse::Status::Complete(len)) = parsed else { return None };
    let (status @ 100.., minor_version) = (response.code?, response.version?) else { return None };
    let head = bytes.get(..len).filter(|head| head.starts_with(b"HTTP/"))?;
    Some((len, Ok(ResponseHead { status, minor_version, headers: Headers::of(head, response.headers)? })))
}

fn slots<'s, 'h>(count: usize, few: &'s mut [Slot<'h>], many: &'s mut Vec<Slot<'h>>) -> &'s mut [Slot<'h>] {
    if let Some(few) = few.get_mut(..count) {
        return few;
    }
    many.resize(count, MaybeUninit::uninit());
    many
}

/// Looks for the end of a head, each byte once, and refuses what cannot be one at the first byte that shows it: so a
/// head costs linear time however it is cut, and fails at the same place.
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

    /// The shortcut for a head that lies in one piece, from its first byte to its last, and in which the scanner would
    /// find nothing wrong: it is parsed at once. `None` leaves everything as it is.
    pub(crate) fn skip<T>(
        &mut self,
        piece: &[u8],
        config: &Config,
        parse: impl FnOnce(&[u8], usize) -> Option<Found<T>>,
    ) -> Option<Found<T>> {
        let room = config.max_head_size.saturating_sub(self.seen) as usize;
        let found = parse(piece.get(..room).unwrap_or(piece), FEW_HEADERS.min(config.max_headers.into()))?;
        self.seen = self.seen.saturating_add(found.0 as u32);
        Some(found)
    }

    /// Takes the next piece; returns how many bytes of it belong to the head if the head ends in it.
    pub(crate) fn scan(&mut self, piece: &[u8], config: &Config) -> Result<Option<usize>, BadHead> {
        let mut consumed = 0;
        let room = config.max_head_size.saturating_sub(self.seen) as usize;
        let allowed = piece.get(..room).unwrap_or(piece);
        loop {
            consumed += self.skip_text(allowed.get(consumed..).unwrap_or_default());
            let Some(&byte) = allowed.get(consumed) else { break };
            consumed += 1;
            let bad = |kind| BadHead { kind, consumed };
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
                        self.seen = self.seen.saturating_add(consumed as u32);
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
                // Control bytes, among them a bare CR and a bare LF. RFC 9112 §2.2 lets a recipient take a bare LF for
                // the end of a line; but what two parsers read differently smuggles requests.
                _ => return Err(bad(HandshakeErrorKind::MalformedHttp)),
            }
        }
        self.seen = self.seen.saturating_add(consumed as u32);
        if piece.len() > consumed {
            return Err(BadHead { kind: HandshakeErrorKind::HeadTooLarge, consumed: consumed + 1 });
        }
        Ok(None)
    }

    /// How many bytes lie before the next control byte.
    fn skip_text(&mut self, bytes: &[u8]) -> usize {
        if self.after_cr {
            return 0;
        }
        let is_control = |&byte: &u8| matches!(byte, 0..=0x08 | 0x0a..=0x1f | 0x7f);
        let len = bytes.iter().position(is_control).unwrap_or(bytes.len());
        self.in_line |= len > 0;
        len
    }

    /// How many headers the head can have that was scanned.
    pub(crate) fn lines(&self) -> usize {
        self.lines.into()
    }

    /// Gets ready for the next head, of which there is one after an interim response.
    pub(crate) fn restart(&mut self) {
        *self = Self { seen: self.seen, ..Self::new(false) };
    }
}

#[cfg(test)]
mod tests {
    use super::{HeadScanner, Headers, parse_request_head, parse_response_head};
    use crate::config::Config;
    use alloc::borrow::ToOwned;
    use alloc::string::String;
    use alloc::vec::Vec;

    const REQUEST: &[u8] = b"\r\nGET /a?b HTTP/1.1\r\nHost: c\r\nEmpty:\r\nLast:\t d \r\n\r\nG";
    const RESPONSE: &[u8] = b"HTTP/1.1 101 Yes\r\nUpgrade: w\r\nEmpty:\r\n\r\n\x81";

    /// All there is in a head.
    type Said = (Vec<String>, u16, Headers);

    fn request(bytes: &[u8], max_headers: usize) -> Option<super::Found<Said>> {
        let (len, head) = parse_request_head(bytes, max_headers)?;
        Some((
            len,
            Ok(([head.method, head.target].map(ToOwned::to_owned).into(), head.minor_version.into(), head.headers)),
        ))
    }

    fn response(bytes: &[u8], max_headers: usize) -> Option<super::Found<Said>> {
        let (len, head) = parse_response_head(bytes, max_headers)?;
        Some((len, head.map(|head| (Vec::new(), head.status * 10 + u16::from(head.minor_version), head.headers))))
    }

    /// Every change of one byte.
    fn changed(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
        let others = b"\0\t\n\r !#:AZaz019/\x7f\x80\xff".iter();
        (0..bytes.len()).flat_map(move |at| {
            let with = move |replaced: usize, by: &[u8]| [&bytes[..at], by, &bytes[at + replaced..]].concat();
            let all = others.clone().flat_map(move |&byte| [with(1, &[byte]), with(0, &[byte])]);
            all.chain([with(1, b""), with(0, b"\r\n"), with(2.min(bytes.len() - at), b"")])
        })
    }

    /// The shortcut takes what the scanner takes, for the same head, and nothing else.
    #[test]
    fn the_shortcut_is_one() {
        type Parse = fn(&[u8], usize) -> Option<super::Found<Said>>;
        let parsers: [(&[u8], bool, Parse); 2] = [(REQUEST, true, request), (RESPONSE, false, response)];
        // As many bytes as the request has and one more, as many headers as it has; then too few of these.
        let configs = [(52, 3), (60, 2)].map(|(size, headers)| Config::new().max_head_size(size).max_headers(headers));
        for (head, may_lead, parse) in parsers {
            let mut taken = 0;
            // Of the changes of two bytes, some.
            let twice = |once: &Vec<u8>| changed(once).step_by(23).collect::<Vec<_>>();
            for head in changed(head).chain(changed(head).flat_map(|once| twice(&once))) {
                for config in &configs {
                    let mut scanner = HeadScanner::new(may_lead);
                    let end = scanner.scan(&head, config).ok().flatten();
                    let scanned = end.and_then(|end| parse(&head[..end], scanner.lines()));
                    let skipped = HeadScanner::new(may_lead).skip(&head, config, parse);
                    assert_eq!(skipped, scanned, "{}", head.escape_ascii());
                    taken += usize::from(skipped.is_some());
                }
            }
            assert!(taken > 1000, "{taken} were heads");
        }
    }

    /// A scanner takes a head in pieces as it takes it in one.
    #[test]
    fn pieces_are_one() {
        let config = Config::new().max_head_size(52).max_headers(3);
        for head in changed(REQUEST) {
            let mut whole = HeadScanner::new(true);
            let expected = whole.scan(&head, &config).map_err(|bad| (bad.kind, bad.consumed));
            let mut scanner = HeadScanner::new(true);
            let mut found = Ok(None);
            for (at, byte) in head.iter().enumerate() {
                match scanner.scan(&[*byte], &config) {
                    Ok(None) => {}
                    Ok(Some(len)) => found = Ok(Some(at + len)),
                    Err(bad) => found = Err((bad.kind, at + bad.consumed)),
                }
                if found != Ok(None) {
                    break;
                }
            }
            assert_eq!(found, expected, "{}", head.escape_ascii());
        }
    }
}
