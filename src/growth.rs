//! How far a buffer grows that collects bytes from a peer: with the bytes that arrived, never by an announced length
//! alone.

use alloc::vec::Vec;

/// Appends bytes to a buffer that has at most `limit` bytes in the end, and grows to no more than that.
pub(crate) fn extend_up_to(limit: usize, buffer: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.len() > buffer.capacity() - buffer.len() {
        let announced = limit.saturating_sub(buffer.len()).saturating_sub(bytes.len());
        buffer.reserve_exact(growth(buffer.len(), bytes.len(), announced as u64));
    }
    buffer.extend_from_slice(bytes);
}

/// The bytes to reserve in a full buffer of `len` bytes for `arrived` bytes: enough, and up to twice the sum, but no
/// more than the `announced` bytes after them need.
///
/// While a buffer grows, the old one and the new one exist together. So the last growth, to all announced bytes, starts
/// from no more than half of them.
pub(crate) fn growth(len: usize, arrived: usize, announced: u64) -> usize {
    let needed = arrived.saturating_add(len);
    let expected = needed.saturating_add(usize::try_from(announced).unwrap_or(usize::MAX));
    let doubled = needed.saturating_add(needed).min(expected);
    let half = expected / 2;
    let target = if needed <= half && doubled > half { half } else { doubled };
    target.saturating_sub(len)
}
