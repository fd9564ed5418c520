//! What must hold whatever the bytes are, as plain functions: fuzz targets and property tests run the same ones.

pub(crate) mod bytes;
mod codec;
#[cfg(feature = "deflate")]
pub mod deflate;
#[cfg(feature = "deflate")]
pub mod isolation;
pub mod opening;
pub mod pair;
pub mod parts;
pub mod peers;
#[cfg(feature = "deflate")]
pub mod rfc1951;
#[cfg(feature = "std")]
pub mod session;
mod side;
pub mod stream;
pub(crate) mod wire;

pub use codec::{frame, handshake};
#[cfg(feature = "deflate")]
pub use deflate::deflate;
#[cfg(feature = "deflate")]
pub use isolation::isolation;
pub use pair::operations;
#[cfg(feature = "std")]
pub use session::session;
pub use stream::{client, server};

#[cfg(feature = "deflate")]
use super::handshake;
use super::wired;

/// Panics if the property does not hold for the bytes.
pub type Property = fn(&[u8]);

/// Every property, under the name of its fuzz target and of its corpus.
pub const PROPERTIES: &[(&str, Property)] = &[
    ("server", server),
    ("client", client),
    ("operations", operations),
    ("handshake", handshake),
    ("frame", frame),
    #[cfg(feature = "std")]
    ("session", session),
    #[cfg(feature = "deflate")]
    ("deflate", deflate),
    #[cfg(feature = "deflate")]
    ("isolation", isolation),
];
