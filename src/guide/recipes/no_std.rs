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

/// A turn of a session, whose clock is the time since the program's start: call it when the transport is ready, and at the time that it
/// returns. The connection is over after `None`: close the transport.
pub(crate) fn turn(
    now: Duration,
    session: &mut Session<Duration>,
    transport: &mut impl Transport,
    buffer: &mut [u8],
    output: &mut Output,
    mut handle: impl FnMut(Event<'_>, &mut Connection, &mut Output),
) -> Option<Duration> {
    loop {
        match session.poll_queued(now, output) {
            Action::Event(event) => handle(event, session.connection_mut(), output),
            Action::ShutDown => transport.shut_down(),
            Action::Wait { read, deadline, .. } => {
                let accepted = write(session.backlog(), transport);
                match accepted {
                    Some(count) => session.wrote(now, count),
                    None => session.write_failed(),
                }
                let size = read.min(buffer.len());
                let n = if size > 0 { transport.read(&mut buffer[..size]) } else { None };
                if let Some(n) = n {
                    let mut input = Input::from_read(&mut buffer[..n]);
                    while let Some(event) = session.receive(&mut input, output) {
                        handle(event, session.connection_mut(), output);
                    }
                } else if accepted == Some(0) {
                    return Some(deadline.unwrap_or(Duration::MAX));
                }
            }
            _ => return None,
        }
    }
}

/// Writes until the transport is full. Returns the number of bytes accepted.
fn write(backlog: &mut Output, transport: &mut impl Transport) -> Option<usize> {
    let before = backlog.len();
    while backlog.has_remaining() {
        match transport.write(backlog.chunk())? {
            0 => break,
            count => backlog.advance(count),
        }
    }
    Some(before - backlog.len())
}
