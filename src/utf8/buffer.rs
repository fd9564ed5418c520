//! Text that is validated once: [`unmask`] for a payload in place, [`TextBuffer`] for text that arrives in pieces.
//!
//! One of the three modules with unsafe code: `from_utf8_unchecked` for bytes that were validated. Instructions for a
//! received ASCII message of 16, 125 and 1,024 bytes, validated twice → once: 190 → 82, 293 → 166, 520 → 347, measured
//! with `valgrind --tool=callgrind`.

use alloc::string::String;
use alloc::vec::Vec;

use super::{self as utf8, Utf8Error};
use crate::error::OutOfMemory;
use crate::mask::kernel;

/// Unmasks a payload in place and returns it as text.
#[inline]
pub(crate) fn unmask(key: [u8; 4], payload: &mut [u8]) -> Result<&str, Utf8Error> {
    if kernel::mask(key, payload) {
        // SAFETY: the kernel found only ASCII bytes, which are UTF-8.
        return Ok(unsafe { str::from_utf8_unchecked(payload) });
    }
    utf8::check(payload)
}

/// Reassembles text from pieces that are cut anywhere.
#[derive(Debug, Default)]
pub(crate) struct TextBuffer {
    bytes: Vec<u8>,
    /// INVARIANT: the first `checked` bytes are UTF-8. At most three more follow, which begin a character.
    checked: usize,
}

impl TextBuffer {
    /// Empty; takes over the capacity of `spare`.
    pub(crate) fn with_capacity_of(mut spare: Vec<u8>) -> Self {
        spare.clear();
        Self { bytes: spare, checked: 0 }
    }

    /// Bytes, including those of an incomplete character.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes that fit without an allocation.
    #[inline]
    pub(crate) fn free(&self) -> usize {
        self.bytes.capacity() - self.bytes.len()
    }

    pub(crate) fn try_reserve_exact(&mut self, additional: usize) -> Result<(), OutOfMemory> {
        Ok(self.bytes.try_reserve_exact(additional)?)
    }

    /// Bytes of an incomplete character at the end.
    #[inline]
    pub(crate) fn pending(&self) -> usize {
        self.bytes.len() - self.checked
    }

    /// Bytes that the incomplete character still needs.
    pub(crate) fn lacking(&self) -> usize {
        utf8::lacking(self.bytes.get(self.checked..).unwrap_or_default())
    }

    /// Appends the next piece, unmasked with `key`. If it is not UTF-8, appends the part before the fault.
    #[inline]
    pub(crate) fn push(&mut self, key: [u8; 4], piece: &[u8]) -> Result<(), Utf8Error> {
        let pending = self.pending();
        if kernel::append_masked(key, piece, &mut self.bytes) && pending == 0 {
            self.checked = self.bytes.len();
            return Ok(());
        }
        self.check(pending)
    }

    /// Like [`append_with`]; validates the text as [`push`](Self::push) does.
    pub(crate) fn append_with(
        &mut self,
        spare: Vec<u8>,
        room: usize,
        write: impl FnOnce(&mut [u8]) -> usize,
    ) -> Result<(), Utf8Error> {
        let pending = self.pending();
        append_with(&mut self.bytes, spare, room, write);
        self.check(pending)
    }

    /// Returns the complete characters; an incomplete one stays.
    pub(crate) fn take(&mut self) -> Result<String, OutOfMemory> {
        if self.checked == 0 && !self.bytes.is_empty() {
            return Ok(String::new());
        }
        let (pending, mut unfinished) = (self.bytes.get(self.checked..).unwrap_or_default(), Vec::new());
        unfinished.try_reserve_exact(pending.len())?;
        unfinished.extend_from_slice(pending);
        let mut text = core::mem::replace(&mut self.bytes, unfinished);
        text.truncate(self.checked);
        self.checked = 0;
        // SAFETY: `text` has exactly the first `checked` bytes, which are UTF-8 by the invariant.
        Ok(unsafe { String::from_utf8_unchecked(text) })
    }

    /// Appends a short piece as [`push`](Self::push) does if it fits without an allocation, is ASCII, and no character
    /// is incomplete. Otherwise does nothing and returns false.
    #[inline]
    pub(crate) fn push_short(&mut self, key: [u8; 4], piece: &[u8]) -> bool {
        let is_plain = self.pending() == 0 && kernel::append_few(key, piece, &mut self.bytes, |seen| seen.is_ascii());
        if is_plain {
            self.checked = self.bytes.len();
        }
        is_plain
    }

    /// Appends a byte if it fits without an allocation, is ASCII, and no character is incomplete. Otherwise does nothing
    /// and returns false.
    #[inline]
    pub(crate) fn push_ascii(&mut self, byte: u8) -> bool {
        let is_plain = byte.is_ascii() && self.checked == self.bytes.len() && self.free() > 0;
        if is_plain {
            self.bytes.push(byte);
            self.checked = self.bytes.len();
        }
        is_plain
    }

