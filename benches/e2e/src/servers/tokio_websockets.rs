//! tokio-websockets 0.13: `WebSocketStream`. Messages are not split into frames, as in its own benchmarks.
//!
//! It writes each frame alone, and before it reads the next message: it does not collect echoes.

use tokio::net::TcpStream;
use tokio_websockets::{Config, Limits, Message, ServerBuilder};

use crate::contender::MAX_MESSAGE;
use crate::error::Result;

pub async fn echo(tcp: TcpStream) -> Result<()> {
    let server = ServerBuilder::new()
        .config(Config::default().frame_size(usize::MAX))
        .limits(Limits::default().max_payload_len(Some(MAX_MESSAGE)));
    let (_, ws) = server.accept(tcp).await?;
    super::echo::echo(ws, |message: &Message| message.is_text() || message.is_binary()).await
}
