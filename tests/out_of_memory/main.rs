//! Allocation failures. Without memory to compress, nothing is sent and the connection continues; without memory to
//! receive a message, the connection ends with an error. Each allocation fails in turn, alone and together with all
//! later ones.

mod receiving;
mod sending;
#[path = "../shared/mod.rs"]
mod shared;

use websocket_proto::{Config, Connection, Deflate, DeflateParameter, Event, Output, Role};

use shared::allocator::{Allocator, Failing};
use shared::wired::{self, drain, receive};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

/// How connections keep their compressors: each its own, with or without the context of earlier messages, or all of
/// them the same pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Takeover,
    NoTakeover,
    Shared,
}

const MODES: [Mode; 3] = [Mode::Takeover, Mode::NoTakeover, Mode::Shared];

impl Mode {
    fn deflate(self) -> Deflate {
        // Small, because there are many.
        let deflate = Deflate::new().threshold(0).window_bits(9).memory_level(1);
        match self {
            Self::Takeover => deflate,
            Self::NoTakeover => deflate
                .server_no_context_takeover(DeflateParameter::Require)
                .client_no_context_takeover(DeflateParameter::Require),
            Self::Shared => deflate.shared(),
        }
    }
}

/// Both ends of an open connection: the end with this role, whose allocations fail, and its peer.
fn open(role: Role, deflate: &Deflate, config: &Config) -> [Connection; 2] {
    let config = config.clone().deflate(deflate.clone());
    let (mut own, mut peer) = wired::open(role, config.clone(), config);
    for ws in [&mut own, &mut peer] {
        assert!(ws.uses_deflate());
        // Frees the memory of the opening handshake.
        assert_eq!(receive(ws, b"", &mut Output::new()), []);
    }
    [own, peer]
}

/// Smaller than every compressor and decompressor.
const CODEC: usize = 40 << 10;

/// Asserts that a compressed message passes from one end to the other.
#[track_caller]
fn assert_passes(text: &str, [from, to]: [&mut Connection; 2], outputs: [&mut Output; 2]) {
    let [out, back] = outputs;
    from.send_text(text, out).unwrap();
    let bytes = drain(out);
    assert_eq!(bytes[0], 0xc1, "compressed");
    assert_eq!(receive(to, &bytes, back), [Event::Text(text.into())]);
}

/// Runs `act` once for each of its allocations, which fails, until none is left to fail. `act` plans the failure itself
/// when everything is ready, and checks the result.
fn at_each_allocation(act: impl Fn(Failing) -> bool) -> usize {
    at_first_allocations(usize::MAX, act)
}

/// As [`at_each_allocation`], for the first `most` of them.
fn at_first_allocations(most: usize, act: impl Fn(Failing) -> bool) -> usize {
    let mut failures = 0;
    for plan in [Failing::Once, Failing::From] {
        for index in 0.. {
            assert!(index < 1000, "it never succeeds");
            if index == most || !act(plan(index)) {
                break;
            }
            failures += 1;
        }
    }
    failures
}

/// Text that compresses well, with characters of several bytes.
fn verse() -> String {
    "Ringel, Ringel, Röslein – schöne Aprikösen. ".repeat(14)
}
