//! Raw DEFLATE (RFC 1951) from zlib with a window of 32 KiB, as a peer compresses.

use zlib_rs::{Deflate, DeflateFlush};

/// The block that ends a flush, which RFC 7692 §7.2.1 removes from the end of a message.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// The data up to the end of an empty block: `count` repetitions decompress to `count` times the data.
pub fn sync_flushed(data: &[u8], level: i32) -> Vec<u8> {
    let mut deflate = Deflate::new(level, false, 15);
    let mut compressed = vec![0; data.len() + data.len() / 1000 + 100];
    deflate.compress(data, &mut compressed, DeflateFlush::SyncFlush).expect("the buffer is long enough");
    assert_eq!(deflate.total_in(), data.len() as u64);
    compressed.truncate(usize::try_from(deflate.total_out()).expect("it fits the buffer"));
    compressed
}

/// The payload of a compressed message, without the tail (RFC 7692 §7.2.1).
pub fn message(data: &[u8], level: i32) -> Vec<u8> {
    let mut message = sync_flushed(data, level);
    assert!(message.ends_with(&TAIL));
    message.truncate(message.len() - TAIL.len());
    message
}

/// The payload of a compressed message of zeros: about a thousandth of `len`.
pub fn bomb(len: usize) -> Vec<u8> {
    message(&vec![0; len], 9)
}
