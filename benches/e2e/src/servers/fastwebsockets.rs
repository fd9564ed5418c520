//! fastwebsockets 0.10: `FragmentCollector`, with the loop of its own example.
//!
//! It writes each frame alone: it cannot say that no further message is ready, so a caller cannot collect echoes.

use fastwebsockets::{FragmentCollector, OpCode, Role, WebSocket};
use tokio::net::TcpStream;
use tokio::task::unconstrained;

use super::upgrade;
use crate::contender::MAX_MESSAGE;
use crate::error::Result;

pub async fn echo(mut tcp: TcpStream) -> Result<()> {
    upgrade::accept(&mut tcp).await?;
    let mut ws = WebSocket::after_handshake(tcp, Role::Server);
    ws.set_max_message_size(MAX_MESSAGE);
    unconstrained(serve(FragmentCollector::new(ws))).await
}

async fn serve(mut ws: FragmentCollector<TcpStream>) -> Result<()> {
    loop {
        let frame = ws.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => ws.write_frame(frame).await?,
            _ => {}
        }
    }
}
