//! [`Peer`]: the other end of a transport.

use super::crowd::Kind;

/// A peer, which keeps no byte: it knows how far it is in the script of its kind.
pub struct Peer {
    pub kind: Kind,
    /// Whether its transport has a pong for the server to read.
    pub has_pong: bool,
    /// How many of its messages its transport has for the server to read.
    pub unread: u8,
    /// The number of messages that the server has read.
    pub sent: u16,
    /// The number of bytes that it has received, without pings.
    pub received: u32,
    /// The number of pings that it has received; also the payload of the last one.
    pub pings: u32,
    /// The number of bytes that its transport accepts.
    pub room: u32,
}

impl Peer {
    /// A transport that accepts any number of bytes.
    pub const EMPTY: u32 = u32::MAX;

    pub fn new(kind: Kind) -> Self {
        Self { kind, has_pong: false, unread: 0, sent: 0, received: 0, pings: 0, room: Self::EMPTY }
    }

    /// The server's next ping, as on the wire: its payload is the number of pings so far.
    pub fn next_ping(&self) -> [u8; 10] {
        let mut frame = [0x89, 8, 0, 0, 0, 0, 0, 0, 0, 0];
        frame[2..].copy_from_slice(&u64::from(self.pings + 1).to_be_bytes());
        frame
    }

    /// The answer to the last ping, as on the wire.
    pub fn pong(&self) -> [u8; 14] {
        const KEY: [u8; 4] = [1, 2, 3, 4];
        let mut frame = [0x8a, 0x88, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0];
        let payload = u64::from(self.pings).to_be_bytes();
        for (index, byte) in payload.iter().enumerate() {
            frame[6 + index] = byte ^ KEY[index % 4];
        }
        frame
    }
}
