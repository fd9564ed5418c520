//! sockudo-ws 3.1: `WebSocketStream` on tokio. Without its timers, which would read a clock.

use sockudo_ws::{Config, Message, WebSocketStream, handshake};
use tokio::net::TcpStream;

use crate::contender::MAX_MESSAGE;
use crate::error::Result;

pub async fn echo(mut tcp: TcpStream) -> Result<()> {
    handshake::server_handshake(&mut tcp).await?;
    let config = Config::builder().max_payload_length(MAX_MESSAGE).auto_ping(false).idle_timeout(0).build();
    let ws = WebSocketStream::server(tcp, config);
    super::echo::echo(ws, |message| matches!(message, Message::Text(_) | Message::Binary(_))).await
}
