use std::io::{self, ErrorKind};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::select;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use websocket_proto::{Action, Connection, Event, Input, Output, Session, SessionConfig, State};

/// While this many bytes wait to be written, no `news` are sent.
const MAX_WAITING: usize = 256 << 10;
/// The longest time for the transport's own end: `close_notify` in TLS.
const GOODBYE: Duration = Duration::from_secs(2);

/// Drives a connection to its end. A client's request is in `output`. `handle` gets every event, `Event::Closed` exactly
/// once. `news` are text messages from other tasks.
pub(crate) async fn drive(
    stream: impl AsyncRead + AsyncWrite,
    ws: Connection,
    mut output: Output,
    config: SessionConfig<Duration>,
    mut news: mpsc::Receiver<String>,
    mut handle: impl FnMut(Event<'_>, &mut Connection, &mut Output),
) {
    let (mut reader, mut writer) = split(stream);
    let (mut buffer, mut session) = (vec![0; 64 << 10], Session::new(Instant::now(), ws, config));
    // Whether the transport may have buffered bytes.
    let mut is_unflushed = false;
    loop {
        let (read, write, deadline) = loop {
            match session.poll_queued(Instant::now(), &mut output) {
                Action::Wait { read, write, deadline } => break (read, write, deadline),
                Action::Event(event) => handle(event, session.connection_mut(), &mut output),
                Action::ShutDown => drop(timeout(GOODBYE, writer.shutdown()).await),
                _ => return,
            }
        };
        let may_send = session.connection().state() == State::Open && session.waiting() < MAX_WAITING;
        select! {
            n = reader.read(&mut buffer[..read]), if read > 0 => {
                // A failed read is the end of the stream.
                let mut input = Input::from_read(&mut buffer[..n.unwrap_or(0)]);
                while let Some(event) = session.receive(&mut input, &mut output) {
                    handle(event, session.connection_mut(), &mut output);
                }
            }
            written = write_some(&mut writer, session.backlog()), if write || is_unflushed => {
                is_unflushed = matches!(written, Ok(1..));
                match written {
                    Ok(count) => session.wrote(Instant::now(), count),
                    Err(_) => session.write_failed(),
                }
            }
            Some(text) = news.recv(), if may_send => {
                let (ws, output) = session.parts();
                let _ = ws.send_text(&text, output);
            }
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {}
        }
    }
}

/// Writes some of the backlog, or flushes if it is empty: TLS and HTTP/2 buffer bytes until they are flushed. Returns the
/// number of bytes written. May be dropped at any time: bytes that are not written stay in the backlog.
async fn write_some(writer: &mut (impl AsyncWrite + Unpin), backlog: &mut Output) -> io::Result<usize> {
    if backlog.is_empty() {
        return writer.flush().await.map(|()| 0);
    }
    match writer.write_buf(backlog).await? {
        0 => Err(ErrorKind::WriteZero.into()),
        count => Ok(count),
    }
}