    /// Appends a byte if it fits without an allocation and may follow. Otherwise does nothing and returns false.
    #[inline]
    pub(crate) fn push_byte(&mut self, byte: u8) -> bool {
        let begun = self.bytes.get(self.checked..).unwrap_or_default();
        let Some(is_complete) = utf8::completes(begun, byte).filter(|_| self.free() > 0) else { return false };
        self.bytes.push(byte);
        if is_complete {
            self.checked = self.bytes.len();
        }
        true
    }

    /// Validates the bytes after `checked`, of which the first `pending` were there before.
    #[inline(never)]
    fn check(&mut self, pending: usize) -> Result<(), Utf8Error> {
        let unchecked = self.bytes.get(self.checked..).unwrap_or_default();
        let complete = unchecked.len() - utf8::incomplete_tail(unchecked);
        let checked = utf8::check(unchecked.get(..complete).unwrap_or_default());
        self.checked += checked.map_or_else(|error| error.valid_up_to, str::len);
        checked.map(drop).map_err(|error| {
            self.bytes.truncate(self.checked);
            // The bytes that were there before are a valid beginning of a character.
            Utf8Error { index: error.index.saturating_sub(pending), ..error }
        })
    }
}

/// Lets `write` fill a buffer of `room` bytes after the end of `bytes`, and keeps the number of bytes that it returns.
///
/// An empty `bytes` takes over the memory of `spare`: its bytes need not be zeroed a second time.
pub(crate) fn append_with(bytes: &mut Vec<u8>, spare: Vec<u8>, room: usize, write: impl FnOnce(&mut [u8]) -> usize) {
    let len = bytes.len();
    if len == 0 && spare.capacity() > 0 {
        *bytes = spare;
    }
    bytes.resize(len.saturating_add(room), 0);
    let written = write(bytes.get_mut(len..).unwrap_or_default());
    bytes.truncate(len.saturating_add(written));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The safe equivalent of [`unmask`].
    fn unmask_and_check(key: [u8; 4], masked: &[u8]) -> (Vec<u8>, Option<String>) {
        let octets: Vec<u8> = masked.iter().zip(key.iter().cycle()).map(|(octet, key)| octet ^ key).collect();
        (octets.clone(), String::from_utf8(octets).ok())
    }

    proptest! {
        /// The returned text and the unmasked bytes are those of the safe equivalent.
        #[test]
        fn unmask_agrees_with_its_safe_equivalent(key: [u8; 4], text in "\\PC{0,40}", broken: Option<(usize, u8)>) {
            let mut masked = unmask_and_check(key, text.as_bytes()).0;
            if let Some((at, octet)) = broken && !masked.is_empty() {
                let at = at % masked.len();
                masked[at] = octet;
            }
            let (octets, expected) = unmask_and_check(key, &masked);
            let text = unmask(key, &mut masked).ok().map(String::from);
            prop_assert_eq!(text, expected);
            prop_assert_eq!(masked, octets);
        }

        /// Text pushed in any pieces, taken at any times, is the pushed text up to the fault.
        #[test]
        fn text_from_pieces_agrees_with_the_whole_text(
            key: [u8; 4],
            text in "\\PC{0,40}",
            broken: Option<(usize, u8)>,
            cuts: Vec<(u8, bool)>,
        ) {
            let mut octets = text.into_bytes();
            if let Some((at, octet)) = broken && !octets.is_empty() {
                let at = at % octets.len();
                octets[at] = octet;
            }
            let masked = unmask_and_check(key, &octets).0;
            let (mut buffer, mut taken, mut at) = (TextBuffer::default(), String::new(), 0);
            let mut fault = None;
            for (cut, take) in cuts.into_iter().chain([(u8::MAX, true)]) {
                let end = masked.len().min(at + usize::from(cut));
                if let Err(error) = buffer.push(crate::mask::rotate_key(key, at), &masked[at..end]) {
                    fault = Some(at + error.index);
                    taken.push_str(&buffer.take().unwrap());
                    break;
                }
                at = end;
                if take {
                    taken.push_str(&buffer.take().unwrap());
                }
            }
            let expected = utf8::check(&octets[..at.max(fault.map_or(0, |index| index + 1))]);
            match (fault, expected) {
                (Some(index), Err(error)) => prop_assert_eq!((index, taken.len()), (error.index, error.valid_up_to)),
                (None, Ok(text)) => prop_assert_eq!((taken.as_str(), buffer.pending()), (text, 0)),
                (None, Err(error)) => prop_assert_eq!((taken.len(), error.index), (error.valid_up_to, at)),
                (Some(index), Ok(text)) => prop_assert!(false, "{:?} refused at {}", text, index),
            }
        }
    }
}
