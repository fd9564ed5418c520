use std::future::{Future as _, poll_fn};
use std::io::{self, ErrorKind, Write};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use websocket_proto::{Action, Connection, Event, Input, Output, Session, SessionConfig, State};

/// While this many bytes wait to be written, no `news` are sent.
const MAX_WAITING: usize = 256 << 10;
/// The limit on bytes in one write: hyper and TLS buffer a whole write, however large.
const PIECE: usize = 16 << 10;
/// How long the runtime needs to look at its streams.
const LOOK: Duration = Duration::from_millis(1);
/// The time to wait if there is no deadline.
const LONG: Duration = Duration::from_secs(3600);

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
    let (mut stream, mut alarm) = (pin!(stream), pin!(sleep(LONG)));
    let (mut buffer, mut session) = (vec![0; 64 << 10], Session::new(Instant::now(), ws, config));
    let (mut read, mut is_shutting_down) = (0, false);
    let (mut deadline, mut looked) = (Instant::now() + LONG, None);
    let turns = poll_fn(|cx| {
        loop {
            // Bytes that have arrived are read before the deadlines are checked.
            let mut bytes = ReadBuf::new(&mut buffer[..read]);
            let mut has_news = false;
            if read > 0
                && let Poll::Ready(result) = stream.as_mut().poll_read(cx, &mut bytes)
            {
                has_news = true;
                // A failed read is the end of the stream.
                let mut input = Input::from_read(if result.is_ok() { bytes.filled_mut() } else { &mut [] });
                while let Some(event) = session.receive(&mut input, &mut output) {
                    handle(event, session.connection_mut(), &mut output);
                }
            }
            let now = Instant::now();
            if now >= deadline && !has_news && now < *looked.get_or_insert(now + LOOK) {
                // After a pause of the process, the runtime may fire an alarm before it has looked at the stream.
                alarm.as_mut().reset(now + LOOK);
                if alarm.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
            }
            deadline = match session.poll_writer(now, &mut output, &mut Polled(stream.as_mut(), cx)) {
                Action::Wait { read: most, deadline, .. } => {
                    has_news |= read == 0 && most > 0;
                    read = most;
                    deadline.unwrap_or(now + LONG)
                }
                Action::Event(event) => {
                    handle(event, session.connection_mut(), &mut output);
                    continue;
                }
                Action::ShutDown => {
                    is_shutting_down = true;
                    continue;
                }
                _ => return Poll::Ready(()),
            };
            if has_news {
                continue;
            }
            is_shutting_down = is_shutting_down && stream.as_mut().poll_shutdown(cx).is_pending();
            let may_send = session.connection().state() == State::Open && session.waiting() < MAX_WAITING;
            if may_send && let Poll::Ready(Some(text)) = news.poll_recv(cx) {
                let _ = session.connection_mut().send_text(&text, &mut output);
                continue;
            }
            // A message postpones the deadline but leaves the alarm, which then goes off early.
            if deadline < alarm.deadline() || alarm.is_elapsed() {
                alarm.as_mut().reset(deadline);
            }
            if deadline > now {
                looked = None;
            }
            if alarm.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    });
    turns.await;
}

/// A stream in a task that waits for it.
struct Polled<'s, 'p, 'c, S>(Pin<&'s mut S>, &'p mut Context<'c>);

impl<S: AsyncWrite> Write for Polled<'_, '_, '_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        now_or_full(self.0.as_mut().poll_write(self.1, &bytes[..bytes.len().min(PIECE)]))
    }

    fn flush(&mut self) -> io::Result<()> {
        now_or_full(self.0.as_mut().poll_flush(self.1))
    }
}

fn now_or_full<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(result) => result,
        Poll::Pending => Err(ErrorKind::WouldBlock.into()),
    }
}
