use std::io::{self, ErrorKind};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy, sink, split};
use tokio::select;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use websocket_proto::{Connection, Event, Input, Output, Role, State, Timeouts, Timers};

/// While this many bytes wait, nothing is sent, and a server does not read from its client.
const MAX_WAITING: usize = 256 << 10;
/// A peer that takes none of the waiting bytes for this long is given up.
const STALL: Duration = Duration::from_secs(10);
/// The same once the connection is over, and how long the peer may then take to close its side.
const GRACE: Duration = Duration::from_secs(2);

/// Drives a connection to its end, and the transport to an orderly one. `handle` gets every event, `Event::Closed`
/// exactly once.
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
    // Whether bytes wait, here or in the transport; whether it was full; when it last took some, or none waited.
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
        // Were both ends to stop reading, each would wait for the other. So a client never does.
        let may_read = is_over || ws.role() == Role::Client || output.len() < MAX_WAITING;
        let may_send = ws.state() == State::Open && output.len() < MAX_WAITING;
        let due = timers.poll_timeout().into_iter().chain(waits.then_some(give_up)).min();
        select! {
            read = reader.read(&mut buffer), if may_read && !has_ended => {
                // An error is an end of the stream like any other.
                let n = read.unwrap_or(0);
                has_ended = n == 0;
                let mut input = Input::new(&mut buffer[..n]);
                while let Some(event) = if n == 0 { ws.receive_eof() } else { ws.receive(&mut input, &mut output) } {
                    handle(event, &mut ws, &mut output);
                }
            }
            written = write(&mut writer, &mut output), if waits => {
                if written.is_err() {
                    // What the peer said last may still be unread: the next read tells, and then that it has ended.
                    output = Output::new();
                }
                progress = Instant::now();
                if is_full {
                    // It has room again only because the peer took something: the peer is alive.
                    timers.note_activity(progress);
                }
                waits = written.is_ok_and(|is_done| !is_done);
                is_full = !output.is_empty();
            }
            Some(item) = news.recv(), if may_send => drop(ws.send_text(&item, &mut output)),
            () = sleep_until(due.unwrap_or(now + STALL)) => {}
        }
    }
    // However it ended, the application hears of it.
    while let Some(event) = ws.receive_eof() {
        handle(event, &mut ws, &mut output);
    }
    // RFC 6455 §7.1.1: to close with input unread would reset the connection, and could destroy the last bytes on their
    // way.
    let _ = timeout(GRACE, writer.shutdown()).await;
    let _ = timeout(GRACE, copy(&mut reader, &mut sink())).await;
}

/// Writes some of the output, or flushes if it is empty: TLS and HTTP/2 hold back what is not flushed. Returns whether
/// nothing waits any more. It may be dropped at any time: what it moved is where it belongs.
async fn write(writer: &mut (impl AsyncWrite + Unpin), output: &mut Output) -> io::Result<bool> {
    if output.is_empty() {
        return writer.flush().await.map(|()| true);
    }
    match writer.write_buf(output).await? {
        0 => Err(ErrorKind::WriteZero.into()),
        _ => Ok(false),
    }
}
