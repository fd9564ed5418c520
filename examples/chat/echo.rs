//! `/echo`: sends every message back, for experiments in a browser's console. The text `close CODE REASON` makes it
//! close with that code and reason. It needs no login, so connections are limited to [`PLACES`], and each to
//! [`LONGEST`] or `--echo`.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use websocket_proto::{CloseCode, Connection, Event, Input, Output};

/// The limit on connections; further ones are rejected.
pub(crate) const PLACES: usize = 100;

/// The longest time for a connection.
pub(crate) const LONGEST: Duration = Duration::from_secs(10 * 60);

/// The longest time in which a peer sends nothing, or reads nothing.
const PATIENCE: Duration = Duration::from_secs(60);

/// Serves an open connection; `early_data` are the bytes read after the request.
pub(crate) async fn serve(
    tcp: &mut TcpStream,
    mut ws: Connection,
    mut output: Output,
    early_data: Vec<u8>,
    longest: Duration,
) -> io::Result<()> {
    if let Ok(ended) = timeout(longest, drive(tcp, &mut ws, &mut output, early_data)).await {
        return ended;
    }
    ws.close(CloseCode::TIMEOUT, "the time is up", &mut output);
    timeout(PATIENCE, tcp.write_all_buf(&mut output)).await?
}

async fn drive(tcp: &mut TcpStream, ws: &mut Connection, output: &mut Output, early_data: Vec<u8>) -> io::Result<()> {
    let (mut buffer, mut is_at_end) = (early_data, false);
    loop {
        let mut input = Input::new(&mut buffer);
        while let Some(event) = if is_at_end { ws.receive_eof() } else { ws.receive(&mut input, output) } {
            echo(event, ws, output);
        }
        timeout(PATIENCE, tcp.write_all_buf(output)).await??;
        if ws.is_closed() {
            return Ok(());
        }
        buffer.resize(4 << 10, 0);
        // Errors and silence count as the end of the stream.
        let read = timeout(PATIENCE, tcp.read(&mut buffer)).await.map_or(0, |read| read.unwrap_or(0));
        buffer.truncate(read);
        is_at_end = read == 0;
    }
}

fn echo(event: Event<'_>, ws: &mut Connection, output: &mut Output) {
    // While the connection is closing, a message cannot be sent and is dropped.
    match event {
        Event::Text(text) => match parse_close(&text) {
            Some((code, reason)) => ws.close(code, reason, output),
            None => drop(ws.send_text(&text, output)),
        },
        Event::Binary(data) => drop(ws.send_binary(&data, output)),
        _ => {}
    }
}

fn parse_close(text: &str) -> Option<(CloseCode, &str)> {
    let (code, reason) = text.strip_prefix("close ")?.split_once(' ')?;
    Some((CloseCode::new(code.parse().ok()?)?, reason))
}
