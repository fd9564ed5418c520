//! The properties that the fuzz targets and the tests check, and the comparison with other implementations. README.md
//! says how to run them.

#[cfg(feature = "peers")]
pub mod differential;
#[path = "../../tests/harness/mod.rs"]
pub mod harness;
