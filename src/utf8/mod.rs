//! UTF-8 that arrives in pieces (RFC 6455 §8.1), rejected at the first byte that no valid text can have.

#[expect(unsafe_code, reason = "skips a second validation; the module has the figures")]
mod buffer;

pub(crate) use buffer::append_with;
pub(crate) use buffer::{TextBuffer, unmask};

/// Validates text that arrives in pieces cut anywhere. Keeps at most three bytes: those of an incomplete character.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Utf8Stream {
    /// The bytes of an incomplete character.
    partial: [u8; 3],
    len: u8,
}

/// The position of the first byte that makes text invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Utf8Error {
    /// The index in the piece of the first byte that no valid text can have there.
    pub(crate) index: usize,
    /// Bytes of complete characters before it, among the bytes that were validated together.
    pub(crate) valid_up_to: usize,
}

impl Utf8Stream {
    /// Validates the next piece.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<(), Utf8Error> {
        let started = self.finish_character(piece)?;
        let rest = piece.get(started..).unwrap_or_default();
        let (text, tail) = rest.split_at(rest.len() - incomplete_tail(rest));
        check(text).map_err(|error| Utf8Error { index: started + error.index, ..error })?;
        if let Some(partial) = self.partial.get_mut(..tail.len()) {
            partial.copy_from_slice(tail);
            self.len += tail.len() as u8;
        }
        Ok(())
    }

    /// Whether the text so far ends at the end of a character.
    pub(crate) fn is_complete(self) -> bool {
        self.len == 0
    }

    /// Completes the character that an earlier piece began; returns the number of bytes of this piece that belong to
    /// it.
    fn finish_character(&mut self, piece: &[u8]) -> Result<usize, Utf8Error> {
        for (index, byte) in piece.iter().enumerate() {
            if self.len == 0 {
                return Ok(index);
            }
            let begun = self.partial.get(..usize::from(self.len)).unwrap_or_default();
            if completes(begun, *byte).ok_or(Utf8Error { index, valid_up_to: 0 })? {
                self.len = 0;
            } else if let Some(next) = self.partial.get_mut(usize::from(self.len)) {
                *next = *byte;
                self.len += 1;
            }
        }
        Ok(piece.len())
    }
}

/// Validates text that ends at the end of a character.
#[inline]
pub(crate) fn check(bytes: &[u8]) -> Result<&str, Utf8Error> {
    // For shorter text, simdutf8 calls the standard library, too.
    let text = if bytes.len() < 64 { core::str::from_utf8(bytes).ok() } else { simdutf8::basic::from_utf8(bytes).ok() };
    text.map_or_else(|| find_fault(bytes), Ok)
}

/// Like [`check`]; if the bytes are not UTF-8, also returns the text before the fault.
#[inline]
pub(crate) fn check_prefix(bytes: &[u8]) -> (&str, Result<(), Utf8Error>) {
    match check(bytes) {
        Ok(text) => (text, Ok(())),
        Err(error) => (bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid()), Err(error)),
    }
}

/// Bytes at the end that validly begin a character without completing it: 0 to 3.
pub(crate) fn incomplete_tail(bytes: &[u8]) -> usize {
    let lead = bytes.iter().rev().take(3).position(|byte| byte & 0xc0 != 0x80);
    let Some(tail) = lead.and_then(|back| bytes.len().checked_sub(back + 1)).and_then(|at| bytes.get(at..)) else {
        return 0;
    };
    match *tail {
        [0..=0x7f, ..] => 0,
        _ => match core::str::from_utf8(tail) {
            Err(error) if error.valid_up_to() == 0 && error.error_len().is_none() => tail.len(),
            _ => 0,
        },
    }
}

/// Bytes that an incomplete character still needs, by its first byte: 0 to 3.
pub(crate) fn lacking(begun: &[u8]) -> usize {
    let len = match begun {
        [] => 0,
        [0..0xe0, ..] => 2,
        [0..0xf0, ..] => 3,
        _ => 4,
    };
    len - begun.len().min(len)
}

