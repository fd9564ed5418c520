//! tokio-tungstenite 0.30: `WebSocketStream`, with the configuration of tungstenite's own server.

use tokio::net::TcpStream;
use tokio_tungstenite::accept_async_with_config;
use tungstenite::Message;

use super::tungstenite::config;
use crate::error::Result;

pub async fn echo(tcp: TcpStream) -> Result<()> {
    let ws = accept_async_with_config(tcp, Some(config())).await?;
    super::echo::echo(ws, |message: &Message| message.is_text() || message.is_binary()).await
}
