//! The server's side of the opening handshake, for peers that leave it to an HTTP server.
//!
//! An HTTP server would keep buffers of its own with each connection.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tungstenite::handshake::derive_accept_key;

use crate::error::Result;

const MOST: usize = 16 << 10;

/// Accepts the request of this program's client, which sends nothing after it before it has the answer.
pub async fn accept(tcp: &mut TcpStream) -> Result<()> {
    let mut request = Vec::with_capacity(1024);
    while !request.ends_with(b"\r\n\r\n") {
        if tcp.read_buf(&mut request).await? == 0 || request.len() > MOST {
            return Err("no request".into());
        }
    }
    let mut headers = str::from_utf8(&request)?.lines().filter_map(|line| line.split_once(':'));
    let key = headers.find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key")).ok_or("no key")?.1;
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        derive_accept_key(key.trim().as_bytes())
    );
    tcp.write_all(response.as_bytes()).await?;
    Ok(())
}
