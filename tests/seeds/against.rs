//! The corpora of the fuzz targets that compare implementations: the conformance vectors, and inputs for the intended
//! differences that these do not show.

use super::shared::harness::peers::flag::{CLIENT, CLOSE};
use super::{Corpus, hex, streams};

/// Seeds mostly for servers.
pub(crate) fn tungstenite() -> Corpus {
    let vectors = streams(false).into_iter().map(|(name, stream)| seed(&name, 0, &stream));
    let over = format!("017e012c{0}0000807e012c{0}", "61".repeat(300));
    let others: [(&str, u8, &str); 5] = [
        ("pings-while-closing", CLIENT | CLOSE, "8901618100890088020fa0"),
        ("code-while-closing", CLIENT | CLOSE, "880203ed"),
        ("code-and-reason", CLIENT, "880503e8627965"),
        ("text-over-the-limit", CLIENT, &over),
        ("reserved-bit-of-a-long-frame", CLIENT, "c17e0200"),
    ];
    vectors.chain(others.map(|(name, flags, stream)| seed(name, flags, &hex(stream)))).collect()
}

/// Seeds for servers with compression and for clients without.
#[cfg(feature = "deflate")]
pub(crate) fn sockudo() -> Corpus {
    use super::shared::harness::peers::flag::{DEFLATE, NO_CONTEXT};
    use super::unmask;

    let compressed = streams(true).into_iter().map(|(name, stream)| seed(&name, DEFLATE, &stream));
    let plain = streams(false).into_iter().filter(|(name, _)| !name.starts_with("close"));
    let plain = plain.filter_map(|(name, stream)| Some(seed(&name, CLIENT, &unmask(&stream)?)));
    let others = [
        ("pmd-cut-short", DEFLATE, "c103f248cdc107f248cdc9c90700"),
        ("pmd-nothing-behind-a-final-block", DEFLATE, "c107f348cdc9c90700"),
        ("pmd-window-from-before-a-final-block", DEFLATE, "c108f348cdc9c9070000c105f200110000"),
        ("pmd-empty-payload-before-another", DEFLATE, "c100c107f248cdc9c90700"),
        // 0xff, and 600 times "a".
        ("pmd-no-text-and-too-long", DEFLATE, "c109fa9f380a46010d0000"),
        ("pmd-no-context-takeover", DEFLATE | NO_CONTEXT, "c107f248cdc9c90700c105f200110000"),
        ("pmd-fault-before-ping", DEFLATE, "4102ffff8900"),
        ("close-and-pings", CLOSE, "8901618100890088020fa0"),
        ("code-and-reason", 0, "880503e8627965"),
        ("code-reserved", 0, "880203ec"),
        ("reserved-bit-of-a-long-frame", 0, "c17e0200"),
    ];
    let others = others.map(|(name, flags, stream)| seed(name, flags | CLIENT, &hex(stream)));
    compressed.chain(plain).chain(others).collect()
}

fn seed(name: &str, flags: u8, stream: &[u8]) -> (String, Vec<u8>) {
    (name.to_owned(), [&[flags], stream].concat())
}
