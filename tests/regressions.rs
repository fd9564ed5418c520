//! Inputs that once broke a property; each test is named after the bug.

mod shared;

use shared::harness;
use shared::harness::stream::input;

const CHUNKED: &[u8] = b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n";

/// The rejection's offset was the last byte of the read that had the last chunk, wherever that read ended, instead of
/// the end of the last chunk's line.
#[test]
fn offset_of_a_chunked_rejection_depended_on_the_cut() {
    for body in
        ["4\r\nbody\r\n0\r\n\r\n", "0\r\n\r\nmore", "no size\r\n", "4\r\nbody\r\n0;last=1\r\nTrailer: x\r\n\r\n"]
    {
        harness::client(&input(0, &[], &[CHUNKED, body.as_bytes()].concat()));
    }
}

/// An extension with a bare LF was malformed, or continued to the next line end, depending on whether that had arrived.
#[test]
fn chunk_extension_with_a_bare_line_feed_depended_on_the_cut() {
    for body in ["4;a\nb\r\nbody\r\n0\r\n\r\n", "4\r\nbody\r\n2;\n0\r\n\r\n", "1;\n\r\n"] {
        harness::client(&input(0, &[], &[CHUNKED, body.as_bytes()].concat()));
    }
}
