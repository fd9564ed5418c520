//! `client` with tokio-tungstenite, for comparison.

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::{Error, Message};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(line)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: client_tungstenite URL LINE");
        return Ok(());
    };
    let (mut ws, _response) = connect_async(url).await?;
    ws.send(Message::text(line)).await?;
    while let Some(message) = ws.next().await {
        if let Message::Text(text) = message? {
            println!("{text}");
            break;
        }
    }
    ws.close(None).await
}
