//! The properties that the fuzz targets check, which the tests check as well.
//!
//! On a stable toolchain, keeping what is found apart from the committed corpus:
//! ```sh
//! mkdir -p target/corpus/server
//! RUSTC_BOOTSTRAP=1 cargo fuzz run server target/corpus/server corpus/server
//! ```

#[path = "../../tests/harness/mod.rs"]
pub mod harness;
