//! Connections over a pipe in memory.

use tokio::io::{DuplexStream, duplex};
use tokio::join;
use tokio_websocket_proto::{Client, Config, Deflate, Server, SessionConfig, WebSocket};

/// A client and a server, connected by a pipe of `len` bytes in each direction.
pub async fn pair(len: usize, config: Config) -> (WebSocket<DuplexStream>, WebSocket<DuplexStream>) {
    pair_with(len, config, SessionConfig::new()).await
}

pub async fn pair_with(
    len: usize,
    config: Config,
    session: SessionConfig<std::time::Duration>,
) -> (WebSocket<DuplexStream>, WebSocket<DuplexStream>) {
    let (ours, theirs) = duplex(len);
    let (client, server) =
        (Client::new().config(config.clone()).session(session), Server::new().config(config).session(session));
    let (client, server) = join!(client.handshake("ws://localhost/", ours), server.accept(theirs));
    (client.expect("a handshake").0, server.expect("a handshake"))
}

/// With compression, and messages of up to 4 MiB.
pub fn compressed() -> Config {
    Config::new().deflate(Deflate::new()).max_message_size(4 << 20)
}

/// Bytes that hardly get shorter by compression; the first four are `number`.
pub fn noise(number: u32, len: usize) -> Vec<u8> {
    let mut state = u64::from(number) + 1;
    let mut bytes: Vec<u8> = (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect();
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    bytes
}
