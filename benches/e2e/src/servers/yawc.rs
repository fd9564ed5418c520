//! yawc 0.5: `WebSocket`, with the buffers of its own benchmarks: a read buffer of 128 KiB, writes at 64 KiB.
//!
//! UTF-8 is checked, because the others check it; by default it is not.

use futures_util::StreamExt;
use tokio::net::TcpStream;
use yawc::{Frame, OpCode, Options, Role, WebSocket, WebSocketError};

use super::upgrade;
use crate::contender::MAX_MESSAGE;
use crate::error::Result;

pub async fn echo(mut tcp: TcpStream) -> Result<()> {
    upgrade::accept(&mut tcp).await?;
    let options = Options::default()
        .with_limits(MAX_MESSAGE, MAX_MESSAGE)
        .with_read_buffer_capacity(128 << 10)
        .with_backpressure_boundary(64 << 10)
        .with_utf8();
    let ws = WebSocket::from_stream(tcp, Role::Server, options)?.map(Ok::<_, WebSocketError>);
    super::echo::echo(ws, |frame: &Frame| matches!(frame.opcode(), OpCode::Text | OpCode::Binary)).await
}
