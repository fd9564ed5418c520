//! The helpers of all test targets. A helper that two targets need is here and nowhere else; each target includes this
//! module as a whole. The fuzz crate includes `harness`, `handshake` and `wired`, which therefore use no other part of
//! it.
//!
//! | module | contents |
//! |---|---|
//! | `allocator` | a global allocator that counts, and fails on request |
//! | `client` | this crate's client on a blocking socket |
//! | `compression` | raw DEFLATE from zlib: messages, bombs |
//! | `data` | bytes: pseudorandom, from hex |
//! | `events` | constructors of events |
//! | `frames` | frames encoded and decoded |
//! | `handshake` | a valid request, and the response to a request |
//! | `harness` | the properties that fuzz targets and property tests check |
//! | `program` | the programs in `examples/`, as processes |
//! | `sockets` | TCP sockets with timeouts |
//! | `wired` | a server and a client connected in memory |
#![expect(dead_code, unreachable_pub, reason = "each target includes all helpers and uses some")]

pub mod allocator;
#[cfg(feature = "std")]
pub mod client;
#[cfg(feature = "deflate")]
pub mod compression;
pub mod data;
pub mod events;
pub mod frames;
pub mod handshake;
pub mod harness;
pub mod program;
pub mod sockets;
pub mod wired;
