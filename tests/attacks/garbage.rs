//! Random bytes, and sessions in which a few bytes are changed.

use std::time::{Duration, Instant};

use websocket_proto::{CloseCode, Config, Deflate};

use crate::peer::{Peer, frame, header, offering_compression};
use crate::shared::data::Noise;
use crate::stage::{Report, Stage, Tally};

const REJECTIONS: [&str; 6] = ["400", "405", "414", "426", "431", "505"];
const FAULTS: [&str; 4] = ["1002", "1007", "1008", "1009"];

/// The most memory that the documentation allows for one connection.
const MAX_MEMORY: usize = Config::new().deflate(Deflate::new()).max_memory();

/// A hundred connections send random bytes, each replaced when it ends: from the first byte, after the handshake, or in
/// frames.
pub(crate) fn random_bytes(stage: &Stage) -> Report {
    let (at_once, seconds) = stage.scale((40, 2), (100, 60));
    let (mut noise, start) = (Noise(42), Instant::now());
    let (mut connections, mut sent, mut got) = (0, 0, Tally::default());
    let mut babblers: Vec<Option<(Peer, Babble)>> = (0..at_once).map(|_| None).collect();
    while start.elapsed() < Duration::from_secs(seconds) {
        for slot in &mut babblers {
            let (peer, babble) = slot.get_or_insert_with(|| {
                connections += 1;
                Babble::begin(stage, noise.below(4))
            });
            sent += peer.push(&babble.bytes(&mut noise));
            peer.poll();
            if peer.is_over() {
                let verdict = peer.verdict();
                assert!(babble.deserves(&verdict), "{babble:?}: {verdict}");
                got.add(verdict);
                *slot = None;
            }
        }
    }
    got.has("400");
    got.has("1002");
    Report { connections, at_once, sent, each: MAX_MEMORY, got }
}

#[derive(Clone, Copy, Debug)]
enum Babble {
    /// Random bytes from the first byte.
    Raw,
    Opened,
    Compressed,
    /// Valid headers, with an occasional invalid one, and random payloads.
    Framed,
}

impl Babble {
    fn begin(stage: &Stage, kind: usize) -> (Peer, Self) {
        match kind {
            0 => (Peer::connect(stage), Self::Raw),
            1 => (Peer::open(stage), Self::Opened),
            2 => (Peer::open_compressed(stage), Self::Compressed),
            _ => (Peer::open_compressed(stage), Self::Framed),
        }
    }

    fn bytes(self, noise: &mut Noise) -> Vec<u8> {
        let len = noise.below(2000);
        let payload = noise.bytes(len);
        match self {
            Self::Framed => {
                let firsts = [0x81, 0x82, 0xc1, 0xc2, 0x01, 0x02, 0x80, 0x00, 0x8a];
                let first = firsts[noise.below(firsts.len())];
                frame(first, if first == 0x8a { &payload[..len.min(125)] } else { &payload })
            }
            _ => payload,
        }
    }

    /// Random bytes may form a Close, which is answered with its code.
    fn deserves(self, verdict: &str) -> bool {
        let is_close = || verdict == "an empty Close" || verdict.parse::<u16>().is_ok_and(|code| code >= 1000);
        match self {
            Self::Raw => REJECTIONS.contains(&verdict),
            Self::Framed => FAULTS.contains(&verdict),
            Self::Opened | Self::Compressed => is_close(),
        }
    }
}

/// A session in which up to four bytes are changed, missing or doubled, followed by the end of the stream.
pub(crate) fn mutated_sessions(stage: &Stage) -> Report {
    let hello = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
    let parts = [frame(0x81, "€ hello".as_bytes()), frame(0xc1, hello), frame(0x02, &[7; 300]), frame(0x89, b"ping")];
    let rest = [frame(0x80, b"gment"), header(0x82, 70_000), vec![0; 70_000], frame(0x88, b"\x03\xe8bye")];
    let session = [offering_compression(), parts.concat(), rest.concat()].concat();
    let (connections, mut sent, mut got) = (stage.scale(300, 20_000), 0, Tally::default());
    let mut noise = Noise(42);
    for _ in 0..connections {
        let mut bytes = session.clone();
        for _ in 0..=noise.below(4) {
            // Not inside the long message, where a change has little effect.
            let at = noise.below(session.len() - 70_000);
            let at = if at < session.len() - 70_010 { at } else { bytes.len() - 1 - at % 10 };
            match noise.below(4) {
                0 => bytes[at] ^= 1 << noise.below(8),
                1 => bytes[at] = noise.below(256) as u8,
                2 => drop(bytes.remove(at)),
                _ => bytes.insert(at, bytes[at]),
            }
        }
        let mut peer = Peer::connect(stage);
        peer.send(&bytes);
        peer.half_close();
        peer.read_to_end();
        let verdict = peer.verdict();
        // Some changes are legal, in a name or in a payload; a truncated session gets no answer; and a Close is
        // answered with its code, which may have been changed.
        let is_known = REJECTIONS.contains(&&*verdict) || FAULTS.contains(&&*verdict) || verdict == "the end";
        let may_travel = |code| CloseCode::new(code).is_some();
        assert!(is_known || verdict == "an empty Close" || verdict.parse().is_ok_and(may_travel), "{verdict}");
        got.add(verdict);
        sent += peer.sent;
    }
    for verdict in ["400", "1002", "1007", "1000"] {
        got.has(verdict);
    }
    Report { connections, at_once: 1, sent, each: MAX_MEMORY, got }
}
