//! [`Role`]: server or client.

/// Which side of the connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Answers the handshake request, receives masked frames, sends unmasked ones.
    Server,
    /// Sends the handshake request and masked frames, receives unmasked ones.
    Client,
}
