//! `/echo`: sends every message back, for trying things out from a browser's console. The text `close CODE REASON` has
//! it close with them. It asks for no login, so it has few [`PLACES`], none for longer than [`LONGEST`] unless the
//! command says so.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use websocket_proto::{CloseCode, Connection, Event, Input, Output};

/// How many at once; the next ones are refused.
pub(crate) const PLACES: usize = 100;

/// How long it may last, whatever is said.
pub(crate) const LONGEST: Duration = Duration::from_secs(10 * 60);

/// How long a peer may be silent, or take to read what it is sent.
const PATIENCE: Duration = Duration::from_secs(60);

/// Serves a connection that is open, and whose peer has sent so much ahead.
pub(crate) async fn serve(
    tcp: &mut TcpStream,
    mut ws: Connection,
    mut output: Output,
    ahead: Vec<u8>,
    longest: Duration,
) -> io::Result<()> {
    if let Ok(ended) = timeout(longest, drive(tcp, &mut ws, &mut output, ahead)).await {
        return ended;
    }
    ws.close(CloseCode::TIMEOUT, "the time is up", &mut output);
    timeout(PATIENCE, tcp.write_all_buf(&mut output)).await?
}

async fn drive(tcp: &mut TcpStream, ws: &mut Connection, output: &mut Output, ahead: Vec<u8>) -> io::Result<()> {
    let (mut buffer, mut is_at_end) = (ahead, false);
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
        // An error is an end of the stream like any other, and so is a silence.
        let read = timeout(PATIENCE, tcp.read(&mut buffer)).await.map_or(0, |read| read.unwrap_or(0));
        buffer.truncate(read);
        is_at_end = read == 0;
    }
}

fn echo(event: Event<'_>, ws: &mut Connection, output: &mut Output) {
    // What cannot be sent, because the connection is closing, has nowhere else to go.
    match event {
        Event::Text(text) => match close_asked(&text) {
            Some((code, reason)) => ws.close(code, reason, output),
            None => drop(ws.send_text(&text, output)),
        },
        Event::Binary(data) => drop(ws.send_binary(&data, output)),
        _ => {}
    }
}

fn close_asked(text: &str) -> Option<(CloseCode, &str)> {
    let (code, reason) = text.strip_prefix("close ")?.split_once(' ')?;
    Some((CloseCode::new(code.parse().ok()?)?, reason))
}
