//! What must hold whatever the bytes are, as plain functions: fuzz targets and property tests run the same ones.

mod bytes;
mod codec;
pub mod pair;
mod side;
pub mod stream;
mod wire;

pub use codec::{frame, handshake};
pub use pair::operations;
pub use stream::{client, server};

/// Panics if the property does not hold for the bytes.
pub type Property = fn(&[u8]);

/// Every property, under the name of its fuzz target and of its corpus.
pub const PROPERTIES: [(&str, Property); 5] =
    [("server", server), ("client", client), ("operations", operations), ("handshake", handshake), ("frame", frame)];
