//! [`Body`]: collects the body of a response that rejects, up to its end or a limit.

use alloc::vec::Vec;

use super::head::ResponseHead;
use crate::error::HandshakeErrorKind;
use crate::growth::extend_up_to;
use crate::handshake::grammar::{elements, parse_digits};
use crate::handshake::headers::Headers;

/// A body that is being received. The result is the same however it is split into pieces.
#[derive(Debug)]
pub(crate) struct Body {
    framing: Framing,
    bytes: Vec<u8>,
    limit: usize,
}

#[derive(Debug)]
enum Framing {
    /// The body's length, at most the limit.
    Length(usize),
    /// The body ends with the stream.
    UntilClose,
    /// The next chunk starts at `next` in the body; its first line does not end before `scanned`.
    Chunked { next: usize, scanned: usize },
}

impl Body {
    /// The body that follows the head of a final response; `None` if there is none. Applies the rules of RFC 9112 §6.3
    /// in their order.
    pub(crate) fn of(head: &ResponseHead, limit: usize) -> Result<Option<Self>, HandshakeErrorKind> {
        // 1: "any response with a 1xx (Informational), 204 (No Content), or 304 (Not Modified) status code is always
        // terminated by the first empty line after the header fields".
        if matches!(head.status, 204 | 304) {
            return Ok(None);
        }
        let framing = if head.headers.has("Transfer-Encoding") {
            // 3: "the Transfer-Encoding overrides the Content-Length". 4: "If a Transfer-Encoding header field is
            // present in a response and the chunked transfer coding is not the final encoding, the message body length
            // is determined by reading the connection until it is closed by the server."
            if is_chunked(&head.headers) { Framing::Chunked { next: 0, scanned: 0 } } else { Framing::UntilClose }
        } else if head.headers.has("Content-Length") {
            // 5: "the user agent MUST close the connection to the server and discard the received response."
            let length = content_length(&head.headers).ok_or(HandshakeErrorKind::InvalidContentLength)?;
            Framing::Length(usize::try_from(length).unwrap_or(usize::MAX).min(limit))
        } else {
            // 8: "the message body length is determined by the number of octets received prior to the server closing
            // the connection."
            Framing::UntilClose
        };
        Ok(Some(Self { framing, bytes: Vec::new(), limit }))
    }

    /// The most bytes that can still belong to the body.
    pub(crate) fn max_remaining(&self) -> usize {
        let end = match self.framing {
            Framing::Length(length) => length,
            Framing::UntilClose | Framing::Chunked { .. } => self.limit,
        };
        end.saturating_sub(self.bytes.len())
    }

    /// Appends the next bytes, at most [`max_remaining`](Self::max_remaining). Returns whether the body is complete or
    /// has reached its limit.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> bool {
        extend_up_to(self.bytes.len().saturating_add(self.max_remaining()), &mut self.bytes, bytes);
        self.max_remaining() == 0 || self.scan_chunks()
    }

    /// Takes the data received so far, without the framing of chunks.
    pub(crate) fn take_data(&mut self) -> Vec<u8> {
        let bytes = core::mem::take(&mut self.bytes);
        match self.framing {
            Framing::Length(_) | Framing::UntilClose => bytes,
            Framing::Chunked { .. } => dechunk(bytes),
        }
    }

    /// Scans the new bytes for chunks, each chunk once. Returns whether it found the last one, or a malformed one.
    fn scan_chunks(&mut self) -> bool {
        let Framing::Chunked { next, scanned } = &mut self.framing else { return false };
        loop {
            let line_end = |from: usize| self.bytes.get(from..)?.iter().position(|&byte| byte == b'\n');
            if line_end((*next).max(*scanned)).is_none() {
                *scanned = self.bytes.len();
                return false;
            }
            match chunk_at(&self.bytes, *next) {
                Some(chunk) if chunk.size > 0 => *next = chunk.next,
                _ => return true,
            }
        }
    }
}

/// Whether chunks delimit the body: the last transfer coding is chunked (RFC 9112 §6.3).
fn is_chunked(headers: &Headers) -> bool {
    let last = elements(headers.get_all("Transfer-Encoding")).last();
    last.is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked"))
}

/// The value of Content-Length. RFC 9112 §6.3, 5: it is invalid "unless the field value can be successfully parsed as a
/// comma-separated list (Section 5.6.1 of \[HTTP\]), all values in the list are valid, and all values in the list are
/// the same".
fn content_length(headers: &Headers) -> Option<u64> {
    let mut lengths = elements(headers.get_all("Content-Length")).map(parse_digits);
    let length = lengths.next()??;
    lengths.all(|other| other == Some(length)).then_some(length)
}

struct Chunk {
    start: usize,
    size: usize,
    /// The start of the next chunk: after this chunk's data and the line end that follows it.
    next: usize,
}

/// The chunk that starts at `at`. The parser gets only the chunk's first line: it would read a chunk extension with a
/// bare LF on into the next line, so the result would depend on how much of that has arrived.
fn chunk_at(bytes: &[u8], at: usize) -> Option<Chunk> {
    let line = bytes.get(at..)?.split_inclusive(|&byte| byte == b'\n').next()?;
    // RFC 9112 §7.1: a recipient "MUST anticipate potentially large hexadecimal numerals and prevent parsing errors due
    // to integer conversion overflows". The parser takes 16 digits: leading zeros are skipped, and a longer size is more
    // than any limit, whatever its last 16 digits are.
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let zeros = line.iter().take(digits).take_while(|&&byte| byte == b'0').count();
    let skipped = digits.saturating_sub((digits - zeros).clamp(1, 16));
    match httparse::parse_chunk_size(line.get(skipped..)?) {
        Ok(httparse::Status::Complete((len, size))) => {
            let start = at.saturating_add(skipped).saturating_add(len);
            let size = if digits - zeros > 16 { usize::MAX } else { usize::try_from(size).unwrap_or(usize::MAX) };
            Some(Chunk { start, size, next: start.saturating_add(size).saturating_add(2) })
        }
        _ => None,
    }
}

/// The data of all chunks, moved together in the memory of the body; the last chunk may be incomplete.
fn dechunk(mut bytes: Vec<u8>) -> Vec<u8> {
    let (mut len, mut at) = (0_usize, 0);
    while let Some(chunk) = chunk_at(&bytes, at).filter(|chunk| chunk.size > 0) {
        let end = chunk.start.saturating_add(chunk.size).min(bytes.len());
        // Each chunk begins after its own line, so its data moves towards the front.
        bytes.copy_within(chunk.start..end, len);
        len = len.saturating_add(end.saturating_sub(chunk.start));
        at = chunk.next;
    }
    bytes.truncate(len);
    bytes.shrink_to(len.saturating_mul(2));
    bytes
}