/// Whether `byte` completes the character that the bytes of `begun` validly begin. `None` if no valid text has it there.
#[inline]
pub(crate) fn completes(begun: &[u8], byte: u8) -> Option<bool> {
    // RFC 3629 §4: the range of the second byte depends on the first.
    match (begun, byte) {
        ([0xe0], ..=0x9f) | ([0xed], 0xa0..) | ([0xf0], ..=0x8f) | ([0xf4], 0x90..) => None,
        ([], ..=0x7f) | ([..=0xdf] | [..=0xef, _] | [_, _, _], 0x80..=0xbf) => Some(true),
        ([], 0xc2..=0xf4) | ([_] | [_, _], 0x80..=0xbf) => Some(false),
        _ => None,
    }
}

/// Finds the first byte that makes the text invalid.
#[cold]
fn find_fault(bytes: &[u8]) -> Result<&str, Utf8Error> {
    core::str::from_utf8(bytes).map_err(|error| {
        let valid_up_to = error.valid_up_to();
        // After a valid lead byte, the fault is the byte after the valid part of the sequence; if the text ends inside
        // the sequence, it is the position of the missing byte.
        let valid_lead = bytes.get(valid_up_to).is_some_and(|lead| matches!(lead, 0xc2..=0xf4));
        let valid_part = error.error_len().unwrap_or(bytes.len() - valid_up_to);
        Utf8Error { index: if valid_lead { valid_up_to + valid_part } else { valid_up_to }, valid_up_to }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn pushed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<bool, usize> {
        let (mut stream, mut before) = (Utf8Stream::default(), 0);
        for piece in pieces {
            stream.push(piece).map_err(|error| before + error.index)?;
            before += piece.len();
        }
        Ok(stream.is_complete())
    }

    fn byte_by_byte(sequence: &[u8]) -> Result<bool, usize> {
        let mut begin = 0;
        for (at, byte) in sequence.iter().enumerate() {
            if completes(&sequence[begin..at], *byte).ok_or(at)? {
                begin = at + 1;
            }
        }
        Ok(begin == sequence.len())
    }

    /// All sequences of one to four bytes from the edges of the UTF-8 table agree with the standard library, at every
    /// cut, and fail at the first byte that makes them invalid.
    #[test]
    fn agrees_with_the_standard_library_at_every_cut() {
        const EDGES: [u8; 21] = [
            0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xed, 0xef, 0xf0,
            0xf4, 0xf5, 0xff,
        ];
        let mut sequences: Vec<Vec<u8>> = alloc::vec![alloc::vec![]];
        for _ in 0..4 {
            let longer = sequences.iter().flat_map(|s| EDGES.map(|edge| [s.as_slice(), &[edge]].concat())).collect();
            sequences = longer;
            for sequence in &sequences {
                // The shortest prefix that no further byte can make valid ends with the expected byte.
                let invalid = (1..=sequence.len()).find(|&end| {
                    core::str::from_utf8(&sequence[..end]).is_err_and(|error| error.error_len().is_some())
                });
                let expected = match invalid {
                    Some(end) => Err(end - 1),
                    None => Ok(core::str::from_utf8(sequence).is_ok()),
                };
                assert_eq!(pushed(sequence.chunks(1)), expected, "{sequence:x?}");
                assert_eq!(byte_by_byte(sequence), expected, "{sequence:x?}");
                for cut in 0..=sequence.len() {
                    let (head, tail) = sequence.split_at(cut);
                    assert_eq!(pushed([head, tail]), expected, "{sequence:x?} cut at {cut}");
                }
                if let Err(index) = expected {
                    assert_eq!(check(sequence).map_err(|error| error.index), Err(index), "{sequence:x?}");
                }
            }
        }
    }
}
