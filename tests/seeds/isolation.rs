//! The corpus of the fuzz target `isolation`: ways in which connections that share an output could affect each other.

use super::Corpus;
use super::shared::harness::isolation::operation::{
    BYTES, CLOSE, CONTROL, EOF, FRAGMENT, LONG, MEMBER, MORE, OPEN, PEER_CONTROL, PEER_MESSAGE, PREPARED, RECEIVE,
    RECYCLE, TEXT, TIME_OUT, UNCOMPRESSED, WRITE,
};
use super::shared::harness::isolation::peer_message::{BINARY, COMPRESSED, FRAME, PING};
use super::shared::harness::isolation::traits::{
    CLIENT, DEDICATED, DIRECT, EAGER, FEW_PONGS, OTHER_WINDOW, PARTS, SHARED,
};

/// The second connection, and the third.
const B: u8 = MEMBER;
const C: u8 = 2 * MEMBER;

#[rustfmt::skip]
pub(crate) fn isolation() -> Corpus {
    const ALL: u8 = 255;

    let seeds: [(&str, [u8; 3], &[u8]); 12] = [
        // Each has a message in progress, with the one decompressor.
        ("decompressors", [SHARED, SHARED | CLIENT, OTHER_WINDOW], &[
            PEER_MESSAGE, COMPRESSED, 9, 1, 2, 3, 1, 2, 3, 1, 2, 3, RECEIVE, 9,
            B | PEER_MESSAGE, COMPRESSED, 9, 1, 2, 3, 1, 2, 3, 1, 2, 3, B | RECEIVE, 5,
            C | PEER_MESSAGE, COMPRESSED | BINARY, 3, 1, 2, 3, C | RECEIVE, ALL,
            RECEIVE, ALL, B | RECEIVE, ALL,
        ]),
        // The same with the compressor.
        ("compressors", [SHARED, SHARED | CLIENT, OTHER_WINDOW], &[
            FRAGMENT | MORE, 6, 1, 2, 3, 1, 2, 3, B | FRAGMENT | MORE, 6, 1, 2, 3, 1, 2, 3,
            C | TEXT, 6, 1, 2, 3, 1, 2, 3, FRAGMENT, 6, 1, 2, 3, 1, 2, 3, B | FRAGMENT, 0, TEXT, 3, 1, 2, 3,
        ]),
        ("own-and-shared", [DEDICATED, SHARED, DEDICATED | CLIENT], &[
            TEXT, 3, 1, 2, 3, B | TEXT, 3, 1, 2, 3, C | TEXT, 3, 1, 2, 3, PREPARED, 3, 1, 2, 3, TEXT, 3, 1, 2, 3,
            PEER_MESSAGE, COMPRESSED, 3, 1, 2, 3, RECEIVE, ALL, PEER_MESSAGE, COMPRESSED, 3, 1, 2, 3, RECEIVE, ALL,
            C | UNCOMPRESSED, 3, 1, 2, 3, C | UNCOMPRESSED | MORE, 0,
        ]),
        ("in-parts", [SHARED | PARTS, SHARED | PARTS | CLIENT, SHARED], &[
            PEER_MESSAGE, COMPRESSED | FRAME, 60, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
            1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
            1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, RECEIVE | MORE, ALL,
            B | PEER_MESSAGE, COMPRESSED, 3, 1, 2, 3, B | RECEIVE, ALL, RECEIVE | MORE, ALL, C | TEXT, 0, RECEIVE, ALL,
        ]),
        // One peer's fault harms no other connection, and reveals no byte of another's message.
        ("fault-in-the-middle", [SHARED, SHARED, SHARED | CLIENT], &[
            PEER_CONTROL | LONG | MORE, 1, RECEIVE, ALL, B | PEER_MESSAGE, COMPRESSED, 3, 1, 2, 3, B | RECEIVE, ALL,
        ]),
        ("fault-reference-to-another", [SHARED, SHARED, SHARED | CLIENT], &[
            PEER_MESSAGE, COMPRESSED, 3, 1, 2, 3, RECEIVE, ALL,
            B | PEER_CONTROL | LONG | MORE, 0, B | RECEIVE, ALL, C | TEXT, 3, 1, 2, 3,
        ]),
        ("references", [0, EAGER, DIRECT], &[
            BYTES | LONG, 1, 9, PREPARED | LONG, 1, 9, TEXT, 0, BYTES | LONG | MORE, 1, 9, WRITE, 200, BYTES | LONG, 1, 9,
            B | BYTES | LONG, 1, 9, B | TEXT, 0, C | BYTES | LONG, 1, 9, C | TEXT, 0, C | BYTES | LONG, 1, 9,
        ]),
        ("pongs", [FEW_PONGS | DIRECT, FEW_PONGS | CLIENT, FEW_PONGS | EAGER], &[
            PEER_CONTROL, 20, RECEIVE, ALL, PEER_CONTROL, 20, RECEIVE, ALL, B | PEER_CONTROL, 9, B | RECEIVE, ALL,
            PREPARED, 0, PEER_CONTROL, 20, RECEIVE, ALL, WRITE, 30, PEER_CONTROL, 20, RECEIVE, ALL,
            PEER_CONTROL, 20, RECEIVE, ALL, C | PEER_CONTROL, 0, C | RECEIVE, ALL, CONTROL, 9, CONTROL | MORE, 125,
        ]),
        ("closes", [SHARED, CLIENT, DEDICATED | CLIENT], &[
            CLOSE, 15, 160, PEER_CONTROL | LONG, 3, 232, RECEIVE, ALL, B | PEER_CONTROL | LONG, 3, 232, B | RECEIVE, ALL,
            B | TEXT, 0, C | CLOSE | MORE, C | PEER_CONTROL, 3, C | RECEIVE, ALL, C | TEXT, 0, CONTROL, 0,
        ]),
        ("timeouts", [SHARED, CLIENT, SHARED | CLIENT], &[
            PEER_MESSAGE, COMPRESSED, 3, 1, 2, 3, RECEIVE, 5, TIME_OUT, 0, B | CLOSE | MORE, B | TIME_OUT, 1,
            C | TIME_OUT, 2, C | PEER_MESSAGE, COMPRESSED | PING | FRAME, 3, 1, 2, 3, C | RECEIVE, ALL, C | EOF,
        ]),
        ("another-in-its-place", [SHARED, SHARED, OTHER_WINDOW | CLIENT], &[
            FRAGMENT | MORE, 3, 1, 2, 3, PEER_MESSAGE, COMPRESSED, 3, 1, 2, 3, RECEIVE, 5, OPEN | MORE, OTHER_WINDOW,
            TEXT, 3, 1, 2, 3, PEER_MESSAGE, COMPRESSED, 3, 1, 2, 3, RECEIVE, ALL, B | TEXT, 3, 1, 2, 3, C | OPEN, 0,
        ]),
        ("recycled", [0, SHARED, PARTS], &[
            RECYCLE, 100, PEER_MESSAGE, FRAME, 3, 1, 2, 3, RECEIVE, 8, RECYCLE, 100, RECEIVE, ALL,
            B | RECYCLE, 100, B | PEER_MESSAGE, COMPRESSED, 3, 1, 2, 3, B | RECEIVE, 5, B | RECYCLE, 90, B | RECEIVE, ALL,
        ]),
    ];
    seeds.map(|(name, traits, operations)| (name.to_owned(), [&traits, operations].concat())).into()
}
