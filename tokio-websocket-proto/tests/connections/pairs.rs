//! Connections over a pipe in memory, and what they send.

use tokio::io::{DuplexStream, duplex};
use tokio::join;
use tokio_websocket_proto::{Client, Config, Deflate, Server, WebSocket};

/// A client and a server, connected by a pipe of `len` bytes in each direction.
pub(crate) async fn pair(len: usize, config: Config) -> (WebSocket<DuplexStream>, WebSocket<DuplexStream>) {
    let (ours, theirs) = duplex(len);
    let (client, server) = (Client::new().config(config.clone()), Server::new().config(config));
    let (client, server) = join!(client.handshake("ws://localhost/", ours), server.accept(theirs));
    (client.expect("a handshake").0, server.expect("a handshake"))
}

/// With compression, and messages of up to 4 MiB.
pub(crate) fn compressed() -> Config {
    Config::new().deflate(Deflate::new()).max_message_size(4 << 20)
}

/// Bytes that compression makes hardly shorter; the first four are `number`.
pub(crate) fn noise(number: u32, len: usize) -> Vec<u8> {
    let mut state = u64::from(number) + 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_be_bytes());
    }
    bytes.truncate(len);
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    bytes
}
