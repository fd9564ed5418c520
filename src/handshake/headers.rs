//! [`Headers`]: the header lines of a request or response.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

/// The header lines of a request or response, in order.
///
/// Names keep their case, and lookups ignore it. Values are bytes: HTTP allows every byte in them except control
/// characters.
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
    /// The lines as received, or the names and values without anything in between.
    bytes: Vec<u8>,
    lines: Vec<Line>,
}

/// The ranges of a line's name and value in `bytes`. A head is at most 4 GiB, so 32 bits suffice.
#[derive(Clone, Debug)]
struct Line {
    name: Range<u32>,
    value: Range<u32>,
}

impl Headers {
    /// The name and value of every line, in order.
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

    /// The value of a header that may occur once: `Ok(None)` if it is absent, `Err` if it is repeated.
    pub(crate) fn get_only(&self, name: &str) -> Result<Option<&[u8]>, Repeated> {
        let mut values = self.get_all(name);
        let first = values.next();
        if values.next().is_some() { Err(Repeated) } else { Ok(first) }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// No lines, with capacity for `lines` lines of `bytes` bytes in all.
    pub(crate) fn with_capacity(lines: usize, bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), lines: Vec::with_capacity(lines) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// At least the bytes that all lines have in HTTP/1.1.
    pub(crate) fn http1_len(&self) -> usize {
        self.bytes.len().saturating_add(self.lines.len().saturating_mul(b": \r\n".len()))
    }

    /// Like [`iter`](Self::iter), without converting the names to text.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.lines.iter().filter_map(|line| Some((self.slice(&line.name)?, self.slice(&line.value)?)))
    }

    fn slice(&self, range: &Range<u32>) -> Option<&[u8]> {
        self.bytes.get(range.start as usize..range.end as usize)
    }

    /// Adds a line. Beyond 4 GiB, which no HTTP stack accepts, the line is dropped.
    pub(crate) fn push(&mut self, name: &str, value: &[u8]) {
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

    /// Headers whose names and values are at these ranges of `bytes`.
    pub(crate) fn from_parts(bytes: Vec<u8>, lines: impl Iterator<Item = (Range<u32>, Range<u32>)>) -> Self {
        Self { bytes, lines: lines.map(|(name, value)| Line { name, value }).collect() }
    }
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

/// The error for a repeated header that may occur only once.
#[derive(Debug)]
pub(crate) struct Repeated;
