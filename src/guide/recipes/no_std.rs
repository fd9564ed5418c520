use core::time::Duration;

use bytes::Buf;
use websocket_proto::{Action, Connection, Event, Input, Output, Session};

/// A transport that never waits, such as a socket of smoltcp.
pub(crate) trait Transport {
    /// Returns the number of bytes read: `None` if there are none now, 0 at the end of the stream, also by a failure.
    fn read(&mut self, buffer: &mut [u8]) -> Option<usize>;
    /// Returns the number of bytes accepted, or `None` after a failure.
    fn write(&mut self, bytes: &[u8]) -> Option<usize>;
    fn shut_down(&mut self);
}

/// A turn of a session, whose clock is the time since the program's start: call it when the transport is ready, and at
/// the time that it returns. `most`, at first 0, is the size of the next read. The connection is over after `None`: close
/// the transport.
pub(crate) fn turn(
    now: Duration,
    session: &mut Session<Duration>,
    transport: &mut impl Transport,
    most: &mut usize,
    buffer: &mut [u8],
    output: &mut Output,
    mut handle: impl FnMut(Event<'_>, &mut Connection, &mut Output),
) -> Option<Duration> {
    loop {
        // The transport may have had room again, and bytes may have arrived: the deadlines are checked afterwards.
        let has_written = write_some(now, session, transport);
        let size = buffer.len().min(*most);
        let read = if size > 0 { transport.read(&mut buffer[..size]) } else { None };
        if let Some(n) = read {
            let mut input = Input::from_read(&mut buffer[..n]);
            while let Some(event) = session.receive(&mut input, output) {
                handle(event, session.connection_mut(), output);
            }
        }
        let before = (*most, session.waiting());
        let deadline = loop {
            match session.poll_queued(now, output) {
                Action::Wait { read, deadline, .. } => {
                    *most = read;
                    break deadline;
                }
                Action::Event(event) => handle(event, session.connection_mut(), output),
                Action::ShutDown => transport.shut_down(),
                _ => return None,
            }
        };
        if !has_written && read.is_none() && before == (*most, session.waiting()) {
            return Some(deadline.unwrap_or(Duration::MAX));
        }
    }
}

/// Writes until the transport is full. Returns whether it accepted any bytes.
fn write_some(now: Duration, session: &mut Session<Duration>, transport: &mut impl Transport) -> bool {
    if session.waiting() == 0 {
        return false;
    }
    let backlog = session.backlog();
    let before = backlog.len();
    while backlog.has_remaining() {
        match transport.write(backlog.chunk()) {
            Some(0) => break,
            Some(count) => backlog.advance(count),
            None => {
                session.write_failed();
                return false;
            }
        }
    }
    let count = before - backlog.len();
    session.wrote(now, count);
    count > 0
}
