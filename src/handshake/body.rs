//! The body of a refusal, as far as HTTP says where it ends and as much as is kept of it. What it says is not looked
//! at.

use alloc::vec::Vec;

use super::head::{Headers, ResponseHead};
use super::header::{elements, parse_digits};
use crate::message::extend_up_to;

/// A body under way. Every decision falls at a fixed byte of it, however it is cut.
#[derive(Debug)]
pub(crate) struct Body {
    framing: Framing,
    bytes: Vec<u8>,
    limit: usize,
}

#[derive(Debug)]
enum Framing {
    /// So many bytes are to come.
    Length(usize),
    /// `next` is where the next chunk begins in the bytes, `scanned` how far its first line was looked for.
    Chunked { next: usize, scanned: usize },
}

impl Body {
    /// The body that the head announces, if one is worth waiting for (RFC 9112 §6.3): one that only ends with the
    /// connection is not, for the server may leave that open.
    pub(crate) fn of(head: &ResponseHead, limit: usize) -> Option<Self> {
        if matches!(head.status, 204 | 304) {
            return None;
        }
        let framing = if head.headers.has("Transfer-Encoding") {
            // It comes before any Content-Length.
            is_chunked(&head.headers).then_some(Framing::Chunked { next: 0, scanned: 0 })?
        } else {
            let length = head.headers.get_only("Content-Length").ok().flatten()?;
            Framing::Length(usize::try_from(parse_digits(length)?).unwrap_or(usize::MAX).min(limit))
        };
        Some(Self { framing, bytes: Vec::new(), limit })
    }

    /// How many more bytes could belong to it.
    pub(crate) fn wanted(&self) -> usize {
        let end = match self.framing {
            Framing::Length(length) => length,
            Framing::Chunked { .. } => self.limit,
        };
        end.saturating_sub(self.bytes.len())
    }

    /// Takes the next bytes, at most those [`wanted`](Self::wanted); returns whether the body is complete, or as long
    /// as it may get.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> bool {
        extend_up_to(self.bytes.len().saturating_add(self.wanted()), &mut self.bytes, bytes);
        self.wanted() == 0 || self.is_last_chunk()
    }

    /// What came, without the chunks' own lines.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let bytes = core::mem::take(&mut self.bytes);
        match self.framing {
            Framing::Length(_) => bytes,
            Framing::Chunked { .. } => dechunk(bytes),
        }
    }

    /// Looks at the chunks that are there, each once; returns whether the last is among them, or a malformed one.
    fn is_last_chunk(&mut self) -> bool {
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

/// RFC 9112 §6.3: chunked as the last coding delimits the body.
fn is_chunked(headers: &Headers) -> bool {
    let last = elements(headers.get_all("Transfer-Encoding")).last();
    last.is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked"))
}

struct Chunk {
    start: usize,
    size: usize,
    /// Where the chunk after it begins: behind the data and its line end.
    next: usize,
}

/// The chunk that begins here. Only its line is parsed, or an extension with a bare LF would reach into what follows,
/// as far as that has come.
fn chunk_at(bytes: &[u8], at: usize) -> Option<Chunk> {
    let line = bytes.get(at..)?.split_inclusive(|&byte| byte == b'\n').next()?;
    match httparse::parse_chunk_size(line) {
        Ok(httparse::Status::Complete((line, size))) => {
            let (start, size) = (at.saturating_add(line), usize::try_from(size).ok()?);
            Some(Chunk { start, size, next: start.saturating_add(size).saturating_add(2) })
        }
        _ => None,
    }
}

/// The data of all chunks, in the memory of the body.
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
