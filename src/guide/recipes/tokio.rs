use std::io::{self, ErrorKind};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy, sink, split};
use tokio::select;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use websocket_proto::{Connection, Event, Input, Output, Role, State, Timeouts, Timers};

/// While this many bytes wait to be written, no `news` are sent, and a server does not read from its client.
const MAX_WAITING: usize = 256 << 10;
/// Gives up on a peer that reads none of the waiting bytes for this long.
const STALL: Duration = Duration::from_secs(10);
/// The same limit after the connection's end, and the limit for the peer to close its side of the transport.
const GRACE: Duration = Duration::from_secs(2);

/// Drives a connection to its end, and closes the transport in order. `handle` gets every event, `Event::Closed`
/// exactly once. `news` are text messages from other tasks.
pub(crate) async fn drive(
    stream: impl AsyncRead + AsyncWrite,
    mut ws: Connection,
    mut output: Output,
    timeouts: Timeouts<Duration>,
    mut news: mpsc::Receiver<String>,
    mut handle: impl FnMut(Event<'_>, &mut Connection, &mut Output),
) {
    let (mut reader, mut writer) = split(stream);
    let (mut buffer, mut timers) = (vec![0; 16 << 10], Timers::new(Instant::now(), timeouts));
    // Whether bytes wait, here or in the transport; whether the transport was full; when it last accepted bytes, or
    // none waited.
    let (mut waits, mut is_full, mut progress) = (false, false, Instant::now());
    let (mut has_ended, mut is_over) = (false, false);
    loop {
        let now = Instant::now();
        timers.handle_timeout(now, &mut ws, &mut output);
        if !waits || is_over != ws.is_closed() {
            progress = now;
        }
        waits |= !output.is_empty();
        is_over = ws.is_closed();
        let give_up = progress + if is_over { GRACE } else { STALL };
        if (is_over && !waits) || now >= give_up {
            break;
        }
        // If both ends stopped reading, each would wait for the other. So a client never stops.
        let may_read = is_over || ws.role() == Role::Client || output.len() < MAX_WAITING;
        let may_send = ws.state() == State::Open && output.len() < MAX_WAITING;
        let due = timers.poll_timeout().into_iter().chain(waits.then_some(give_up)).min();
        select! {
            read = reader.read(&mut buffer), if may_read && !has_ended => {
                // Treats an error as the end of the stream.
                let n = read.unwrap_or(0);
                has_ended = n == 0;
                let mut input = Input::new(&mut buffer[..n]);
                while let Some(event) = if n == 0 { ws.receive_eof() } else { ws.receive(&mut input, &mut output) } {
                    handle(event, &mut ws, &mut output);
                }
            }
            written = write(&mut writer, &mut output), if waits => {
                if written.is_err() {
                    // The peer's last bytes may still be unread: reading goes on until the end of the stream.
                    output = Output::new();
                }
                progress = Instant::now();
                if is_full {
                    // The socket has room again only because the peer read bytes: the peer is alive.
                    timers.note_activity(progress);
                }
                waits = written.is_ok_and(|is_done| !is_done);
                is_full = !output.is_empty();
            }
            Some(item) = news.recv(), if may_send => drop(ws.send_text(&item, &mut output)),
            () = sleep_until(due.unwrap_or(now + STALL)) => {}
        }
    }
    // The application gets `Event::Closed` however the connection ended.
    while let Some(event) = ws.receive_eof() {
        handle(event, &mut ws, &mut output);
    }
    // RFC 6455 §7.1.1: closing with unread input would reset the connection, which could destroy the last bytes in
    // transit.
    let _ = timeout(GRACE, writer.shutdown()).await;
    let _ = timeout(GRACE, copy(&mut reader, &mut sink())).await;
}

/// Writes some of the output, or flushes if it is empty: TLS and HTTP/2 buffer bytes until they are flushed. Returns
/// whether everything is written and flushed. May be dropped at any time: bytes that are not written stay in the
/// output.
async fn write(writer: &mut (impl AsyncWrite + Unpin), output: &mut Output) -> io::Result<bool> {
    if output.is_empty() {
        return writer.flush().await.map(|()| true);
    }
    match writer.write_buf(output).await? {
        0 => Err(ErrorKind::WriteZero.into()),
        _ => Ok(false),
    }
}
