//! The properties that the fuzz targets and the tests check, and the comparison with other implementations. README.md
//! says how to run them.

#[cfg(feature = "peers")]
pub mod differential;
#[path = "../../tests/shared/handshake.rs"]
pub mod handshake;
#[path = "../../tests/shared/harness/mod.rs"]
pub mod harness;
#[path = "../../tests/shared/wired.rs"]
pub mod wired;
