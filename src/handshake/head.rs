//! HTTP/1.1 heads, once they are whole: parsed by httparse. `scanner` finds where they end; what they say is judged
//! elsewhere.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::mem::MaybeUninit;
use core::ops::Range;

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
pub(super) const FEW_HEADERS: usize = 64;

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
