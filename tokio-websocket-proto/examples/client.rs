//! Sends a line, and prints what comes back: the client of the README.
//!
//! `cargo run --example client -- ws://127.0.0.1:9001/ hello`

use tokio_websocket_proto::{CloseCode, Error, Message, connect};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(line)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: client URL LINE");
        return Ok(());
    };
    let (mut ws, _response) = connect(url).await?;
    ws.send(line).await?;
    while let Some(message) = ws.recv().await {
        if let Message::Text(text) = message? {
            println!("{text}");
            break;
        }
    }
    ws.close(CloseCode::NORMAL_CLOSURE, "").await
}
