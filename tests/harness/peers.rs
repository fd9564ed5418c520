//! The input of the fuzz targets that compare this crate with others.

/// What the first byte of an input chooses; what the peer sends is the rest.
pub mod flag {
    /// A client receives.
    pub const CLIENT: u8 = 0x01;
    /// The application closes before anything is received.
    pub const CLOSE: u8 = 0x02;
    /// permessage-deflate is agreed, where both have it.
    pub const DEFLATE: u8 = 0x04;
    /// Each message is compressed by itself.
    pub const NO_CONTEXT: u8 = 0x08;
    /// The rest describes frames, as in the target `deflate`.
    pub const FRAMES: u8 = 0x10;
}
