//! Echoes messages: the server of the README.
//!
//! `cargo run --example server -- 127.0.0.1:9001`

use tokio::net::{TcpListener, TcpStream};
use tokio_websocket_proto::{Error, accept};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".into());
    let listener = TcpListener::bind(address).await?;
    loop {
        let (tcp, peer) = listener.accept().await?;
        tokio::spawn(async move {
            if let Err(error) = echo(tcp).await {
                println!("{peer}: {error}");
            }
        });
    }
}

async fn echo(tcp: TcpStream) -> Result<(), Error> {
    let mut ws = accept(tcp).await?;
    while let Some(message) = ws.recv().await {
        let message = message?;
        if message.is_data() {
            ws.feed(message).await?;
        }
    }
    Ok(())
}
