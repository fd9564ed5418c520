//! The input of the fuzz targets that compare this crate with others.

/// The bits of an input's first byte; the rest is the peer's bytes.
pub mod flag {
    /// A client receives.
    pub const CLIENT: u8 = 0x01;
    /// The application closes before anything is received.
    pub const CLOSE: u8 = 0x02;
    /// permessage-deflate is negotiated, if both crates have it.
    pub const DEFLATE: u8 = 0x04;
    /// No context takeover: each message is compressed on its own.
    pub const NO_CONTEXT: u8 = 0x08;
    /// The rest describes frames, as in the target `deflate`.
    pub const FRAMES: u8 = 0x10;
}
